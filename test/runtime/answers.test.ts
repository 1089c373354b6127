/** What follows an answer that was cut, long, wrong or not paid for: the policies of an agent, over a real wire. */
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { type AgentOptions, agent, type Event } from "../../src/index.ts";
import type { ChatAnswer } from "../../src/testing/fault-chat.ts";
import { type Model, world } from "./world.ts";

const price = { input_usd_per_mtok: 0, output_usd_per_mtok: 1 };
const tiers = {
  main: { provider: "self", model: "m", max_output_tokens: 100, price },
  second: { provider: "self", model: "m2", max_output_tokens: 100, price },
  judge: { provider: "self", model: "j", max_output_tokens: 100, price },
};

/** Runs one question to its end; the models answer in turn, by name. */
async function play(options: Partial<AgentOptions>, answers: { [model: string]: (ChatAnswer | Error)[] }) {
  const model: Model = (request) => {
    const { model: name } = request.json();
    const next = answers[name]?.shift();
    if (!next) throw new Error(`the model ${name} was asked once more than the test says`);
    if (next instanceof Error) throw next;
    return next;
  };
  const { runtime, provider } = await world(model, {
    tiers,
    agents: [
      agent({
        name: "a",
        machine: "single",
        tiers: ["main", "second"],
        backoff: { first_ms: 1, max_ms: 2 },
        limits: { max_calls: 20 },
        ...options,
      }),
    ],
  });
  const run = await runtime.start({ agent: "a", input: "What is it?" });
  const events: Event[] = [];
  for await (const event of run) events.push(event);
  const of = <T extends Event["type"]>(type: T) => events.filter((event): event is Event & { type: T } => event.type === type);
  const ended = await run.result();
  // What a reader has in the end: all deltas but those of retracted calls.
  const retracted = new Set(of("retract").map(({ call }) => call));
  const internal = new Set(of("call.started").flatMap(({ call, for: whose }) => (whose === "internal" ? [call] : [])));
  const seen = of("text.delta").filter(({ call }) => !retracted.has(call) && !internal.has(call));
  for (const { call, text } of of("call.finished")) {
    if (internal.has(call)) continue;
    expect(
      of("text.delta")
        .filter((delta) => delta.call === call)
        .map((delta) => delta.text)
        .join(""),
    ).toBe(text);
  }
  const asked = provider.book.entries.map(({ request }) => request.json());
  return { ended, events, of, asked, seen: seen.map(({ text }) => text).join("") };
}

describe("a tier", () => {
  test("has its own prompt, parameters, tokens and timeouts where the agent says so", async () => {
    const { ended, asked, of } = await play(
      {
        instructions: "Be kind.",
        retries: 0,
        tiers: [
          { tier: "main", timeouts: { headers_ms: 50 } },
          { tier: "second", instructions: "Be brief.", parameters: { temperature: 0 }, max_output_tokens: 7 },
        ],
      },
      { m: [{ text: "late", headersDelayMs: 3_000 }], m2: [{ text: "It is so." }] },
    );
    expect(ended).toMatchObject({ status: "done", output: "It is so.", tier: "second" });
    expect(of("request.fell_back")).toMatchObject([{ from: "main", to: "second", reason: "timeout" }]);
    expect(asked[0]).toMatchObject({ max_tokens: 100, messages: [{ role: "system", content: "Be kind." }, {}] });
    expect(asked[1]).toMatchObject({ max_tokens: 7, temperature: 0, messages: [{ role: "system", content: "Be brief." }, {}] });
  });

  test("that is too dear for what is left is left for a cheaper one", async () => {
    const dear = { ...tiers.main, price: { input_usd_per_mtok: 0, output_usd_per_mtok: 10_000 } };
    const model: Model = () => ({ text: "Cheap." });
    const { runtime } = await world(model, {
      tiers: { ...tiers, main: dear },
      agents: [
        agent({ name: "a", machine: "single", tiers: ["main", "second"], on_budget: "cheaper", limits: { max_cost_microusd: 200 } }),
      ],
    });
    const run = await runtime.start({ agent: "a", input: "?" });
    expect(await run.result()).toMatchObject({ status: "done", output: "Cheap.", tier: "second", calls: 2 });
  });
});

