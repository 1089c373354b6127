import { describe, expect, test } from "vitest";
import { transitionsOf } from "../../machines/bounds.ts";
import { chartOf } from "../../src/docs/chart.ts";
import { documents, machines, stale } from "../../src/docs/machines.ts";

const files = await documents();

test("the pages and drawings are what the machines say", async () => {
  expect(await stale(), "run `npm run docs`").toEqual([]);
});

describe.each(machines.map((machine) => ({ machine, name: machine.id })))("the page of the $name machine", ({ machine, name }) => {
  const page = files.get(`${name}.md`) ?? "";
  const svg = files.get(`${name}.svg`) ?? "";
  const chart = chartOf(machine);

  test("has every transition once", () => {
    expect(chart.arrows).toHaveLength(transitionsOf(machine).length);
    const rows = page.slice(page.indexOf("## Transitions"), page.indexOf("## Ends")).split("\n");
    expect(rows.filter((row) => row.startsWith("| ")).length - 2).toBe(chart.arrows.length);
  });

  test("names every state in its drawing and in its text", () => {
    for (const state of chart.states) {
      expect(svg).toContain(`>${state.name}</text>`);
      expect(page.slice(page.indexOf("stateDiagram-v2"))).toContain(state.name);
    }
  });

  test("has a drawing whose words stand apart", () => {
    const boxes = [...svg.matchAll(/<rect class="box[^"]*" x="([^"]+)" y="([^"]+)" width="([^"]+)" height="([^"]+)"/g)].map(
      ([, x, y, width, height]) => ({ text: "a box", x: Number(x), y: Number(y), width: Number(width), height: Number(height) }),
    );
    // 11.5 px letters: about 6 px wide, 9 px above their line and 3 below.
    const labels = [...svg.matchAll(/<text class="when" x="([^"]+)" y="([^"]+)"[^>]*>([^<]+)</g)].map(([, x, y, text = ""]) => {
      const width = text.length * 6;
      return { text, x: Number(x) - width / 2, y: Number(y) - 9, width, height: 12 };
    });
    expect(boxes.length).toBeGreaterThan(2);
    expect(labels.length).toBeGreaterThan(0);
    const all = [...boxes, ...labels];
    const apart = (a: (typeof all)[number], b: (typeof all)[number]): boolean =>
      a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
    for (const [i, one] of all.entries())
      for (const other of all.slice(i + 1)) expect(apart(one, other), `${one.text} and ${other.text}`).toBe(true);
  });

  test("has a drawing for light and for dark", () => {
    expect(svg).toContain("prefers-color-scheme: dark");
    expect(svg.replace(/<style>[\s\S]*<\/style>/, "")).not.toMatch(/#[0-9a-f]{3,6}\b/);
  });
});
