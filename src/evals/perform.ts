/** One run of an eval, from its grant to its end. Nobody is there to be asked: what it asks of a person is agreed to, or ends it. */
import type { StartBody } from "../protocol/commands.ts";
import type { Event } from "../protocol/events.ts";
import { hasEnded, type Run } from "../protocol/run.ts";
import type { RunHandle } from "../protocol/runs.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { type Spend, Stopped } from "./spend.ts";

export type Performing = {
  readonly runtime: Pick<Runtime, "start" | "estimate" | "facts">;
  readonly spend: Spend;
  readonly approve: boolean;
  readonly signal: AbortSignal;
};

type Asked = Extract<Event, { type: "input.requested" }>;

/** Rejects with `Stopped` when the eval's budget or its user ended it, else as a start does. */
export async function perform({ runtime, spend, approve, signal }: Performing, body: StartBody): Promise<Run> {
  const wanted = runtime.estimate(body).cost_microusd;
  const granted = await spend.grant(wanted);
  let run: Run | undefined;
  try {
    if (signal.aborted) throw new Stopped("it was interrupted");
    const handle = await runtime.start(granted < wanted ? { ...body, limits: { max_cost_microusd: granted } } : body);
    const cancel = (): void => void handle.cancel("the eval was interrupted").catch(() => {});
    signal.addEventListener("abort", cancel, { once: true });
    try {
      for await (const event of handle) if (event.type === "input.requested") await answer(handle, event, approve);
      run = await handle.result();
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  } finally {
    spend.settle(granted, run?.cost_microusd ?? 0);
  }
  if (signal.aborted) throw new Stopped("it was interrupted");
  if (run.status === "exhausted" && granted < wanted) throw new Stopped(spend.shortfall());
  return run;
}

async function answer(handle: RunHandle, { id, kind, input_hash }: Asked, approve: boolean): Promise<void> {
  try {
    if (approve && (kind === "approval" || kind === "review" || kind === "confirm"))
      await handle.answer({ id, approve: true, ...(input_hash !== undefined && { input_hash }) });
    else
      await handle.cancel(
        `it asks a person (${kind}), and an eval has none${approve ? "" : ": approve: true agrees to approvals and reviews"}`,
      );
  } catch (error) {
    // It ended or went on meanwhile; else the eval would wait for nothing.
    if (!hasEnded((await handle.cancel("its question could not be answered")).status)) throw error;
  }
}
