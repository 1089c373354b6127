import { describe, expect, it } from "vitest";
import { z } from "zod";
import { exposedTools } from "../../src/config/tool-groups.ts";
import { maxShown, tool } from "../../src/runtime/tool.ts";

const named = (name: string) => tool({ name, description: `does ${name}`, class: "pure", input: z.strictObject({}), run: () => null });
const group = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => named(`${prefix}_${i}`));

describe("exposedTools", () => {
  it("gives the tools of the groups in their order, as data", () => {
    const tools = exposedTools("a", ["two", "one"], { one: [named("x")], two: [named("y"), named("z")] });
    expect(tools.map(({ name, group }) => `${group}/${name}`)).toEqual(["two/y", "two/z", "one/x"]);
    expect(JSON.parse(JSON.stringify(tools))).toEqual(tools);
    expect(exposedTools("a", ["one", "one"], { one: [named("x")] })).toHaveLength(1);
  });

  it("allows ten tools and refuses eleven, naming the way out", () => {
    expect(exposedTools("a", ["one", "two"], { one: group("a", 5), two: group("b", 5) })).toHaveLength(maxShown);
    expect(() => exposedTools("helper", ["one", "two"], { one: group("a", 5), two: group("b", 6) })).toThrow(
      /agent "helper" has 11 tools, at most 10 .* one \(5\), two \(6\)\. Split .* router/,
    );
  });

  it("refuses two tools of one name, also across groups", () => {
    expect(() => exposedTools("a", ["one", "two"], { one: [named("search")], two: [named("search")] })).toThrow(
      /both named "search" \(groups "one" and "two"\)/,
    );
    expect(() => exposedTools("a", ["one"], { one: [named("search"), named("search")] })).toThrow(/both named/);
  });

  it("refuses names that only differ by case", () => {
    expect(() => exposedTools("a", ["one"], { one: [named("search"), named("Search")] })).toThrow(
      /only differ by case: "search" and "Search"/,
    );
  });

  it("names the groups there are when one is not", () => {
    expect(() => exposedTools("a", ["web"], { compute: [] })).toThrow(/"web", which is not configured; there are: compute/);
    expect(() => exposedTools("a", ["constructor"], {})).toThrow(/there are: none/);
  });
});
