/**
 * Waits for a run's end on behalf of a request that wants it as its answer. Owns one reader while it waits.
 * Returns early when waiting is pointless (the run asks a person, or stays queued) or over (time, client gone, server going down: the
 * run goes on elsewhere, and who waits is told at once where to find it).
 */

import type { Caller } from "../protocol/caller.ts";
import type { Event } from "../protocol/events.ts";
import type { Run } from "../protocol/run.ts";
import type { RunHandle } from "../protocol/runs.ts";
import type { ServerContext } from "./context.ts";

/** `parked`: waiting for an answer, or queued. `gone`: nobody is left to answer. */
export type WaitEnd = "ended" | "parked" | "timeout" | "gone" | "draining";

export async function waitForEnd(
  context: ServerContext,
  handle: RunHandle,
  options: { caller: Caller; waitMs: number; signal: AbortSignal },
): Promise<{ why: WaitEnd; run: Run }> {
  const { runtime, drain, settings } = context;
  const read = () => runtime.get(handle.id, options.caller);
  const reader = handle.events();
  let why: WaitEnd | undefined;
  const leave = (reason: WaitEnd) => {
    why ??= reason;
    reader.close();
  };
  const onGone = () => leave("gone");
  const onDraining = () => leave("draining");
  const timeout = setTimeout(leave, options.waitMs, "timeout");
  const queued = setTimeout(() => {
    // A failed look is no reason to stop waiting: the reader will see whatever comes.
    read().then(
      (run) => run.status === "queued" && leave("parked"),
      () => {},
    );
  }, settings.intervals.queuedMs);
  options.signal.addEventListener("abort", onGone);
  drain.draining.addEventListener("abort", onDraining);
  if (options.signal.aborted) onGone();
  if (drain.draining.aborted) onDraining();
  try {
    const questions = new Set<string>();
    while (why === undefined) {
      const events = await reader.read();
      if (events === null) break;
      if (follow(events, questions)) leave("ended");
      else if (questions.size > 0 && (await read()).status === "waiting") leave("parked");
    }
    // A reader that ends by itself has shown the run's end.
    return { why: why ?? "ended", run: await read() };
  } finally {
    clearTimeout(timeout);
    clearTimeout(queued);
    options.signal.removeEventListener("abort", onGone);
    drain.draining.removeEventListener("abort", onDraining);
    reader.close();
  }
}

/** Keeps the set of open questions; true when the run has finished. */
function follow(events: readonly Event[], questions: Set<string>): boolean {
  let finished = false;
  for (const event of events) {
    if (event.type === "input.requested") questions.add(event.id);
    else if (event.type === "input.resolved") questions.delete(event.id);
    else if (event.type === "run.finished") finished = true;
  }
  return finished;
}
