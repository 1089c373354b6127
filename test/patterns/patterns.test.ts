/** Patterns through the whole runtime, over HTTP: what each part is asked, what comes of it, what is shown. */
import { describe, expect, test } from "vitest";
import { agent, chain, type Event, fanOut, mapReduce, router } from "../../src/index.ts";
import type { FaultRequest } from "../../src/testing/fault-server.ts";
import { world } from "../runtime/world.ts";

const single = (name: string, more: object = {}) =>
  agent({ name, description: `${name}.`, instructions: `You are ${name}.`, machine: "single", retries: 0, ...more });

type Chat = { messages: { role: string; content: string }[] };
const said = (request: FaultRequest) => (request.json() as Chat).messages;
const who = (request: FaultRequest): string => /You are ([\w-]+)\./.exec(said(request)[0]?.content ?? "")?.[1] ?? "classifier";
const question = (request: FaultRequest): string => said(request).at(-1)?.content ?? "";

async function play(runtime: Awaited<ReturnType<typeof world>>["runtime"], body: Parameters<typeof runtime.start>[0]) {
  const run = await runtime.start(body);
  const events: Event[] = [];
  for await (const event of run) events.push(event);
  return { run: await run.result(), events };
}
const answerText = (events: readonly Event[]): string =>
  events.flatMap((event) => (event.type === "text.delta" ? [event.text] : [])).join("");

describe("chain", () => {
  test("each stage answers what the one before said; the last one's text is for the person", async () => {
    const { runtime, provider } = await world((request) => ({ text: `${who(request)}(${question(request)})` }), {
      agents: [
        chain({
          name: "article",
          stages: [single("outline"), { agent: single("draft"), prompt: "Of {{input}}: {{outline}}" }, single("edit")],
        }),
      ],
    });
    const { run, events } = await play(runtime, { agent: "article", input: "tea" });
    expect(run).toMatchObject({ status: "done", output: "edit(draft(Of tea: outline(tea)))", calls: 3, steps: 3 });
    expect(events.filter(({ type }) => type === "progress")).toMatchObject([
      { message: "outline", done: 0, total: 3 },
      { message: "draft", done: 1, total: 3 },
      { message: "edit", done: 2, total: 3 },
    ]);
    expect(events.flatMap((event) => (event.type === "call.started" ? [[event.actor, event.for]] : []))).toEqual([
      ["run/agent/outline", "internal"],
      ["run/agent/draft", "internal"],
      ["run/agent/edit", "answer"],
    ]);
    expect(answerText(events)).toBe(run.output);
    expect(provider.book.entries).toHaveLength(3);
  });
});

describe("router", () => {
  const routes = [single("refunds"), single("technical")];
  test.each([
    [{ metadata: { task: "technical" } }, "technical", 1],
    [{}, "refunds", 2],
  ])("by the task that was named, else by a classifier: %o", async (more, chosen, calls) => {
    const { runtime } = await world((request) => (who(request) === "classifier" ? { text: "refunds" } : { text: who(request) }), {
      agents: [router({ name: "desk", routes, classifier: { tier: "main" } })],
    });
    const { run } = await play(runtime, { agent: "desk", input: "I want my money back", ...more });
    expect(run).toMatchObject({ status: "done", output: chosen, calls });
  });
});

describe("fan-out", () => {
  test("the most frequent answer wins", async () => {
    const answers = ["Yes.", "no", "yes"];
    const { runtime } = await world(() => ({ text: answers.shift() ?? "" }), {
      agents: [fanOut({ name: "vote", branches: { agent: single("voter"), times: 3 }, aggregate: "vote" })],
    });
    const { run } = await play(runtime, { agent: "vote", input: "?" });
    expect(run).toMatchObject({ status: "done", calls: 3 });
    expect(String(run.output).toLowerCase()).toMatch(/^yes/);
  });

  test("a judge chooses; a merger makes one of all, and its text is shown", async () => {
    const { runtime } = await world((request) => ({ text: who(request) === "judge" ? "2" : who(request) }), {
      agents: [
        fanOut({ name: "best", branches: [single("one"), single("two")], aggregate: { best: single("judge") } }),
        fanOut({ name: "merged", branches: [single("one"), single("two")], aggregate: { merge: single("editor") } }),
      ],
    });
    expect((await play(runtime, { agent: "best", input: "?" })).run).toMatchObject({ status: "done", output: "two", calls: 3 });
    const { run, events } = await play(runtime, { agent: "merged", input: "?" });
    expect(run).toMatchObject({ status: "done", output: "editor", calls: 3 });
    expect(answerText(events)).toBe("editor");
  });

  test("a branch that fails is dropped, or fails the whole", async () => {
    const { runtime } = await world((request) => (who(request) === "one" ? { text: "" } : { text: who(request) }), {
      agents: [
        fanOut({ name: "drops", branches: [single("one"), single("two")], aggregate: "first", on_failure: "drop" }),
        fanOut({ name: "fails", branches: [single("one"), single("two")], aggregate: "vote", siblings: "drain" }),
        fanOut({ name: "needs", branches: [single("one"), single("two")], aggregate: "vote", on_failure: "drop", least: 2 }),
      ],
    });
    expect((await play(runtime, { agent: "drops", input: "?" })).run).toMatchObject({ status: "done", output: "two" });
    expect((await play(runtime, { agent: "fails", input: "?" })).run).toMatchObject({ status: "failed", error: { code: "empty" } });
    expect((await play(runtime, { agent: "needs", input: "?" })).run).toMatchObject({
      status: "failed",
      error: { message: expect.stringContaining("1 of 2 parts answered, 2 are needed") },
    });
  });
});

