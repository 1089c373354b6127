/** The blocks of docs/patterns.md are one program: each pattern that they define runs to its end. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/patterns.md"), "utf8");
const blocks = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, block]) => block as string);

const rest = `
import { createRuntime } from "escapement";
const cheap = { provider: "openai", model: "gpt-6-luna" };
const agents = [article, desk, slogan, vote, summary, editor, issue];
const script = [
  { as: "you sort questions", say: "other" },
  { as: "you judge", say: "2" },
  { as: "you run a magazine", use: { tool: "slogan", input: { input: "tea" } } },
  { as: "you run a magazine", after: "slogan", say: "We print: {{result}}" },
  { as: "funny", say: "Our leaves never leave you." },
  { say: "So it is." },
];
const runtime = await createRuntime({ store: { path: ":memory:" }, env: {}, tiers: { cheap }, agents, offline: { script, pace_ms: 0 } });
for (const { name } of agents) {
  const input = name === "article" ? { topic: "tea", tone: "calm" } : "Tea. ".repeat(200);
  const run = await runtime.start({ agent: name, input });
  for await (const event of run) if (event.type === "input.requested") await run.answer({ id: event.id, approve: true });
  const { status, output, calls } = await run.result();
  console.log(name, status, calls, output);
}
await runtime.close();
`;

test("what the page of patterns shows runs", async () => {
  expect(blocks.length).toBeGreaterThan(5);
  const child = spawn(process.execPath, ["-C", "escapement-source", "--input-type=module-typescript", "-e", [...blocks, rest].join("\n")], {
    cwd: root,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (data) => {
      output += data;
    });
  await new Promise((resolve) => child.once("close", resolve));
  expect(output.trim().split("\n")).toEqual([
    "article done 4 So it is.",
    "desk done 2 So it is.",
    "slogan done 3 Our leaves never leave you.",
    "vote done 3 So it is.",
    expect.stringMatching(/^summary done \d+ So it is\.$/),
    "chief-editor done 5 We print: Our leaves never leave you.",
    "issue done 9 We print: Our leaves never leave you.",
  ]);
});
