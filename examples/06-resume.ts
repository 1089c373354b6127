// A process is killed in the middle of a run. Another one goes on: what was answered before is not asked for again.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { agent, chain, createRuntime } from "escapement";

const isFirst = process.argv.length > 2;
const folder = process.argv[2] ?? (await mkdtemp(join(tmpdir(), "resume-")));
const writer = (name: string) => agent({ name, instructions: `You write the ${name}.`, machine: "single" });
const runtime = await createRuntime({
  store: { path: `${folder}/runs.db` },
  agents: [chain({ name: "letter", stages: [writer("draft"), writer("fair-copy")] })],
  offline: {
    script: [
      { as: "the draft", say: "Dear all!" },
      { as: "the fair-copy", say: "Dear all, thank you for coming. Yours, Ann" },
    ],
  },
});

if (isFirst) {
  const run = await runtime.start({ agent: "letter", input: "Thank our guests." });
  for await (const event of run) if (event.type === "text.delta") process.kill(process.pid, "SIGKILL"); // of the fair copy
}
const first = spawn(process.execPath, [...process.execArgv, import.meta.filename, folder], { stdio: "inherit" });
const [, signal] = await once(first, "exit");
console.log(`The first process was ended by ${signal}.`);

const [found] = (await runtime.list()).data;
const run = runtime.run(found?.id ?? "");
for await (const event of run)
  if (event.type === "call.finished") console.log(`${event.actor.split("/")[2]}: ${event.finish} ${JSON.stringify(event.text ?? null)}`);
const { status, calls } = await run.result();
console.log(`${status} after ${calls} calls`);
await runtime.close();
await rm(folder, { recursive: true });