describe("map-reduce", () => {
  const text = Array.from({ length: 40 }, (_, i) => `Paragraph ${i} says that the number is ${i}.`).join("\n\n");
  const reader = single("reader");
  const writer = single("writer");
  test("chunks in order, level by level, with progress", async () => {
    const { runtime } = await world(
      (request) => ({ text: who(request) === "writer" ? `sum(${question(request).match(/<part/g)?.length})` : "m" }),
      {
        agents: [
          mapReduce({ name: "summary", map: reader, reduce: writer, chunk: { tokens: 40 }, fan_in: 4, width: 3 }),
          mapReduce({ name: "short", map: reader, reduce: writer, chunk: { tokens: 60, max: 3 } }),
          mapReduce({ name: "asks", map: reader, reduce: writer, chunk: { tokens: 60 }, confirm_above_chunks: 3 }),
        ],
      },
    );
    const { run, events } = await play(runtime, { agent: "summary", input: text });
    expect(run.status).toBe("done");
    const maps = events.filter((event) => event.type === "progress" && event.message === "map");
    expect(maps.at(-1)).toMatchObject({ done: maps.length, total: maps.length });
    expect(maps.length).toBeGreaterThan(8);
    expect(run.calls).toBe(maps.length + Math.ceil(maps.length / 4) + 1);
    expect(answerText(events)).toBe(run.output);

    expect((await play(runtime, { agent: "short", input: text })).run).toMatchObject({
      status: "failed",
      calls: 0,
      error: { code: "too_large" },
    });

    const asking = await runtime.start({ agent: "asks", input: text });
    for await (const event of asking)
      if (event.type === "input.requested") await asking.answer({ id: event.id, approve: false, reason: "too dear" });
    expect(await asking.result()).toMatchObject({ status: "cancelled", calls: 0, error: { message: expect.stringContaining("too dear") } });
  });
});

describe("nesting", () => {
  test("an agent uses a pattern as a tool", async () => {
    const pair = fanOut({
      name: "second-opinion",
      description: "Asks two experts.",
      branches: [single("one"), single("two")],
      aggregate: "first",
      siblings: "drain",
    });
    const { runtime } = await world(
      (request) => {
        if (who(request) !== "host") return { text: who(request) };
        return said(request).at(-1)?.role === "tool"
          ? { text: `they say ${question(request)}` }
          : { tools: [{ id: "t1", name: "second-opinion", input: { input: "is it safe?" } }] };
      },
      { agents: [agent({ name: "host", instructions: "You are host.", tools: [pair] })] },
    );
    const { run, events } = await play(runtime, { agent: "host", input: "safe?" });
    expect(run).toMatchObject({ status: "done", output: "they say one", calls: 4, tool_calls: 1 });
    expect(events.flatMap((event) => (event.type === "call.started" ? [event.actor] : []))).toContain(
      "run/agent/tool-1/second-opinion/two",
    );
  });
});

test("machines hold each other, and each is described once", async () => {
  const { runtime } = await world(() => ({ text: "" }), { agents: [chain({ name: "article", stages: [single("outline")] })] });
  const described: string[] = [];
  const visit = (machine: { id: string; definition?: object; machines?: object }): void => {
    if (machine.definition) described.push(machine.id);
    for (const inner of Object.values(machine.machines ?? {})) visit(inner);
  };
  visit(runtime.machine("article") as Parameters<typeof visit>[0]);
  expect(described.toSorted()).toEqual(
    ["agent", "chain", "compaction", "fan-out", "map-reduce", "request", "router", "routing", "supervisor", "tool"].toSorted(),
  );
});
