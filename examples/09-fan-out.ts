// Several agents on one question at once, and one answer of theirs: here the one that a judge finds best.
import { agent, createRuntime, fanOut } from "escapement";

const writer = (name: string) => agent({ name, instructions: `You write a slogan: ${name}.`, machine: "single" });
const slogan = fanOut({
  name: "slogan",
  branches: [writer("short"), writer("funny"), writer("honest")],
  aggregate: { best: agent({ name: "judge", instructions: "You judge slogans.", machine: "single" }) },
  on_failure: "drop",
});

const runtime = await createRuntime({
  store: { path: ":memory:" },
  agents: [slogan],
  offline: {
    script: [
      { as: "short", say: "Tea. Now." },
      { as: "funny", say: "Our leaves never leave you." },
      { as: "honest", say: "Hot water with a taste." },
      { as: "judge", say: "3" },
    ],
  },
});
const run = await runtime.start({ agent: "slogan", input: "Tea" });
for await (const event of run) {
  if (event.type === "progress") console.log(`${event.done} of ${event.total} have answered`);
  if (event.type === "run.finished") console.log(`chosen: ${event.output} (${event.calls} calls)`);
}
await runtime.close();
