import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SseParser } from "../../src/providers/sse.ts";

function parse(chunks: readonly Buffer[], limit?: number): { events: string[]; overflows: number } {
  const events: string[] = [];
  let overflows = 0;
  const parser = new SseParser({ event: (data) => events.push(data) > 0, overflow: () => overflows++ }, limit);
  for (const chunk of chunks) parser.push(chunk);
  parser.end();
  return { events, overflows };
}

const cut = (bytes: Buffer, offsets: readonly number[]): Buffer[] => {
  const sorted = [0, ...new Set(offsets.map((offset) => offset % (bytes.length + 1)).sort((a, b) => a - b)), bytes.length];
  return sorted.slice(1).map((to, index) => bytes.subarray(sorted[index], to));
};

const sample =
  '\ufeff: comment\nevent: x\ndata: {"a":"grüße 世界 🌍"}\nid: 7\n\ndata:no space\n\ndata:  two spaces\ndata: second line\n\ndata\n\nretry: 5\ndatax: no\n\nevent: only\n\ndata: last\n\n';
const expected = ['{"a":"grüße 世界 🌍"}', "no space", " two spaces\nsecond line", "", "last"];

describe("events", () => {
  for (const [name, ending] of [
    ["LF", "\n"],
    ["CRLF", "\r\n"],
    ["CR", "\r"],
  ] as const) {
    const bytes = Buffer.from(sample.replaceAll("\n", ending));
    test(`are the same for every split in two (${name})`, () => {
      for (let at = 0; at <= bytes.length; at++)
        expect(parse([bytes.subarray(0, at), bytes.subarray(at)]).events, `at ${at}`).toEqual(expected);
    });
    test(`are the same for every split in three (${name})`, () => {
      for (let first = 0; first <= bytes.length; first += 1)
        for (let second = first; second <= Math.min(bytes.length, first + 6); second++)
          expect(parse([bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)]).events).toEqual(expected);
    });
    test(`are the same byte by byte (${name})`, () => {
      expect(parse(Array.from(bytes, (byte) => Buffer.of(byte))).events).toEqual(expected);
    });
  }

  test("come out as they were written, for any data, line ends and splits", () => {
    const unit = fc.constantFrom(" ", ":", "d", "a", "t", "\u0000", "\ufeff", "ü", "世", "🌍", "{", '"');
    const line = fc.string({ unit, maxLength: 30 });
    const events = fc.array(fc.array(line, { minLength: 1, maxLength: 3 }), { maxLength: 8 });
    const run = fc.property(
      events,
      fc.constantFrom("\n", "\r\n", "\r"),
      fc.array(fc.nat(), { maxLength: 20 }),
      (written, ending, offsets) => {
        const bytes = Buffer.from(written.map((lines) => lines.map((text) => `data: ${text}${ending}`).join("") + ending).join(""));
        expect(parse(cut(bytes, offsets)).events).toEqual(written.map((lines) => lines.join("\n")));
      },
    );
    fc.assert(run);
  });
});

test("an event whose blank line is missing counts at a clean end", () => {
  expect(parse([Buffer.from("data: a\n\ndata: b\n")]).events).toEqual(["a", "b"]);
  expect(parse([Buffer.from("data: a\n\ndata: b")]).events).toEqual(["a", "b"]);
  expect(parse([Buffer.from("data: a\n\n: nothing")]).events).toEqual(["a"]);
});

test("a handler that wants no more gets no more", () => {
  const events: string[] = [];
  const parser = new SseParser({ event: (data) => events.push(data) < 2, overflow: () => expect.unreachable() });
  parser.push(Buffer.from("data: 1\n\ndata: 2\n\ndata: 3\n\n"));
  parser.push(Buffer.from("data: 4\n\n"));
  parser.end();
  expect(events).toEqual(["1", "2"]);
});

test("an event larger than the limit is given up once, in one line or in many", () => {
  expect(parse([Buffer.from(`data: ${"x".repeat(50)}`), Buffer.from("x".repeat(60)), Buffer.from("\n\n")], 100)).toEqual({
    events: [],
    overflows: 1,
  });
  expect(parse([Buffer.from("data: 0123456789\n".repeat(20))], 100)).toEqual({ events: [], overflows: 1 });
  expect(parse([Buffer.from(`data: ${"x".repeat(90)}\n\n`.repeat(10))], 100)).toMatchObject({ overflows: 0 });
});

test("bytes that are no UTF-8 do not stop it", () => {
  const { events } = parse([Buffer.concat([Buffer.from("data: a"), Buffer.of(0xff, 0xc3), Buffer.from("\n\ndata: b\n\n")])]);
  expect(events).toEqual(["a\ufffd\ufffd", "b"]);
});
