/** What a server with keys shows first: a place for the key. It is kept for this tab only. */
import type { FormEvent } from "react";
import { hasKey, keepKey } from "./server.ts";

export function KeyPage({ message }: { readonly message: string }) {
  const submit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const key = new FormData(event.currentTarget).get("key");
    if (typeof key === "string" && key.trim() !== "") keepKey(key.trim());
  };
  return (
    <main className="key-page">
      <form className="card" onSubmit={submit}>
        <h1>This server asks for a key</h1>
        <p className="muted">
          {hasKey() ? `The key was not accepted: ${message}` : "It is kept for this tab and sent to this server only."}
        </p>
        <label className="field">
          <span>API key</span>
          {/* biome-ignore lint/a11y/noAutofocus: the only thing to do here */}
          <input name="key" type="password" autoComplete="off" spellCheck={false} autoFocus />
        </label>
        <div className="actions">
          <button className="button primary" type="submit">
            Continue
          </button>
        </div>
      </form>
    </main>
  );
}
