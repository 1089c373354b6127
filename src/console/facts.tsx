/** The timeline of facts, each with its reason. State changes are shown above and join in on request. */
import { memo, useMemo, useState } from "react";
import type { Fact } from "../protocol/events.ts";
import { factWords, type Tone } from "./fact-words.ts";
import { sinceStart } from "./format.ts";
import { Icon, type IconName } from "./icons.tsx";
import { Pane } from "./pane.tsx";
import { addressOf, type View } from "./route.ts";
import type { RunView } from "./run-view.ts";
import { follow } from "./use-route.ts";

/** Drawn at once; the rest on request. */
const page = 300;

const icons: Partial<Record<Fact["type"], IconName>> = {
  "call.started": "call",
  "call.finished": "answer",
  retract: "undo",
  "request.retrying": "retry",
  "request.fell_back": "fallback",
  "tool.started": "tool",
  "tool.returned": "tool",
  "tool.failed": "failed",
  "tool.refused": "refused",
  "input.requested": "person",
  "input.resolved": "person",
  "limit.hit": "exhausted",
};

export function Facts({ view, mode, run }: { readonly view: RunView; readonly mode: View["facts"]; readonly run: string }) {
  const [most, setMost] = useState(page);
  const facts = useMemo(() => (mode === "all" ? view.facts : view.facts.filter((fact) => fact.type !== "state")), [view.facts, mode]);
  const shown = facts.slice(-most);
  const other: Partial<View> = { run, facts: mode === "all" ? "main" : "all" };
  return (
    <Pane className="facts" name="Timeline" change={view.facts}>
      <h2>
        Timeline
        <a href={addressOf(other)} onClick={follow(other)} className="facts-mode">
          {mode === "all" ? "Hide state changes" : "Show state changes"}
        </a>
      </h2>
      {facts.length > shown.length && (
        <button type="button" className="button quiet" onClick={() => setMost(most + page)}>
          Show {Math.min(page, facts.length - shown.length)} earlier
        </button>
      )}
      {facts.length === 0 && <p className="muted pane-note">What happens to the run is listed here, each fact with its reason.</p>}
      <ol>
        {shown.map((fact) => (
          <FactRow key={fact.seq} fact={fact} start={view.acceptedAt} />
        ))}
      </ol>
    </Pane>
  );
}

const FactRow = memo(function FactRow({ fact, start }: { readonly fact: Fact; readonly start: string | null }) {
  const words = factWords(fact);
  return (
    <li className={`fact fact-${words.tone} ${fact.type === "state" ? "fact-state" : ""}`}>
      <time dateTime={fact.at}>{sinceStart(fact.at, start)}</time>
      <Icon name={iconOf(fact, words.tone)} />
      <span className="fact-words">
        <span className="fact-title">{words.title}</span>
        {words.reason !== undefined && <span className="fact-reason">{words.reason}</span>}
      </span>
    </li>
  );
});

function iconOf(fact: Fact, tone: Tone): IconName {
  if (fact.type === "run.finished") return fact.status;
  if (fact.type === "call.finished" && tone === "bad") return "failed";
  return icons[fact.type] ?? "dot";
}
