/** Asks: an agent, a text, Enter. Opens the run as soon as the server has accepted it. */
import { type FormEvent, type KeyboardEvent, type RefObject, useEffect, useId, useRef, useState } from "react";
import { Icon } from "./icons.tsx";
import { runsFeed } from "./runs-feed.ts";
import { type AgentInfo, start } from "./server.ts";
import type { Agents } from "./use-agents.ts";
import { rememberSent } from "./use-prompt.ts";
import { open } from "./use-route.ts";

type Props = {
  readonly agents: Agents;
  readonly text: string;
  readonly onText: (text: string) => void;
  /** The agent chosen at first. */
  readonly agent?: string | null;
  readonly focus?: boolean;
  /** The text box, for who puts a text into it. */
  readonly box?: RefObject<HTMLTextAreaElement | null>;
};

export function AskForm({ agents, text, onText, agent, focus = false, box: given }: Props) {
  const [chosen, setChosen] = useState<string | null>(null);
  const [sending, setSending] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  /** Asked before the agents were known: sent as soon as they are. */
  const [early, setEarly] = useState(false);
  const own = useRef<HTMLTextAreaElement>(null);
  const box = given ?? own;
  const name = useId();
  const list = agents.agents ?? [];
  const current = list.find((one) => one.name === (chosen ?? agent)) ?? list.find((one) => one.name === "assistant") ?? list[0];
  useEffect(() => {
    if (focus && matchMedia("(hover: hover)").matches) box.current?.focus();
  }, [focus, box]);

  const send = async (): Promise<void> => {
    if (sending || text.trim() === "") return;
    setEarly(!current && agents.error === null);
    if (!current) return;
    setProblem(null);
    let input: unknown = text;
    if (takesObject(current)) {
      try {
        input = JSON.parse(text);
      } catch (cause) {
        return setProblem(`${current.name} takes JSON, and this is none: ${(cause as Error).message}`);
      }
    }
    setSending(true);
    try {
      const id = await start(current.name, input, freshKey());
      rememberSent(id, input);
      runsFeed.insert(id, current.name);
      onText("");
      open({ run: id });
    } catch (cause) {
      setProblem((cause as Error).message);
      box.current?.focus();
    } finally {
      setSending(false);
    }
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when there is somebody to ask
  useEffect(() => {
    if (early && current) void send();
  }, [early, current]);
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    void send();
  };
  const key = (event: KeyboardEvent): void => {
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    void send();
  };

  return (
    <form className="ask" onSubmit={submit}>
      <label className="visually-hidden" htmlFor={`${name}-text`}>
        Question
      </label>
      <textarea
        id={`${name}-text`}
        ref={box}
        className="ask-text"
        rows={1}
        value={text}
        placeholder={takesObject(current) ? '{"…": "…"}' : "Ask something…"}
        aria-describedby={`${name}-hint`}
        onChange={(event) => onText(event.target.value)}
        onKeyDown={key}
      />
      <div className="ask-bar">
        <label className="visually-hidden" htmlFor={`${name}-agent`}>
          Agent
        </label>
        <select
          id={`${name}-agent`}
          className="select"
          value={current?.name ?? ""}
          disabled={list.length === 0}
          onChange={(event) => setChosen(event.target.value)}
        >
          {list.length === 0 && <option value="">{agents.error ? "No agents" : "Loading…"}</option>}
          {list.map((one) => (
            <option key={one.name} value={one.name}>
              {one.name}
            </option>
          ))}
        </select>
        <span id={`${name}-hint`} className="hint">
          <kbd>Enter</kbd> asks, <kbd>Shift Enter</kbd> breaks the line
        </span>
        <button className="button primary" type="submit" disabled={sending || text.trim() === ""}>
          <Icon name="send" />
          {sending || early ? "Asking…" : "Ask"}
        </button>
      </div>
      {(problem ?? agents.error?.message) && (
        <p className="problem" role="alert">
          <Icon name="failed" />
          {problem ?? `The agents could not be read. ${agents.error?.message}`}
        </p>
      )}
    </form>
  );
}

function takesObject(agent: AgentInfo | undefined): boolean {
  const schema = agent?.input_schema;
  if (typeof schema !== "object" || schema === null) return false;
  return (schema as { readonly type?: unknown }).type === "object";
}

/** `randomUUID` is missing where the page is served over plain HTTP from another machine; this is not. */
const freshKey = (): string => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
