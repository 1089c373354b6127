/**
 * How much redaction misses and how much it hides for nothing. `REDACTION_ITEMS=50000 npx vitest run test/safety/corpus.test.ts` is the
 * long form. FAULTS X14: at most 0.1 % missed, also when it comes in pieces.
 */
import { expect, test } from "vitest";
import { redaction } from "../../src/safety/redaction.ts";
import { cleanProse, corpus, type Item, random } from "./corpus.ts";

const size = Number(process.env.REDACTION_ITEMS ?? 5_500);
const door = redaction();
const items = corpus(size);

/** A value shows when a part of it does that says something: more than its last four digits. */
function shows({ value }: Item, shown: string): boolean {
  if (shown.includes(value)) return true;
  const rest = Math.min(value.length, 8);
  for (let at = 0; at + rest <= value.length; at++) if (shown.includes(value.slice(at, at + rest))) return true;
  return false;
}

function rate(what: string, missed: readonly Item[], of: number): number {
  const kinds = Object.entries(Object.groupBy(missed, ({ kind }) => kind)).map(([kind, all]) => `${kind} ${all?.length}`);
  console.log(`${what}: ${missed.length} of ${of} missed (${((100 * missed.length) / of).toFixed(3)} %) ${kinds.join(", ")}`);
  for (const { kind, value } of missed.slice(0, 3)) console.log(`  ${kind}: ${JSON.stringify(value.slice(0, 60))}`);
  return missed.length / of;
}

const streamed = (text: string, cuts: readonly number[]): string => {
  const stream = door.stream();
  let shown = "";
  let from = 0;
  for (const to of [...cuts, text.length]) {
    shown += stream.push(text.slice(from, to));
    from = to;
  }
  return shown + stream.end();
};

const everywhere = (text: string): number[] => [...Array(text.length).keys()];

test("whole texts", () => {
  const missed = items.filter((item) => shows(item, door.text(item.sentence)));
  expect(rate("whole", missed, items.length)).toBeLessThanOrEqual(0.001);
});

test("as JSON, and as JSON within JSON", () => {
  const missed = items.filter(
    (item) =>
      shows(item, door.text(JSON.stringify({ said: item.sentence }))) ||
      shows(item, door.text(JSON.stringify(JSON.stringify([item.sentence])))),
  );
  expect(rate("as JSON", missed, items.length)).toBeLessThanOrEqual(0.001);
});

test("each cut in two at every place", () => {
  let cuts = 0;
  const missed: Item[] = [];
  for (const item of items.slice(0, Math.ceil(size / 20))) {
    const at = item.sentence.indexOf(item.value);
    for (let cut = at; cut <= at + item.value.length; cut++) {
      cuts++;
      if (shows(item, streamed(item.sentence, [cut]))) missed.push(item);
    }
  }
  expect(rate("cut in two", missed, cuts)).toBeLessThanOrEqual(0.001);
});

test("character by character, and in pieces of chance, one behind the other", () => {
  const single = items.filter((item) => shows(item, streamed(item.sentence, everywhere(item.sentence))));
  expect(rate("character by character", single, items.length)).toBeLessThanOrEqual(0.001);
  const next = random(3);
  const text = items.map(({ sentence }) => sentence).join(" ");
  const cuts: number[] = [];
  for (let at = 0; at < text.length; at += 1 + Math.floor(next() * 40)) cuts.push(at);
  const shown = streamed(text, cuts);
  const missed = items.filter(({ kind, value }) => (kind === "private key" ? shown.includes(value.slice(0, 40)) : shown.includes(value)));
  expect(rate("one long stream", missed, items.length)).toBeLessThanOrEqual(0.001);
});

test("clean prose is left as it is, whole and streamed", () => {
  const clean = cleanProse(Math.max(2_000, size / 5));
  const hidden = clean.filter((text) => door.text(text) !== text);
  const words = clean.reduce((sum, text) => sum + text.split(" ").length, 0);
  console.log(`clean prose: ${hidden.length} of ${clean.length} sentences (${words} words) lost something`);
  for (const text of hidden.slice(0, 5)) console.log(`  ${/.{0,30}\[redacted.{0,30}/.exec(door.text(text))?.[0]}`);
  expect(hidden.length / words).toBeLessThanOrEqual(0.0005);
  for (const text of clean.slice(0, 200)) expect(streamed(text, everywhere(text))).toBe(door.text(text));
});
