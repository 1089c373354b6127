/**
 * What is asked and what is answered: the one text that the fake provider and every contestant agree on, so that a
 * contestant that lost a token fails instead of looking fast.
 */

/** How the provider answers; it is the first segment of the path, so a contestant chooses it by its base URL. */
export type Way = "json" | "burst" | "paced" | "loop" | "hang";
export const ways: readonly Way[] = ["json", "burst", "paced", "loop", "hang"];
export const isStreamed = (way: Way): boolean => way === "burst" || way === "paced" || way === "hang";

/** A model with a known price: ours makes no call without one. */
export const model = "gpt-4o-mini";
export const question = "Why does a mechanical clock need an escapement?";
export const instructions = "Answer briefly.";
export const maxTokens = 1_000;

const vocabulary = [
  " the",
  " spring",
  " gives",
  " its",
  " energy",
  " one",
  " tooth",
  " at",
  " a",
  " time",
  ",",
  " and",
  " then",
  " waits",
  ".",
];
const tokens = (count: number): string[] => Array.from({ length: count }, (_, i) => vocabulary[i % vocabulary.length]!);

/** Tokens of each way's answer, in the order in which they are sent. A hanging stream stops after these, without an end. */
export const answerTokens: Readonly<Record<Way, readonly string[]>> = {
  json: tokens(200),
  burst: tokens(500),
  paced: tokens(250),
  loop: tokens(50),
  hang: tokens(10),
};
export const answers: Readonly<Record<Way, string>> = {
  json: answerTokens.json.join(""),
  burst: answerTokens.burst.join(""),
  paced: answerTokens.paced.join(""),
  loop: answerTokens.loop.join(""),
  hang: answerTokens.hang.join(""),
};

/** Turns of the loop that ask for the tool; the next one answers. */
export const toolTurns = 5;
export const toolName = "lookup";
export const toolDescription = "Looks a step up in the manual.";
export const toolSchema = {
  type: "object",
  properties: { step: { type: "integer" } },
  required: ["step"],
  additionalProperties: false,
} as const;
export const lookup = (step: number): string =>
  `Step ${step}: turn the crown ${step} times clockwise, then listen for the beat of the balance.`;
