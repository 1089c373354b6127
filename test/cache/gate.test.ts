import { describe, expect, test } from "vitest";
import { difference } from "../../src/cache/gate.ts";
import { localEmbedder } from "../../src/embeddings/local.ts";
import { hits, measure } from "./measure.ts";
import { half, pairs } from "./pairs.ts";

const table = (text: string) =>
  text
    .trim()
    .split("\n")
    .map((line) => line.split("|").map((part) => part.trim()) as [string, string, string]);

test.each(
  table(`
    negation   | Why does it work?                  | Why doesn't it work?
    negation   | Can I pay with cash?               | Can I pay without cash?
    negation   | Show all users                     | Show all users except Anna
    word       | Is it possible?                    | Is it impossible?
    number     | Is 10 enough?                      | Is eleven enough?
    number     | What changed in version 2.1?       | What changed in version 2.10?
    number     | Who was Henry II?                  | Who was Henry VIII?
    number     | Is the first one free?             | Is the second one free?
    number     | Is -5 allowed?                     | Is 5 allowed?
    number     | Is the shop open on May 3rd?       | Is the shop open on May 4th?
    word       | Is 5 + 3 prime?                    | Is 5 - 3 prime?
    word       | Wake me at 7 am                    | Wake me at 7 p.m.
    word       | Take 5 mg                          | Take 5 g
    word       | Is it cheaper in Rome?             | Is it cheaper in Paris?
    word       | Is C faster?                       | Is C++ faster?
    word       | What is vitamin A?                 | What is vitamin C?
    word       | Is it legal in the US?             | Is it legal for us?
    word       | Do I have to pay?                  | Do I pay?
    word       | What do bored people do?           | What do boring people do?
    word       | Who was killed by Brutus?          | Who killed Brutus?
    order      | Is A4 larger than B5?              | Is B5 larger than A4?
    order      | Move it from disk to tape          | Move it from tape to disk
    person     | Who did he call?                   | Who called him?
    person     | Can I call you?                    | Can you call me?
    question   | When is it due?                    | Where is it due?
    question   | What is he like?                   | What does he like?
    time       | Is the line busy?                  | Was the line busy?
    question   | Does this machine work?            | Is this machine working?
    time       | Can the chicken cook?              | Can the chicken be cooked?
    preposition| Is it closed in 5 days?            | Is it closed for 5 days?
    preposition| How do I charge my phone?          | How do I charge for my phone?
    preposition| How do I get on the bus?           | How do I get the bus?
    preposition| Should I stop to smoke?            | Should I stop smoking?
    word       | Can I have a refund?               | Can I refund?
    word       | Is A and B true?                   | Is A or B true?
    word       | Is it also free?                   | Is it free?
    word       | Who might win?                     | Who can win?
    word       | Is 1 > 2?                          | Is 1 < 2?
    word       | What is a[0]?                      | What is a{0}?
    word       | What is @property?                 | What is property?
    word       | What is 5!                         | What is 5?
    word       | Ist der Laden offen?               | Ist der Laden zu?
    word       | 首都はどこですか                     | 首都はどこでしたか
  `),
)("%s: %s / %s", (why, a, b) => {
  expect([difference(a, b), difference(b, a)]).toEqual([why, why]);
});

test.each(
  table(`
    | How do I delete my account?        | Hello! Please tell me how to delete my account
    | What's twelve times seven?         | What is 12 * 7?
    | What is 1,000 dollars in euros?    | What is $1000 in €?
    | It isn't here                      | It is not here.
    | My order hasn't arrived            | My order has not arrived yet
    | What is France's capital?          | What is the capital of France?
    | Is the file 5MB?                   | Is the file 5 megabytes?
  `).map(([, a, b]) => [a, b] as const),
)("the same: %s / %s", (a, b) => {
  expect(difference(a, b)).toBeNull();
});

test("a question differs from itself with any word that matters denied or exchanged", () => {
  const fillers = new Set("the a an of is are am was were do does did it please to for in on at with my me i and".split(" "));
  for (const { a } of pairs) {
    expect(difference(a, a), a).toBeNull();
    const words = a.replace(/[?.]$/, "").split(" ");
    for (const [i, word] of words.entries()) {
      if (i === 0 || fillers.has(word.toLowerCase())) continue;
      expect(difference(a, words.with(i, "zebra").join(" ")), `${a}: ${word} exchanged`).not.toBeNull();
      expect(difference(a, words.with(i, `not ${word}`).join(" ")), `${a}: ${word} denied`).not.toBeNull();
    }
  }
});

test("texts of any kind are read in time", () => {
  const long = "what is ".repeat(250);
  for (const text of ["", "?", "\ud800", "'s 's 's", "a".repeat(2_000), "1,".repeat(1_000), long, "how do i ".repeat(220), "- -1--2 ---"]) {
    expect(difference(text, text)).toBeNull();
    expect(() => difference(text, "What is it?")).not.toThrow();
  }
});

/** `npm run semantic` shows 20 and 24; other processors round otherwise. */
describe.each([
  ["tuned", 18],
  ["held out", 22],
] as const)("the %s half of the pair list", (which, floor) => {
  test("no pair that needs another answer is served, and paraphrases are", async () => {
    const embedder = localEmbedder({ timeoutMs: 60_000 });
    try {
      const measured = await measure(half(pairs, which), embedder);
      expect(measured.length).toBeGreaterThanOrEqual(100);
      const { right, wrong } = hits(measured, embedder.threshold);
      expect(wrong).toBe(0);
      expect(right).toBeGreaterThanOrEqual(floor);
      // Whatever the embedder finds: the gate alone lets none of them through.
      expect(hits(measured, -1).wrong).toBe(0);
      // Without the gate most of them would be served: the list is hard.
      expect(hits(measured, embedder.threshold, false).wrong).toBeGreaterThan(60);
    } finally {
      await embedder.close();
    }
  });
});
