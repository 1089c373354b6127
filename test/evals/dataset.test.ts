import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { checkInline, readDataset } from "../../src/evals/dataset.ts";
import { EscapementError } from "../../src/protocol/errors.ts";

function fileOf(name: string, content: string): string {
  const path = join(mkdtempSync(join(tmpdir(), "escapement-dataset-")), name);
  writeFileSync(path, content);
  return path;
}

/** What is said of it, with the folder left out. */
function complaint(name: string, content: string): string {
  const path = fileOf(name, content);
  try {
    readDataset(path);
  } catch (error) {
    expect((error as EscapementError).code).toBe("invalid_request");
    return (error as Error).message.replaceAll(path, name);
  }
  throw new Error("nothing was said");
}

describe("a dataset", () => {
  it("is JSONL, a case a line; empty lines and a byte order mark are none", () => {
    const path = fileOf(
      "a.jsonl",
      '\uFEFF{"id":"1","input":"x","expect":{"a":1}}\r\n\n{"id":"2","input":{"q":[1]},"metadata":{"task":"t"}}\n',
    );
    expect(readDataset(path)).toEqual([
      { id: "1", input: "x", expect: { a: 1 }, at: `${path}:1` },
      { id: "2", input: { q: [1] }, metadata: { task: "t" }, at: `${path}:3` },
    ]);
  });

  it("is a JSON list; each case knows its line, whatever stands in texts", () => {
    const path = fileOf(
      "a.json",
      '[\n {"id": "a [,\\" {", "input": ["x",\n "y"]},\n\n {"id": "b",\n "input": {}}, {"id": "c", "input": 1}\n]',
    );
    expect(readDataset(path).map(({ id, at }) => [id, at.replace(path, "")])).toEqual([
      ['a [,\\" {'.replace("\\", ""), ":2"],
      ["b", ":5"],
      ["c", ":6"],
    ]);
  });

  it.each([
    ["no JSON", "a.jsonl", '{"id":"1","input":1}\n{"id":', /^a\.jsonl:2 is no JSON: /],
    ["a missing input", "a.jsonl", '{"id":"1"}', /^a\.jsonl:1: input /],
    ["an id that is no text", "a.jsonl", '\n\n{"id":1,"input":"x"}', /^a\.jsonl:3: id must be text$/],
    [
      "an unknown key",
      "a.jsonl",
      '{"id":"1","input":"x","expected":1}',
      /^a\.jsonl:1: "expected" is not a key; there are id, input, expect, metadata$/,
    ],
    ["an id twice", "a.jsonl", '{"id":"1","input":1}\n{"id":"1","input":2}', /^a\.jsonl:2: the id "1" is that of a\.jsonl:1 too/],
    ["a wrong case of a list", "a.json", '[\n{"id":"1","input":1},\n{"id":"","input":1}]', /^a\.json:3: id must not be empty$/],
    ["no list", "a.json", "{}", /^a\.json must be a list of cases/],
    ["no cases", "a.jsonl", "\n", /^a\.jsonl has no cases/],
    ["another kind of file", "a.csv", "id,input", /^a\.csv is no dataset: its name ends with/],
  ])("says the file and the line of %s", (_, name, content, words) => {
    expect(complaint(name, content)).toMatch(words);
  });

  it("that is not there, or that an eval file holds itself, is told too", () => {
    expect(() => readDataset("/nowhere/a.jsonl")).toThrow(/cannot be read/);
    expect(() => checkInline([{ id: "a", input: 1 }, { id: "b" }])).toThrow(/^dataset\[1\]: input /);
    expect(() => checkInline([])).toThrow(EscapementError);
  });
});
