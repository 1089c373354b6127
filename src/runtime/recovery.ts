/**
 * From the journal back to a run in memory: the machine is started and fed its records; what it does is compared by hash and
 * nothing is released. The same function serves recovery, the journal's page and, later, time travel and forks.
 */
import type { Json } from "../protocol/json.ts";
import { damaged } from "../stores/damage.ts";
import type { RunRecord, Store, TurnRow } from "../stores/store.ts";
import { endedByOperator } from "./quarantine.ts";
import type { Input, LiveRun, Verdict } from "./run.ts";

/** The machine does not do again what the journal says it did: its revision or its agent changed under it. */
export class Divergence extends Error {}

const page = 256;

export type TurnBody = {
  readonly input: Input;
  readonly asks?: readonly (readonly [ordinal: number, path: string, kind: string, sideEffects: string, hash: string])[];
  readonly stops?: readonly number[];
  readonly verdicts?: readonly Verdict[];
};
/** Throws what `damage.ts` makes where it is no record of a turn. */
export function bodyOf(row: TurnRow): TurnBody {
  try {
    const body = JSON.parse(row.body) as TurnBody;
    if (typeof body?.input?.type !== "string") throw new Error("it has no input");
    return body;
  } catch (error) {
    throw damaged(`the body of turn ${row.n}`, error);
  }
}

/** All turns of a run, in order. */
export async function* turnsOf(store: Store, run: string): AsyncGenerator<TurnRow> {
  for (let after = 0; ; ) {
    const rows = await store.turns(run, after, page);
    yield* rows;
    if (rows.length < page) return;
    after = (rows.at(-1) as TurnRow).n;
  }
}

/** Replays the journal into a run made by `make` (which gets the history that its start recorded). Throws {@link Divergence}. */
export async function replay(store: Store, record: RunRecord, make: (history: Json | undefined) => LiveRun): Promise<LiveRun> {
  let live: LiveRun | undefined;
  let isMachines = true;
  for await (const row of turnsOf(store, record.id)) {
    const body = bodyOf(row);
    live ??= make(body.input.type === "start" ? body.input.history : undefined);
    feed(live, row, body);
    isMachines = row.hash !== endedByOperator;
  }
  live ??= make(undefined);
  // What an operator closed is open in the machine.
  if (!isMachines) return live;
  const open = new Set(record.open.map(({ ordinal }) => ordinal));
  const same = live.live.size === open.size && [...live.live.keys()].every((ordinal) => open.has(ordinal));
  if (!same) throw new Divergence(`open work differs: the machine waits for [${[...live.live.keys()]}], the store for [${[...open]}]`);
  return live;
}

/** Delivers one record and holds what it led to against the record; an operator's end is delivered to nobody. Throws {@link Divergence}. */
export function feed(live: LiveRun, row: TurnRow, { input, verdicts }: TurnBody): void {
  if (row.hash === endedByOperator) return;
  let hash: string;
  try {
    hash = live.turn(input, row.at, verdicts ?? []).hash;
  } catch (error) {
    throw new Divergence(`turn ${row.n} cannot be replayed: ${error instanceof Error ? error.message : error}`);
  }
  if (hash !== row.hash) throw new Divergence(`turn ${row.n} went otherwise than recorded`);
}
