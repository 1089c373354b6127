/** Scorers over answers as plain data: what each gives for what. Those that run models are in `evaluate.test.ts`. */
import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { Answer, CaseScorer, JudgedAnswer, Scored, Scorer } from "../../src/evals/scorer.ts";
import { calibration } from "../../src/evals/scorers/calibration.ts";
import { consistency } from "../../src/evals/scorers/consistency.ts";
import { exact } from "../../src/evals/scorers/exact.ts";
import { grounding } from "../../src/evals/scorers/grounding.ts";
import { regex } from "../../src/evals/scorers/regex.ts";
import { schema } from "../../src/evals/scorers/schema.ts";
import { similarity } from "../../src/evals/scorers/similarity.ts";
import { textOf } from "../../src/evals/words.ts";
import type { Fact } from "../../src/protocol/events.ts";
import type { Json } from "../../src/protocol/json.ts";
import type { Run } from "../../src/protocol/run.ts";

function answer(output: Json, expect?: Json, more: { metadata?: { [key: string]: Json }; facts?: object[] } = {}): Answer {
  const { metadata, facts = [] } = more;
  return {
    case: { id: "c", input: "?", ...(expect !== undefined && { expect }), ...(metadata && { metadata }) },
    // What a scorer reads of a run is its output and its facts.
    run: { id: "r", output } as unknown as Run,
    output,
    text: textOf(output),
    facts: async () => facts as Fact[],
  };
}

const context = { run: () => Promise.reject(new Error("no model here")), spend: () => {} };
async function scored(scorer: Scorer, one: Answer): Promise<Scored | null> {
  if (scorer.of !== "answer") throw new Error("it scores no single answer");
  return scorer.score(one, context);
}
const score = async (scorer: Scorer, one: Answer) => (await scored(scorer, one))?.score;

describe("exact", () => {
  it("compares values, and texts without the spaces around them", async () => {
    expect(await scored(exact(), answer(" yes\n", "yes"))).toEqual({ score: 1, pass: true, reason: "as expected" });
    expect(await scored(exact(), answer("yes!", "yes"))).toEqual({ score: 0, pass: false, reason: '"yes!" is not "yes"' });
    expect(await score(exact(), answer("Yes", "yes"))).toBe(0);
    expect(await score(exact({ ignore_case: true }), answer("Yes", "yes"))).toBe(1);
    expect(await score(exact(), answer({ b: [1], a: 2 }, { a: 2, b: [1] }))).toBe(1);
    expect(await score(exact(), answer(null, null))).toBe(1);
    expect(await scored(exact(), answer("yes"))).toBeNull();
  });

  it("of a member compares it with the expected member or value", async () => {
    const label = exact({ member: "label" });
    expect(await score(label, answer({ label: "spam", sure: 1 }, "spam"))).toBe(1);
    expect(await score(label, answer({ label: "spam" }, { label: "spam", note: "-" }))).toBe(1);
    expect(await score(label, answer("spam", "spam"))).toBe(0);
    expect(await score(label, answer({}, "spam"))).toBe(0);
  });
});

describe("schema", () => {
  it("takes zod and JSON Schema, reads a text as JSON, and says what does not fit", async () => {
    const zod = schema(z.object({ n: z.number() }));
    expect(await score(zod, answer({ n: 1 }))).toBe(1);
    expect(await score(zod, answer('{"n": 1}'))).toBe(1);
    expect(await scored(zod, answer({ n: "1" }))).toEqual({ score: 0, pass: false, reason: "n must be a number" });
    expect(await scored(zod, answer("no JSON"))).toMatchObject({ score: 0, reason: "the answer must be an object" });
    const json = schema({ type: "object", properties: { n: { type: "integer" } }, required: ["n"] });
    expect(await score(json, answer({ n: 1 }))).toBe(1);
    expect(await score(json, answer({}))).toBe(0);
  });
});

describe("regex", () => {
  it("finds its pattern, or that of the case, or that it is absent", async () => {
    expect(await score(regex("\\b391\\b"), answer("It is 391."))).toBe(1);
    expect(await scored(regex("\\b391\\b"), answer("It is 3910."))).toEqual({ score: 0, pass: false, reason: "/\\b391\\b/ is not found" });
    expect(await score(regex(), answer("It is 391.", "39[12]"))).toBe(1);
    expect(await score(regex("(?i)sorry", { absent: true }), answer("Sorry."))).toBe(0);
    expect(await scored(regex(), answer("x"))).toBeNull();
    expect(() => regex("(a)\\1")).toThrow(/no pattern of RE2/);
  });

  it("takes linear time whatever the pattern", async () => {
    expect(await score(regex("(a+)+$"), answer(`${"a".repeat(50_000)}b`))).toBe(0);
  });
});

