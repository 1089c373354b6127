/** Money and limits: what was spent, what is held, and how near each limit is. */
import { dollars } from "../money/dollars.ts";
import { count, duration, ticking } from "./format.ts";
import { Icon } from "./icons.tsx";
import type { RunView } from "./run-view.ts";
import { useNow } from "./use-now.ts";

export function Meters({ view }: { readonly view: RunView }) {
  const { limits, limitsHit } = view;
  const running = view.phase === "queued" || view.phase === "running";
  const now = useNow(running);
  const begun = view.acceptedAt === null ? null : Date.parse(view.acceptedAt);
  const elapsed = begun === null ? 0 : (view.finishedAt === null ? Math.max(now, begun) : Date.parse(view.finishedAt)) - begun;
  const { input_tokens, cached_tokens, output_tokens, estimated } = view.usage;
  return (
    <dl className="meters">
      <Meter name="Cost" value={view.costMicrousd} limit={limits?.max_cost_microusd} say={dollars} hit={limitsHit.has("budget.run")} />
      <Cell name="Held" value={dollars(view.heldMicrousd)} more="open calls" />
      <Meter name="Steps" value={view.steps} limit={limits?.max_steps} say={count} hit={limitsHit.has("steps")} />
      <Meter name="Calls" value={view.callCount} limit={limits?.max_calls} say={count} hit={limitsHit.has("calls")} />
      <Meter name="Tool calls" value={view.toolCount} limit={limits?.max_tool_calls} say={count} hit={limitsHit.has("tool_calls")} />
      <Meter
        name="Time"
        value={elapsed}
        limit={limits?.deadline_ms}
        say={duration}
        shown={running ? ticking(elapsed) : duration(elapsed)}
        hit={limitsHit.has("deadline")}
      />
      <Cell
        name="Tokens"
        value={`${estimated ? "≈ " : ""}${count(input_tokens + output_tokens)}`}
        more={`${count(input_tokens)} in · ${count(output_tokens)} out`}
        note={cached_tokens > 0 ? `${count(cached_tokens)} cached` : ""}
      />
    </dl>
  );
}

type CellProps = { readonly name: string; readonly value: string; readonly more: string; readonly note?: string };

function Cell({ name, value, more, note = "" }: CellProps) {
  return (
    <div className="meter">
      <dt>{name}</dt>
      <dd>
        <span className="meter-value">{value}</span>
        <span className="meter-more">{more}</span>
        {note !== "" && <span className="meter-note">{note}</span>}
      </dd>
    </div>
  );
}

type MeterProps = {
  readonly name: string;
  readonly value: number;
  readonly limit: number | undefined;
  readonly say: (value: number) => string;
  readonly shown?: string;
  readonly hit: boolean;
};

function Meter({ name, value, limit, say, shown, hit }: MeterProps) {
  const share = limit ? Math.min(1, value / limit) : 0;
  const level = hit ? "bad" : share >= 0.8 ? "warn" : "plain";
  const word = hit ? "limit hit" : share >= 1 ? "at the limit" : share >= 0.8 ? "near the limit" : null;
  return (
    <div className={`meter meter-${level}`}>
      <dt>{name}</dt>
      <dd>
        <span className="meter-value">
          {shown ?? say(value)}
          {word !== null && (
            <span className="meter-mark" title={word}>
              <Icon name="exhausted" />
              <span className="visually-hidden">, {word}</span>
            </span>
          )}
        </span>
        {limit !== undefined && <span className="meter-more">of {say(limit)}</span>}
        <span className="bar" aria-hidden="true">
          <span style={{ width: `${Math.max(share * 100, value > 0 ? 2 : 0)}%` }} />
        </span>
      </dd>
    </div>
  );
}