describe("an answer that hits its token limit", () => {
  const cut = { text: "One two", finish: "length" };
  test("fails with what there is", async () => {
    const { ended, seen } = await play({}, { m: [cut] });
    expect(ended).toMatchObject({ status: "failed", output: "One two", error: { code: "truncated" } });
    expect(seen).toBe("One two");
  });

  test("is gone on with, and is one answer", async () => {
    const { ended, seen, asked, of } = await play(
      { on_length: "continue" },
      { m: [cut, { text: " three", finish: "length" }, { text: " four." }] },
    );
    expect(ended).toMatchObject({ status: "done", output: "One two three four.", calls: 3, steps: 1 });
    expect(seen).toBe("One two three four.");
    expect(of("retract")).toEqual([]);
    expect(of("request.retrying").map(({ reason }) => reason)).toEqual(["truncated", "truncated"]);
    expect(asked[2].messages.slice(1)).toMatchObject([{ role: "assistant", content: "One two three" }, { role: "user" }]);
  });

  test("is gone on with three times at most", async () => {
    const { ended } = await play({ on_length: "continue" }, { m: [cut, cut, cut, cut] });
    expect(ended).toMatchObject({ status: "failed", output: "One twoOne twoOne twoOne two", error: { code: "truncated" }, calls: 4 });
  });

  test("is an object only when it is whole", async () => {
    const { ended, seen } = await play(
      { on_length: "continue", output: z.object({ name: z.string(), age: z.number() }) },
      { m: [{ text: '{"name":"Ada",', finish: "length" }, { text: '"age":36}' }] },
    );
    expect(ended).toMatchObject({ status: "done", output: { name: "Ada", age: 36 } });
    expect(seen).toBe('{"name":"Ada","age":36}');
  });
});

describe("a stream that breaks after text was shown", () => {
  const broken: ChatAnswer = { text: "One two three", cut: { after: 2, by: "reset" } };
  test("is taken back and answered anew", async () => {
    const { ended, seen, of } = await play({}, { m: [broken, { text: "Whole." }] });
    expect(ended).toMatchObject({ status: "done", output: "Whole." });
    expect(of("retract")).toMatchObject([{ reason: "interrupted" }]);
    expect(seen).toBe("Whole.");
  });

  test("is gone on with, over tiers too", async () => {
    const { ended, seen, asked, of } = await play(
      { on_cut: "continue", retries: 1 },
      { m: [broken, { text: " drei vier", cut: { after: 1, by: "reset" } }], m2: [{ text: " four." }] },
    );
    expect(ended).toMatchObject({ status: "done", output: "One two drei four.", tier: "second", calls: 3 });
    expect(seen).toBe("One two drei four.");
    expect(of("retract")).toEqual([]);
    expect(asked[2].messages.slice(1)).toMatchObject([{ role: "assistant", content: "One two drei" }, { role: "user" }]);
  });

  test("is kept, and the run says that it broke", async () => {
    const { ended, seen, of } = await play({ on_cut: "keep" }, { m: [broken] });
    expect(ended).toMatchObject({ status: "failed", output: "One two", error: { code: "interrupted" }, calls: 1 });
    expect(of("retract")).toEqual([]);
    expect(seen).toBe("One two");
  });

  test("gives what there was when nobody goes on with it", async () => {
    const { ended, seen } = await play({ on_cut: "continue", retries: 0, tiers: ["main"] }, { m: [broken] });
    expect(ended).toMatchObject({ status: "failed", output: "One two", error: { code: "interrupted" } });
    expect(seen).toBe("One two");
  });
});

describe("a checked stream", () => {
  test("shows nothing that has not passed its checks, and takes nothing back", async () => {
    const { ended, of, seen } = await play(
      { stream: "checked", output: z.object({ ok: z.boolean() }) },
      {
        m: [{ text: '{"ok": "no"}' }, { text: "One two three", cut: { after: 2, by: "reset" } }, { text: '{"ok": true}' }],
      },
    );
    expect(ended).toMatchObject({ status: "done", output: { ok: true }, calls: 3 });
    expect(of("text.delta").map(({ text }) => text)).toEqual(['{"ok": true}']);
    expect(of("call.finished").map(({ text }) => text)).toEqual(["", "", '{"ok": true}']);
    expect(of("retract")).toEqual([]);
    expect(of("partial")).toEqual([]);
    expect(seen).toBe('{"ok": true}');
  });

  test("goes with neither continuing nor keeping", async () => {
    await expect(play({ stream: "checked", on_cut: "keep" }, {})).rejects.toThrow(/stream "checked".*leave out on_length and on_cut/);
  });
});