describe("similarity", () => {
  it("by words is named so, and is the F1 of shared words", async () => {
    const lexical = similarity({ by: "lexical" });
    expect(lexical.name).toBe("similarity (lexical)");
    expect(await score(lexical, answer("The capital is Paris", "the capital is paris."))).toBe(1);
    expect(await score(lexical, answer("a b b", "a b c d e"))).toBeCloseTo(4 / 8);
    expect(await score(lexical, answer("", "a"))).toBe(0);
    expect(await scored(lexical, answer("a"))).toBeNull();
  });

  it("by the local model tells what means the same from what does not", { timeout: 30_000 }, async () => {
    const given = similarity();
    const local = (await given.open?.()) ?? given;
    try {
      expect(local.name).toBe("similarity");
      const near = (await score(local, answer("Paris is the capital of France", "The capital city of France is Paris"))) ?? 0;
      const far = (await score(local, answer("I like to bake bread on Sundays", "The capital city of France is Paris"))) ?? 1;
      expect(near).toBeGreaterThan(0.8);
      expect(far).toBeLessThan(0.5);
    } finally {
      await given.close?.();
    }
  });
});

describe("grounding", () => {
  const source = "The warranty lasts 24 months from delivery. Batteries are excluded from it. Repairs are free of charge within Europe.";
  const about = { metadata: { sources: [source] } };

  it("is the share of sentences that the sources support, and names the first that they do not", async () => {
    expect(await score(grounding(), answer("The warranty lasts 24 months. Batteries are excluded.", undefined, about))).toBe(1);
    const half = await scored(grounding(), answer("Batteries are excluded. Shipping to Mars costs nothing extra.", undefined, about));
    expect(half).toMatchObject({ score: 0.5, pass: false });
    expect(half?.reason).toBe('1 of 2 sentences are supported, by words; not: "Shipping to Mars costs nothing extra."');
  });

  it("a number that no source has is not supported, however near the words are", async () => {
    expect(await score(grounding(), answer("The warranty lasts 36 months from delivery.", undefined, about))).toBe(0);
  });

  it("takes what tools returned and citations as sources; without any it has nothing to say", async () => {
    const facts = [
      { type: "tool.returned", output: { text: "The warranty lasts 24 months." } },
      { type: "data", name: "source", data: { text: "Batteries are excluded." } },
      { type: "data", name: "other", data: "Shipping costs extra." },
    ];
    expect(await score(grounding(), answer("The warranty lasts 24 months.\nBatteries are excluded.", undefined, { facts }))).toBe(1);
    expect(await score(grounding(), answer("Shipping costs extra.", undefined, { facts }))).toBe(0);
    expect(await scored(grounding(), answer("Anything."))).toBeNull();
  });
});

describe("consistency", () => {
  const of = async (scorer: CaseScorer, outputs: (Json | undefined)[]) =>
    scorer.score(
      outputs.map((output) => (output === undefined ? undefined : answer(output))),
      context,
    );

  it("is the share of pairs that agree; one that gave no answer agrees with none", async () => {
    expect(await of(consistency(), ["a", " a", "a"])).toMatchObject({ score: 1, pass: true });
    expect(await of(consistency(), ["a", "a", "b"])).toMatchObject({
      score: 1 / 3,
      pass: false,
      reason: expect.stringContaining("2 different"),
    });
    expect(await of(consistency(), ["a", undefined])).toMatchObject({ score: 0 });
    expect(await of(consistency(), [undefined, undefined])).toMatchObject({ score: 0 });
    expect(
      await of(consistency({ member: "l" }), [
        { l: 1, why: "x" },
        { l: 1, why: "y" },
      ]),
    ).toMatchObject({ score: 1 });
    expect(await of(consistency({ by: "lexical" }), ["it is red", "it is blue"])).toMatchObject({
      score: expect.closeTo(2 / 3),
      pass: false,
    });
    expect(await of(consistency(), ["a"])).toBeNull();
  });
});

describe("calibration", () => {
  const judged = (sure: number | undefined, right: boolean): JudgedAnswer => ({
    answer: answer(sure === undefined ? "x" : { confidence: sure }),
    scores: { exact: { score: right ? 1 : 0, pass: right, reason: "" } },
  });
  const times = (n: number, one: () => JudgedAnswer): JudgedAnswer[] => Array.from({ length: n }, one);

  it("is 1 less the expected calibration error; the Brier score is told", async () => {
    const good = [...times(8, () => judged(0.8, true)), ...times(2, () => judged(0.8, false))];
    expect(await calibration().score(good)).toMatchObject({
      score: expect.closeTo(1),
      pass: true,
      reason: expect.stringContaining("Brier 0.160"),
    });
    // Over and under its confidence: apart, 0.5 * 0.6 + 0.5 * 0.31; in one bin they make up for each other in part.
    const mixed = [...times(5, () => judged(0.6, false)), ...times(5, () => judged(0.69, true))];
    expect(await calibration({ bins: 50 }).score(mixed)).toMatchObject({ score: expect.closeTo(1 - 0.455), pass: false });
    expect(await calibration().score(mixed)).toMatchObject({ score: expect.closeTo(1 - 0.145) });
  });

  it("takes what the provider told where the answer does not say, and leaves out who says nothing", async () => {
    const facts = [{ type: "call.finished", confidence: 0.25 }, { type: "call.finished", confidence: 0.75 }, { type: "call.finished" }];
    const told = { answer: answer("x", undefined, { facts }), scores: { exact: { score: 1, pass: true, reason: "" } } };
    expect(await calibration().score([told, judged(undefined, false)])).toMatchObject({ score: expect.closeTo(0.75) });
    expect(await calibration().score([judged(undefined, true)])).toBeNull();
  });
});
