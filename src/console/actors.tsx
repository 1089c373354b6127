/**
 * The run's machines and the states they are in: active ones lit, visited ones with their count, those just entered
 * glowing for a moment. A request or tool that has ended takes one line, its end first; a click shows all it went through.
 */
import { memo, useMemo, useState } from "react";
import { Icon } from "./icons.tsx";
import { Pane } from "./pane.tsx";
import { reasonWords } from "./reason-words.ts";
import type { RunView } from "./run-view.ts";
import { type ActorView, isOver, silentActor, tree } from "./state-visits.ts";

export function Actors({ view, historyEnd }: { readonly view: RunView; readonly historyEnd: number | null }) {
  const actors = useMemo(() => tree(view.actors.keys()).map((path) => view.actors.get(path) ?? silentActor(path)), [view.actors]);
  return (
    <Pane className="states" name="States" change={view.actors}>
      <h2>States</h2>
      {actors.length === 0 ? (
        <p className="muted pane-note">Each machine of the run appears here with its first state.</p>
      ) : (
        <ul className="actors">
          {actors.map((actor) => (
            <Actor
              key={actor.path}
              actor={actor}
              over={view.end !== null || isOver(actor.path, view.actors)}
              glowAfter={historyEnd ?? view.seq}
            />
          ))}
        </ul>
      )}
    </Pane>
  );
}

type ActorProps = {
  readonly actor: ActorView;
  readonly over: boolean;
  /** What was entered up to here is history and does not glow. */
  readonly glowAfter: number;
};

const Actor = memo(function Actor({ actor, over, glowAfter }: ActorProps) {
  const steps = actor.path.split("/");
  // `request-2` is a request: its machine's name says nothing new.
  const machine = actor.machine === steps.at(-1)?.replace(/-\d+$/, "") ? "" : actor.machine;
  const name = steps.at(-1);
  const [unfolded, setUnfolded] = useState(false);
  // The run and its agent go through few states; requests and tools are many.
  const foldable = actor.end !== null && steps.length > 2 && actor.visits.length > 1;
  const folded = foldable && !unfolded;
  return (
    <li className={`actor depth-${Math.min(steps.length - 1, 4)}`}>
      <div className="actor-name">
        {foldable ? (
          <button type="button" aria-expanded={unfolded} title={actor.path} onClick={() => setUnfolded(!unfolded)}>
            {name}
          </button>
        ) : (
          <span title={actor.path}>{name}</span>
        )}
        {machine !== "" && <span className="actor-machine">{machine}</span>}
      </div>
      <ul className={folded ? "visits visits-folded" : "visits"} aria-label={`States of ${actor.path}`}>
        {actor.visits.map((visit) => {
          const now = visit.active && !over;
          const ended = visit.active && !now;
          // Also a state that was left within the same frame: it happened, and would be seen nowhere else.
          const glows = visit.enteredAt > glowAfter;
          return (
            <li
              key={`${visit.state}/${glows ? visit.enteredAt : ""}`}
              className={`visit${now ? " visit-now" : ""}${ended ? ` visit-end end-${actor.end ?? "none"}` : ""}${glows ? " visit-glow" : ""}`}
              aria-current={now ? "step" : undefined}
            >
              {ended && actor.end !== null && <Icon name={actor.end === "returned" ? "done" : actor.end} />}
              <span>{visit.state.replaceAll(".", " › ")}</span>
              {visit.count > 1 && (
                <span className="visit-count">
                  <span className="visually-hidden">visited </span>
                  {visit.count}×
                </span>
              )}
              {now && <span className="visually-hidden">, active</span>}
            </li>
          );
        })}
      </ul>
      {actor.reason !== null && !folded && <p className="actor-reason">{reasonWords(actor.reason)}</p>}
    </li>
  );
});
