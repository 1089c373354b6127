/** `node test/runtime/simulate.ts [seeds] [first] [mutation]`: plays seeds and prints what was seen; exits 1 on a violation. */
import { type Mutation, simulate, type Tally } from "./simulation.ts";

const seeds = Number(process.argv[2] ?? 20_000);
const first = Number(process.argv[3] ?? 1);
const mutation = process.argv[4] as Mutation | undefined;
const total: Tally = { crashes: 0, restarts: 0, zombies: 0, fenced: 0, outages: 0, calls: 0, lost: 0, denied: 0, ends: {} };
let violations = 0;
const started = performance.now();
for (let seed = first; seed < first + seeds; seed++) {
  try {
    const tally = await simulate(seed, mutation);
    for (const key of ["crashes", "restarts", "zombies", "fenced", "outages", "calls", "lost", "denied"] as const) total[key] += tally[key];
    for (const [end, times] of Object.entries(tally.ends)) total.ends[end] = (total.ends[end] ?? 0) + times;
  } catch (error) {
    if (violations++ < 5) console.log(`seed ${seed}: ${error instanceof Error ? error.message.slice(0, 700) : error}`);
  }
}
console.log(`${seeds} seeds, ${violations} violations, ${((performance.now() - started) / seeds).toFixed(2)} ms each`);
console.log(JSON.stringify(total));
process.exit(violations > 0 ? 1 : 0);
