/** Conversations that grow too long, over a real wire: what is sent, what it costs, what the session's next run begins with. */
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { type AgentOptions, agent, type Event, type Runtime, tool } from "../../src/index.ts";
import { loadTokenizer } from "../../src/money/tokens.ts";
import type { ChatAnswer } from "../../src/testing/fault-chat.ts";
import { json } from "../../src/testing/fault-script.ts";
import type { FaultRequest } from "../../src/testing/fault-server.ts";
import { type Model, world } from "./world.ts";

const price = { input_usd_per_mtok: 0, output_usd_per_mtok: 1 };
const tiers = {
  main: { provider: "self", model: "m", max_output_tokens: 100, price, context_tokens: 4_000 },
  large: { provider: "self", model: "l", max_output_tokens: 100, price },
  cheap: { provider: "self", model: "c", max_output_tokens: 100, price },
};
type Said = { role: string; content: string; tool_calls?: { id: string }[]; tool_call_id?: string };
const said = (request: FaultRequest): Said[] => request.json().messages;
const words = (n: number): string => "word ".repeat(n).trim();

async function play(options: Partial<AgentOptions>, model: Model) {
  const look = tool({
    name: "look",
    description: "Looks.",
    input: z.object({ words: z.number() }),
    class: "pure",
    run: ({ words: n }) => words(n),
  });
  await loadTokenizer();
  const { runtime, provider } = await world(model, {
    tiers,
    tools: { eyes: [look] },
    agents: [
      agent({ name: "a", tiers: ["main"], retries: 0, limits: { max_calls: 60, max_steps: 20, max_output_tokens: 100 }, ...options }),
    ],
  });
  const sent = (name: string): Said[][] =>
    provider.book.entries.flatMap(({ request }) => (request.json().model === name ? [said(request)] : []));
  return { runtime, sent, entries: provider.book.entries };
}

async function run(runtime: Runtime, input: string | object, session?: string) {
  const handle = await runtime.start({ agent: "a", input: input as string, ...(session !== undefined && { session }) });
  const events: Event[] = [];
  for await (const event of handle) events.push(event);
  const contexts = events.flatMap((event) =>
    event.type === "data" && event.name === "context" ? [event.data as Record<string, unknown>] : [],
  );
  return { ...(await handle.result()), events, contexts };
}

/** The same turns as recorded, from the journal. */
async function replays(runtime: Runtime, id: string): Promise<number> {
  let turns = 0;
  for await (const _ of runtime.replay(id)) turns++;
  return turns;
}

describe("a session", () => {
  test("keeps its last turns; a cheap tier writes down what went before, and goes on with what it wrote", async () => {
    const { runtime, sent } = await play({ machine: "single", context: { keep_turns: 2, summarise: { tier: "cheap" } } }, (request) =>
      request.json().model === "c" ? { text: `Summary ${sent("c").length}.` } : { text: `Answer to ${said(request).at(-1)?.content}` },
    );
    const runs = [];
    for (let n = 1; n <= 9; n++) runs.push(await run(runtime, `question ${n}`, "s"));
    const asked = sent("m").map((messages) => messages.map(({ content }) => content));
    const turns = asked.map((messages) => messages.filter((text) => text.startsWith("question")).length);
    // Between two and four turns, in blocks: what the conversation begins with changes every third run.
    expect(turns).toEqual([1, 2, 3, 4, 2, 3, 4, 2, 3]);
    expect(asked[4]).toEqual([
      "What was said earlier in this conversation, in short:\nSummary 1.",
      "question 4",
      "Answer to question 4",
      "question 5",
    ]);
    expect(asked[5]?.slice(0, 4)).toEqual(asked[4]);
    expect(sent("c")).toHaveLength(2);
    // The second summary goes on with the first.
    expect(sent("c")[1]?.at(-1)?.content).toMatch(/<summary>\nSummary 1\.\n<\/summary>\n<conversation>\nuser: question 4\n/);
    expect(sent("c")[1]?.at(-1)?.content).not.toContain("question 3");
    expect(runs[4]).toMatchObject({
      status: "done",
      steps: 1,
      calls: 2,
      contexts: [{ reason: "turns", turns: 3, messages: 6, results_cut: 0, summarised: true }],
    });
    expect(runs[4]?.events.filter(({ type }) => type === "call.started")).toMatchObject([
      { for: "internal", tier: "cheap" },
      { for: "answer", tier: "main" },
    ]);
    for (const { id } of runs) expect(await replays(runtime, id)).toBeGreaterThan(1);
  });

  test("drops what is older where nobody summarises, and where the summary failed", async () => {
    for (const summarise of [undefined, { tier: "cheap" }]) {
      const { runtime, sent } = await play({ machine: "single", context: { keep_turns: 1, ...(summarise && { summarise }) } }, (request) =>
        request.json().model === "c" ? json(500, {}) : { text: "Yes." },
      );
      for (let n = 1; n <= 2; n++) await run(runtime, `question ${n}`, "s");
      const third = await run(runtime, "question 3", "s");
      expect(sent("m").at(-1)).toMatchObject([{ content: "question 3" }]);
      expect(third).toMatchObject({ status: "done", contexts: [{ turns: 2, messages: 4, summarised: false }] });
      await run(runtime, "question 4", "s");
      expect(
        sent("m")
          .at(-1)
          ?.map(({ content }) => content),
      ).toEqual(["question 3", "Yes.", "question 4"]);
    }
  });
});

