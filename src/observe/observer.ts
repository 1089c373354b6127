/**
 * The contract of observers: what the runtime tells of each turn once it is committed, and of the process. Logs, alerts and traces are
 * observers; none of them is asked for anything, and none can hold a run up.
 *
 *  1. A turn is told after its commit and after its facts were published, once, in order for each run.
 *  2. What an observer throws reaches no run: {@link observers} keeps it.
 *  3. Nothing is collected for a turn while nobody observes.
 */
import type { Fact } from "../protocol/events.ts";
import type { Json } from "../protocol/json.ts";
import type { AgentSpec } from "../runtime/agent.ts";
import type { Account, Ask } from "../runtime/run.ts";
import type { Grant, RunInfo, RunProgress } from "../stores/store.ts";

/** Work that came to its end in a turn. */
export type EndedWork = {
  /** With its input, which is stored nowhere. */
  readonly ask: Ask;
  readonly ok: boolean;
  /** Of work that was not stopped: its outcome, or a `WorkError`. */
  readonly value?: Json;
  readonly account?: Account | undefined;
  /** What of a call was shown, when it failed or was stopped. */
  readonly text?: string | undefined;
  readonly stopped?: true;
};

export type CommittedTurn = {
  readonly run: string;
  readonly info: RunInfo;
  readonly spec: AgentSpec;
  /** The same object for all turns of a run that this process owns: what an observer keeps of a run, it keeps under it, weakly. */
  readonly owner: object;
  readonly n: number;
  readonly facts: readonly Fact[];
  readonly asks: readonly Ask[];
  /** One for each of `asks`. */
  readonly grants: readonly Grant[];
  readonly ended: readonly EndedWork[];
  readonly progress: RunProgress;
  /** Of the run, after this turn. */
  readonly spentNano: number;
  readonly limitNano: number;
};

/** What happens beside the runs. */
export type ProcessEvent =
  | { readonly type: "breaker"; readonly key: string; readonly state: "closed" | "open" | "probing" }
  /** How much of a provider's window of requests or tokens is used, 0 to 1, as its headers say. */
  | { readonly type: "provider.window"; readonly provider: string; readonly window: string; readonly used: number }
  /** The account at a provider has no credit, or has some again. */
  | { readonly type: "provider.exhausted"; readonly provider: string; readonly isExhausted: boolean; readonly message?: string };

export interface Observer {
  turn?(turn: CommittedTurn): void;
  process?(event: ProcessEvent): void;
}

/** All of them as one; what one throws is told once to `onError` and costs the others nothing. Undefined where there is none. */
export function observers(all: readonly Observer[], onError: (message: string) => void): Required<Observer> | undefined {
  if (all.length === 0) return undefined;
  const failed = new Set<Observer>();
  const each = (tell: (observer: Observer) => void): void => {
    for (const observer of all) {
      try {
        tell(observer);
      } catch (error) {
        if (failed.has(observer)) continue;
        failed.add(observer);
        try {
          onError(`an observer failed, and is told on: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
        } catch {
          // Who is to be told of errors fails too: nobody is left.
        }
      }
    }
  };
  return {
    turn: (turn) => each((observer) => observer.turn?.(turn)),
    process: (event) => each((observer) => observer.process?.(event)),
  };
}