describe("an object that is being written", () => {
  test("is told as it grows, and is whole at the end", async () => {
    // Within the 100 tokens of its tier.
    const list = Array.from({ length: 20 }, (_, i) => `item ${i}`);
    const text = JSON.stringify({ list }).match(/.{1,5}/g) ?? [];
    const { ended, of } = await play({ output: z.object({ list: z.array(z.string()) }) }, { m: [{ text, paceMs: 1 }] });
    expect(ended).toMatchObject({ status: "done", output: { list } });
    const partials = of("partial").map(({ value }) => (value as { list?: string[] }).list ?? []);
    expect(partials.length).toBeGreaterThan(3);
    for (const [i, partial] of partials.entries()) {
      expect(partial.length).toBeGreaterThanOrEqual(partials[i - 1]?.length ?? 0);
      expect(list.slice(0, Math.max(0, partial.length - 1))).toEqual(partial.slice(0, -1));
    }
  });
});

describe("a validator", () => {
  const short = { name: "short", check: ({ text }: { text: string }) => (text.length > 8 ? "It is too long." : null) };
  test("that complains has the model answer again, with the reason", async () => {
    const { ended, asked, of, seen } = await play({ validators: [short] }, { m: [{ text: "Far too long." }, { text: "Short." }] });
    expect(ended).toMatchObject({ status: "done", output: "Short.", calls: 2 });
    expect(asked[1].messages.at(-1).content).toContain("It is too long.");
    expect(of("request.retrying")).toMatchObject([{ reason: "invalid_output" }]);
    expect(seen).toBe("Short.");
  });

  test("that hears the same answer twice leaves the tier", async () => {
    const { ended, of } = await play(
      { validators: [short] },
      { m: [{ text: "Far too long." }, { text: "Far too long." }], m2: [{ text: "Short." }] },
    );
    expect(ended).toMatchObject({ status: "done", tier: "second" });
    expect(of("request.fell_back")).toMatchObject([{ reason: "identical_failure" }]);
  });

  test("that does not block only says what it found", async () => {
    const { ended, of } = await play({ validators: [{ ...short, blocking: false }] }, { m: [{ text: "Far too long." }] });
    expect(ended).toMatchObject({ status: "done", output: "Far too long.", calls: 1 });
    expect(of("data")).toMatchObject([{ name: "validation", data: { call: "c0", validator: "short", problem: "It is too long." } }]);
  });

  test("that throws has complained", async () => {
    const broken = {
      name: "broken",
      check: () => {
        throw new Error("no dictionary");
      },
    };
    const { ended } = await play({ validators: [broken], retries: 0, tiers: ["main"] }, { m: [{ text: "Fine." }] });
    expect(ended).toMatchObject({
      status: "failed",
      error: { code: "invalid_output", message: expect.stringContaining('the check "broken" failed: no dictionary') },
    });
  });
});

describe("a judge", () => {
  const judge = { tier: "judge", criteria: "The answer names a colour." };
  test("lets a good answer pass, and its call is on the bill", async () => {
    const { ended, asked, of, seen } = await play({ judge }, { m: [{ text: "Blue." }], j: [{ text: "PASS" }] });
    expect(ended).toMatchObject({ status: "done", output: "Blue.", tier: "main", calls: 2, steps: 1, cost_microusd: 2 });
    expect(of("call.started").map(({ for: whose, tier }) => [whose, tier])).toEqual([
      ["answer", "main"],
      ["internal", "judge"],
    ]);
    expect(asked[1].messages.at(-1).content).toContain("<answer>\nBlue.\n</answer>");
    expect(seen).toBe("Blue.");
  });

  test("that refuses has the model answer again, with the reason", async () => {
    const { ended, asked, seen, of } = await play(
      { judge },
      { m: [{ text: "Seven." }, { text: "Blue." }], j: [{ text: "FAIL: seven is no colour" }, { text: "PASS" }] },
    );
    expect(ended).toMatchObject({ status: "done", output: "Blue.", calls: 4 });
    expect(asked[2].messages.at(-1).content).toContain("seven is no colour");
    expect(of("retract")).toHaveLength(1);
    expect(seen).toBe("Blue.");
  });

  test("that cannot be asked lets nothing pass", async () => {
    const unwell = { text: "", cut: { after: 0, by: "error" as const } };
    const { ended, seen } = await play({ judge, degraded: "Sorry.", tiers: ["main"], retries: 0 }, { m: [{ text: "Blue." }], j: [unwell] });
    expect(ended).toMatchObject({ status: "degraded", output: "Sorry.", tier: "degraded" });
    expect(seen).toBe("");
  });
});
