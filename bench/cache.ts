/**
 * How long a cached answer takes while the process has other work: the look-up (memory in front of a file), and a whole run that is
 * answered by it, from `start` to its last event, journaled on a disk. Beside them live runs, which go to a provider in this process.
 *
 *   node bench/cache.ts [seconds]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { Answers } from "../src/cache/answers.ts";
import { agent, createRuntime, vllm } from "../src/index.ts";
import { chat } from "../src/testing/fault-chat.ts";
import { startFaultServer } from "../src/testing/fault-server.ts";

const seconds = Number(process.argv[2] ?? 5);
const questions = 200;
const answer = "The quick brown fox jumps over the lazy dog. ".repeat(20);

const lookups: number[] = [];
const { lookup } = Answers.prototype;
Answers.prototype.lookup = async function (...args) {
  const from = performance.now();
  const found = await lookup.apply(this, args);
  if (found.hit) lookups.push(performance.now() - from);
  return found;
};

const cwd = mkdtempSync(join(tmpdir(), "bench-cache-"));
const provider = await startFaultServer(chat({ text: answer }));
const runtime = await createRuntime({
  cwd,
  env: {},
  providers: { self: vllm({ baseURL: `${provider.url}/v1` }) },
  tiers: { main: { provider: "self", model: "m", price: { input_usd_per_mtok: 0, output_usd_per_mtok: 1 } } },
  agents: [agent({ name: "cached", machine: "single", cache: { exact: {} } }), agent({ name: "live", machine: "single" })],
});

async function run(name: string, input: string): Promise<number> {
  const from = performance.now();
  const handle = await runtime.start({ agent: name, input });
  for await (const _ of handle.events()) {
    // to the end
  }
  return performance.now() - from;
}

const at = (values: readonly number[], part: number): string => {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN).toFixed(2).padStart(9);
};
const row = (name: string, values: readonly number[]): void =>
  console.log(
    `${name.padEnd(28)}${String(values.length).padStart(8)}${at(values, 0.5)}${at(values, 0.95)}${at(values, 0.99)}${at(values, 1)}`,
  );

for (let i = 0; i < questions; i++) await run("cached", `Question ${i}`);
console.log(`load of the machine ${loadavg()[0]?.toFixed(1)}\n`);
console.log("ms".padEnd(28) + ["hits", "p50", "p95", "p99", "max"].map((name, i) => name.padStart(i === 0 ? 8 : 9)).join(""));
for (const [name, cached, live] of [
  ["one after the other", 1, 0],
  ["32 at once", 32, 0],
  ["32 at once, 32 live runs", 32, 32],
] as const) {
  lookups.length = 0;
  const runs: number[] = [];
  const until = performance.now() + seconds * 1_000;
  const loop = async (agentName: string, times?: number[]): Promise<void> => {
    for (let i = Math.floor(Math.random() * questions); performance.now() < until; i++) {
      const ms = await run(agentName, `Question ${i % questions}`);
      times?.push(ms);
    }
  };
  await Promise.all([...Array.from({ length: cached }, () => loop("cached", runs)), ...Array.from({ length: live }, () => loop("live"))]);
  row(`look-up, ${name}`, lookups);
  row(`run, ${name}`, runs);
}
await runtime.close();
await provider.close();
rmSync(cwd, { recursive: true, force: true });
