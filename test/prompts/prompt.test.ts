import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { prompts } from "../../src/prompts/folder.ts";
import { prompt, textOf } from "../../src/prompts/prompt.ts";
import { escaped, fill, slotsOf } from "../../src/protocol/template.ts";

const guide = { name: "guide", version: "2", template: "You know {{city}} in {{ country }}, and {{city}} well." };

describe("a template", () => {
  test("has slots, each filled wherever it stands", () => {
    expect(slotsOf(guide.template)).toEqual(["city", "country"]);
    expect(fill(guide.template, { city: "Köln", country: { code: "DE" } })).toBe('You know Köln in {"code":"DE"}, and Köln well.');
    expect(fill("{{a}}|{{b}}|{{c}}", { a: 0, b: null, c: false })).toBe("0||false");
  });

  test("takes values as data: braces and patterns in them mean nothing", () => {
    expect(fill(guide.template, { city: "{{country}}", country: "$& \\{{ $1" })).toBe(
      "You know {{country}} in $& \\{{ $1, and {{country}} well.",
    );
    fc.assert(fc.property(fc.string(), (value) => fill("<{{a}}>", { a: value, b: "x" }) === `<${value}>`));
  });

  test("has braces that are no slots where it says so, and no others", () => {
    expect(slotsOf("Write \\{{name}} for a name.")).toEqual([]);
    expect(fill("Write \\{{name}} for {{a}}.", { a: "a name" })).toBe("Write {{name}} for a name.");
    const braces = fc.string({ unit: fc.constantFrom("{", "}", "\\", "a") });
    fc.assert(fc.property(braces, (text) => fill(escaped(text), {}) === text));
    for (const template of ["{{", "{{a b}}", "{{1}}", "Hi {{name}!"])
      expect(() => prompt({ ...guide, template })).toThrow(/^prompt "guide@2": ".*" is no slot: .*write \\\{\{ for the braces/);
  });
});

describe("a prompt", () => {
  test("holds its variables against its template", () => {
    expect(prompt(guide).variables).toEqual(["city", "country"]);
    expect(() => prompt({ ...guide, variables: ["city", "country", "day"] })).toThrow(/has no slot \{\{day\}\}; there are: city, country/);
    expect(() => prompt({ ...guide, variables: ["city"] })).toThrow(/has the slot \{\{country\}\}, which is not among its variables: city/);
  });

  test("has a name and a version that can be told", () => {
    for (const wrong of [{ name: "a b" }, { version: "" }, { version: "1@2" }])
      expect(() => prompt({ ...guide, ...wrong })).toThrow(/letters, digits, dots/);
  });

  test("shows its examples behind its text, in which no braces are slots", () => {
    const shown = prompt({ ...guide, template: "Be brief.", examples: [{ name: "one", input: "{{x}}?", output: "{{y}}" }] });
    expect(shown.variables).toEqual([]);
    expect(fill(textOf(shown), {})).toBe("Be brief.\n\n<example>\n<input>\n{{x}}?\n</input>\n<output>\n{{y}}\n</output>\n</example>");
    const twice = { name: "one", input: "a", output: "b" };
    expect(() => prompt({ ...guide, examples: [twice, twice] })).toThrow(/two examples named "one"/);
  });
});

test("prompts are read from a folder by name and version", () => {
  const folder = mkdtempSync(join(tmpdir(), "prompts-"));
  writeFileSync(join(folder, "guide@1.md"), "You know {{city}}.\n");
  writeFileSync(join(folder, "guide@2.0.md"), "You know it all.\n");
  writeFileSync(join(folder, "notes.txt"), "{{");
  const known = prompts(folder);
  expect(known.ids).toEqual(["guide@1", "guide@2.0"]);
  expect(known.get("guide@1")).toMatchObject({ name: "guide", version: "1", template: "You know {{city}}.", variables: ["city"] });
  expect(() => known.get("guide@3")).toThrow(/no prompt "guide@3" in .*; there are: guide@1, guide@2\.0/);
  writeFileSync(join(folder, "other.md"), "Hi");
  expect(() => prompts(folder)).toThrow(/other\.md is not named as a prompt/);
  expect(() => prompts(join(folder, "none"))).toThrow(/cannot be read/);
});
