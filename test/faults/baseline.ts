/** O6: what a process holds on to. A row's world has gone; so must everything that it opened. */
import { readdirSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect } from "vitest";
import { until } from "../whole-path/until.ts";

export type Rest = { readonly descriptors: number; readonly resources: Readonly<Record<string, number>> };

/** Growth of the heap that all rows of a file together may leave once the first has been played: code, tables, what V8 keeps for speed. */
const mayGrow = 24 * 1024 * 1024;
/** After the first row of this process, for which everything was loaded. */
let warm: number | undefined;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

async function heapNow(): Promise<number> {
  collect();
  // Finalizers run after a collection, and what they let go is collected by the next.
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  return process.memoryUsage().heapUsed;
}

/** Sockets, servers, children, workers' ports and timers. What the test runner itself opens and closes at any time is left out. */
function resources(): Record<string, number> {
  const counted: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) if (counts.has(name)) counted[name] = (counted[name] ?? 0) + 1;
  return counted;
}
const counts = new Set(["TCPSocketWrap", "TCPServerWrap", "TLSWrap", "ProcessWrap", "MessagePort", "Timeout", "GetAddrInfoReqWrap"]);

const descriptors = (): number => readdirSync("/proc/self/fd").length;

export const atRest = (): Rest => ({ descriptors: descriptors(), resources: resources() });

/** Rejects with what is still there when it does not go. */
export async function restored(rest: Rest): Promise<void> {
  let left = "";
  await until(
    "what the row opened to be closed",
    () => {
      const now = resources();
      const more = Object.keys(now).filter((name) => (now[name] ?? 0) > (rest.resources[name] ?? 0));
      left = [
        ...more.map((name) => `${name} ${rest.resources[name] ?? 0} → ${now[name]}`),
        `descriptors ${rest.descriptors} → ${descriptors()}`,
      ].join(", ");
      return more.length === 0 && descriptors() <= rest.descriptors;
    },
    20_000,
  ).catch(() => expect.unreachable(`left behind: ${left}`));
  const heap = await heapNow();
  warm ??= heap;
  expect(heap - warm, "bytes of heap that rows have left").toBeLessThan(mayGrow);
}
