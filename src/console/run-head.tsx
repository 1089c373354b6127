/** The run's name, how it stands, and the way to stop it. */
import { type RefObject, useState } from "react";
import type { RunStatus } from "../protocol/run.ts";
import { clock } from "./format.ts";
import { Icon } from "./icons.tsx";
import type { RunView } from "./run-view.ts";
import { Status } from "./status.tsx";
import type { Cancel } from "./use-cancel.ts";
import { follow } from "./use-route.ts";

type Props = {
  readonly heading: RefObject<HTMLHeadingElement | null>;
  readonly id: string;
  readonly agent: string | null;
  readonly status: RunStatus | null;
  readonly view: RunView;
  readonly cancel: Cancel;
};

export function RunHead({ heading, id, agent, status, view, cancel }: Props) {
  return (
    <header className="run-head">
      <a className="back" href="./" onClick={follow({})}>
        <Icon name="back" />
        Runs
      </a>
      <h1 ref={heading} tabIndex={-1}>
        {agent ?? "Run"}
      </h1>
      <span className="run-status" role="status">
        {status ? <Status status={status} /> : <span className="muted">Opening…</span>}
      </span>
      <span className="run-facts">
        <RunId id={id} />
        {view.acceptedAt !== null && <time dateTime={view.acceptedAt}>{clock(view.acceptedAt)}</time>}
      </span>
      {cancel.problem !== null && (
        <span className="problem" role="alert">
          <Icon name="failed" />
          Not cancelled: {cancel.problem}
        </span>
      )}
      {cancel.possible && (
        <button type="button" className="button cancel" onClick={cancel.now} disabled={cancel.asked}>
          {cancel.asked ? "Cancelling…" : "Cancel"}
          {!cancel.asked && <kbd>Esc</kbd>}
        </button>
      )}
    </header>
  );
}

function RunId({ id }: { readonly id: string }) {
  const [copied, setCopied] = useState(false);
  const copy = (): void => {
    navigator.clipboard?.writeText(id).then(
      () => setCopied(true),
      () => setCopied(false),
    );
  };
  return (
    <button type="button" className="run-id" onClick={copy} onBlur={() => setCopied(false)} title="Copy the run’s id">
      <code>{id}</code>
      <Icon name={copied ? "done" : "copy"} />
      <span className="visually-hidden" aria-live="polite">
        {copied ? "copied" : ""}
      </span>
    </button>
  );
}