describe("the bound of tokens", () => {
  test("holds in each call of an agent whose tools say much; results stay with their uses", async () => {
    let step = 0;
    const { runtime, sent, entries } = await play({ tools: ["eyes"], context: { max_tokens: 3_000 } }, (request): ChatAnswer => {
      step++;
      return step < 12
        ? { text: "", tools: [{ id: `u${step}`, name: "look", input: { words: 300 + step } }] }
        : { text: `${said(request).length}` };
    });
    const ended = await run(runtime, "Look around.");
    expect(ended).toMatchObject({ status: "done", steps: 12 });
    expect(ended.contexts.length).toBeGreaterThan(0);
    // Compacted in blocks: far fewer times than there are steps.
    expect(ended.contexts.length).toBeLessThan(5);
    for (const messages of sent("m")) {
      expect(messages[0]).toMatchObject({ role: "user", content: "Look around." });
      const uses = messages.flatMap(({ tool_calls }) => tool_calls?.map(({ id }) => id) ?? []);
      expect(messages.flatMap(({ tool_call_id }) => tool_call_id ?? [])).toEqual(uses);
      expect(JSON.stringify(messages).length).toBeLessThan(3_000 * 6);
    }
    // Of a refused call nothing is sent.
    expect(entries).toHaveLength(12);
    const told = ended.events.flatMap((event) => (event.type === "call.finished" ? [event.usage.input_tokens] : []));
    expect(told).toHaveLength(12);
    expect(await replays(runtime, ended.id)).toBeGreaterThan(12);
  });

  test("one result that is too long alone is cut to what there is room for", async () => {
    const { runtime, sent } = await play(
      { tools: ["eyes"], context: { max_tokens: 3_000 } },
      (request): ChatAnswer =>
        said(request).length === 1 ? { text: "", tools: [{ id: "u", name: "look", input: { words: 4_000 } }] } : { text: "Seen." },
    );
    const ended = await run(runtime, "Look around.");
    expect(ended).toMatchObject({ status: "done", contexts: [{ reason: "tokens", messages: 0, results_cut: 1, limit: 3_000 }] });
    const result = sent("m")[1]?.at(-1)?.content ?? "";
    expect(result).toMatch(/word … \[cut: \d+ of 19999 characters\]$|wo?r? … \[cut: \d+ of 19999 characters\]$/);
    expect(result.length).toBeGreaterThan(2_000);
  });

  test("a question that is too long alone is an error with the numbers, and nothing is sent", async () => {
    const { runtime, entries } = await play({ machine: "single", context: { max_tokens: 500 } }, () => ({ text: "No." }));
    const ended = await run(runtime, words(2_000));
    expect(ended).toMatchObject({ status: "failed", calls: 0, error: { code: "context_too_long", details: { limit: 500 } } });
    expect(ended.error?.message).toMatch(/context\.max_tokens allows 500; shorten the input or raise it/);
    expect(ended.error?.details).not.toHaveProperty("sizes");
    expect(entries).toHaveLength(0);
  });

  test("a tier with a larger context is the next step where nothing more can go", async () => {
    const { runtime, sent } = await play({ machine: "single", tiers: ["main", "large"], context: {} }, () => ({ text: "Yes." }));
    expect(await run(runtime, words(6_000))).toMatchObject({ status: "done", tier: "large", steps: 1, calls: 1 });
    expect(sent("m")).toHaveLength(0);
  });
});

describe("a provider that refuses what we held to be short enough", () => {
  const tooLong = json(400, {
    error: { message: "maximum context length exceeded", type: "invalid_request_error", code: "context_length_exceeded" },
  });
  const conversation = {
    messages: [1, 2, 3, 4]
      .flatMap((n) => [
        { role: "user", content: `question ${n} ${words(100)}` },
        { role: "assistant", content: `answer ${n}` },
      ])
      .slice(0, -1),
  };

  test("is asked once more with less", async () => {
    const { runtime, sent } = await play({ machine: "single", context: {} }, (request) =>
      said(request).length > 3 ? tooLong : { text: "Yes." },
    );
    const ended = await run(runtime, conversation);
    expect(ended).toMatchObject({ status: "done", calls: 2, steps: 1, contexts: [{ reason: "tokens", summarised: false }] });
    expect(sent("m")).toHaveLength(2);
    expect(sent("m")[1]?.at(-1)?.content).toMatch(/^question 4/);
    expect(await replays(runtime, ended.id)).toBeGreaterThan(1);
  });

  test("is left for the next tier when that is not enough, and without a policy at once", async () => {
    for (const context of [{}, undefined]) {
      const { runtime, sent } = await play({ machine: "single", tiers: ["main", "large"], ...(context && { context }) }, (request) =>
        request.json().model === "m" ? tooLong : { text: "Yes." },
      );
      expect(await run(runtime, conversation)).toMatchObject({ status: "done", tier: "large" });
      expect(sent("m").length).toBe(context ? 2 : 1);
    }
  });
});
