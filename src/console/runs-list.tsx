/** The live list of runs, newest first; those that wait for a person are on top. Up and Down move between them. */
import { type KeyboardEvent, memo } from "react";
import { dollars } from "../money/dollars.ts";
import { clock, count } from "./format.ts";
import { addressOf } from "./route.ts";
import type { RunRow, RunsState } from "./runs-feed.ts";
import { Status } from "./status.tsx";
import { follow } from "./use-route.ts";

export function RunsList({ feed, open }: { readonly feed: RunsState; readonly open: string | null }) {
  if (feed.runs === null) {
    if (feed.error) {
      return (
        <div className="rail-note" role="alert">
          <strong>No runs to show</strong>
          <span>{feed.error.message} The page tries again every two seconds.</span>
        </div>
      );
    }
    return (
      <div className="rail-loading" aria-busy="true">
        <span className="visually-hidden">Loading runs</span>
        {["a", "b", "c", "d"].map((key) => (
          <div key={key} className="row-ghost" />
        ))}
      </div>
    );
  }
  if (feed.runs.length === 0) {
    return (
      <div className="rail-note">
        <strong>No runs yet</strong>
        <span>Ask something and it appears here. Runs started by other programs do too.</span>
      </div>
    );
  }
  const waits = feed.runs.filter((run) => run.status === "waiting");
  const rest = feed.runs.filter((run) => run.status !== "waiting");
  return (
    <nav aria-label="List of runs" className="rail-list">
      <ol className="rows" onKeyDown={walk}>
        {[...waits, ...rest].map((run) => (
          <li key={run.id}>
            <Row run={run} open={run.id === open} />
          </li>
        ))}
      </ol>
      {feed.runs.length >= 50 && <p className="rail-foot">The latest 50 runs. Older ones open by their address.</p>}
    </nav>
  );
}

const Row = memo(function Row({ run, open }: { readonly run: RunRow; readonly open: boolean }) {
  const tokens = run.usage.input_tokens + run.usage.output_tokens;
  return (
    <a className="row" href={addressOf({ run: run.id })} onClick={follow({ run: run.id })} aria-current={open ? "page" : undefined}>
      <Status status={run.status} />
      <span className="row-cost">{dollars(run.cost_microusd)}</span>
      <span className="row-agent">
        {run.agent}
        <time dateTime={run.created_at}>{clock(run.created_at)}</time>
      </span>
      <span className="row-tokens">{count(tokens)} tokens</span>
    </a>
  );
});

function walk(event: KeyboardEvent<HTMLOListElement>): void {
  const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
  if (step === 0) return;
  const links = [...event.currentTarget.querySelectorAll("a")];
  const next = links[links.findIndex((link) => link.matches(":focus")) + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
}
