/** One run: how it stands, what it costs, what it says, and which states it is in. */
import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import { Actors } from "./actors.tsx";
import { AskForm } from "./ask-form.tsx";
import { EndNote } from "./end-note.tsx";
import { Facts } from "./facts.tsx";
import { clock } from "./format.ts";
import { Icon } from "./icons.tsx";
import { Meters } from "./meters.tsx";
import { Pane } from "./pane.tsx";
import type { View } from "./route.ts";
import { RunHead } from "./run-head.tsx";
import { isScripted, type RunView, statusOf } from "./run-view.ts";
import { type RunRow, runsFeed } from "./runs-feed.ts";
import { ScriptedNotice } from "./scripted-notice.tsx";
import { connection } from "./server.ts";
import { statusWord } from "./status.tsx";
import { Thread } from "./thread.tsx";
import type { Agents } from "./use-agents.ts";
import { useCancel } from "./use-cancel.ts";
import { follow } from "./use-route.ts";
import { useRun } from "./use-run.ts";

type Props = {
  readonly id: string;
  readonly facts: View["facts"];
  /** The run's row in the list, where it is listed. */
  readonly known: RunRow | null;
  readonly agents: Agents;
  readonly awaySince: number | null;
  readonly scripted: boolean;
};

export function RunPage({ id, facts, known, agents, awaySince, scripted }: Props) {
  const { view, historyEnd, refused, cutSince, follower } = useRun(id);
  const lostSince = useSyncExternalStore(connection.subscribe, connection.snapshot);
  const [text, setText] = useState("");
  const status = statusOf(view) ?? known?.status ?? null;
  const live = view.phase === "queued" || view.phase === "running";
  const cancel = useCancel(follower?.handle ?? null, live);
  const head = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    // The form that had the focus is gone when a run opens.
    if (document.activeElement === document.body) head.current?.focus({ preventScroll: true });
  }, []);
  useEffect(() => {
    document.title = status === null ? "Escapement" : `${statusWord(status)} · ${view.agent ?? known?.agent ?? "run"} · Escapement`;
    if (status !== null) runsFeed.refresh();
  }, [status, view.agent, known?.agent]);

  if (refused && view.seq === 0) return <Missing id={id} code={refused.code} message={refused.message} />;
  const lost = [cutSince, live ? lostSince : null, live ? awaySince : null].filter((since) => since !== null);
  const away = lost.length > 0 ? Math.min(...lost) : null;
  return (
    <article className="run" aria-busy={view.phase === "unknown"}>
      <RunHead heading={head} id={id} agent={view.agent ?? known?.agent ?? null} status={status} view={view} cancel={cancel} />
      {away !== null && (
        <p className="banner" role="status">
          <Icon name="offline" />
          <span>
            <strong>Disconnected since {clock(away)}.</strong> What was received stays here; the run goes on without this page and the rest
            follows when the server answers again.
          </span>
        </p>
      )}
      <Meters view={view} />
      <div className="run-body">
        <div className="talk">
          <Pane className="talk-scroll" name="Conversation" change={view}>
            <div className="talk-inner">
              {(view.scripted || scripted || isScripted(known?.tier)) && <ScriptedNotice />}
              {view.phase === "unknown" ? <Opening view={view} /> : <Thread id={id} view={view} handle={follower?.handle ?? null} />}
              {view.end && <EndNote view={view} />}
            </div>
          </Pane>
          <div className="talk-ask">
            <AskForm agents={agents} text={text} onText={setText} agent={view.agent} />
          </div>
        </div>
        <Actors view={view} historyEnd={historyEnd} />
        <Facts view={view} mode={facts} run={id} />
      </div>
    </article>
  );
}

function Opening({ view }: { readonly view: RunView }) {
  return view.seq === 0 ? (
    <div className="thread-ghost">
      <span className="visually-hidden">Opening the run</span>
      <div />
      <div />
      <div />
    </div>
  ) : null;
}

function Missing({ id, code, message }: { readonly id: string; readonly code: string; readonly message: string }) {
  return (
    <div className="missing" role="alert">
      <h1>{code === "not_found" ? "There is no such run" : "This run cannot be read"}</h1>
      <p className="muted">
        <code>{id}</code>
      </p>
      <p>{code === "not_found" ? "It may belong to someone else, or be older than 30 days." : message}</p>
      <p>
        <a href="./" onClick={follow({})}>
          Ask something
        </a>
      </p>
    </div>
  );
}
