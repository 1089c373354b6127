/**
 * The drawing of a chart: laid out by ELK (layered, orthogonal edges), drawn as SVG that is readable on light and on dark.
 * Arrows between the same two states are one line with their conditions beneath each other.
 */
import { createRequire } from "node:module";
import type { ELK, ElkEdgeSection, ElkExtendedEdge, ElkNode, ElkPoint } from "elkjs/lib/elk-api.js";
import { type Arrow, type Chart, type ChartState, whenOf } from "./chart.ts";

// The bundle is CommonJS with a default export that its types do not agree with.
const Elk = createRequire(import.meta.url)("elkjs/lib/elk.bundled.js") as new () => ELK;

const options = {
  "elk.algorithm": "layered",
  "elk.hierarchyHandling": "INCLUDE_CHILDREN",
  "elk.edgeRouting": "ORTHOGONAL",
  "elk.json.edgeCoords": "ROOT",
  "elk.json.shapeCoords": "ROOT",
  "elk.direction": "RIGHT",
  "elk.padding": "[top=24,left=24,bottom=24,right=24]",
  "elk.spacing.nodeNode": "28",
  "elk.spacing.edgeNode": "20",
  "elk.spacing.edgeEdge": "14",
  "elk.spacing.edgeLabel": "4",
  "elk.spacing.labelNode": "8",
  "elk.layered.spacing.nodeNodeBetweenLayers": "36",
  "elk.layered.spacing.edgeNodeBetweenLayers": "20",
  "elk.layered.spacing.edgeEdgeBetweenLayers": "14",
  "elk.layered.considerModelOrder.strategy": "NODES_AND_EDGES",
  "elk.layered.cycleBreaking.strategy": "MODEL_ORDER",
  "elk.layered.nodePlacement.strategy": "BRANDES_KOEPF",
  "elk.layered.nodePlacement.bk.fixedAlignment": "BALANCED",
  "elk.layered.edgeLabels.sideSelection": "ALWAYS_UP",
};

const nameSize = 14;
const textSize = 11.5;
const lineHeight = 15;
/** Widths of sans-serif letters as parts of their size, on the safe side for the fonts named below. */
const widthOf = (text: string, size: number, bold = false): number => Math.ceil(text.length * size * (bold ? 0.62 : 0.57));

const start = "start";
const anywhere = "any state";

type Box = {
  readonly id: string;
  readonly title: string;
  readonly lines: readonly string[];
  readonly kind: "state" | "final" | "any" | "start";
};

export async function draw(chart: Chart): Promise<string> {
  const boxes = boxesOf(chart);
  const edges = edgesOf(chart);
  const graph = await new Elk().layout({
    id: chart.name,
    layoutOptions: options,
    children: boxes.map(({ id, kind, ...box }) => ({
      id,
      ...sizeOf({ id, kind, ...box }),
      layoutOptions: {
        ...(kind === "start" && { "elk.layered.layering.layerConstraint": "FIRST" }),
        ...(kind === "final" && { "elk.layered.layering.layerConstraint": "LAST" }),
      },
    })),
    edges: edges.map(({ id, from, to, lines }) => ({
      id,
      sources: [from],
      targets: [to],
      labels:
        lines.length === 0
          ? []
          : [
              {
                text: lines.join("\n"),
                width: Math.max(...lines.map((line) => widthOf(line, textSize))) + 6,
                height: lines.length * lineHeight,
              },
            ],
    })),
  });
  return svgOf(chart, graph, boxes, edges);
}

// --- what is drawn

function boxesOf(chart: Chart): readonly Box[] {
  const inside = (from: string | null): string[] =>
    chart.arrows
      .filter((arrow) => arrow.from === from && arrow.to === null)
      .map((arrow) => `${whenOf(arrow, chart)} / ${arrow.actions.join(", ")}`);
  const fromAnywhere = chart.arrows.some(({ from }) => from === null);
  return [
    { id: start, title: "", lines: [], kind: "start" },
    ...chart.states.map(
      (state): Box => ({
        id: state.name,
        title: state.name,
        lines: [...asksOf(state), ...inside(state.name)],
        kind: state.isFinal ? "final" : "state",
      }),
    ),
    ...(fromAnywhere ? [{ id: anywhere, title: anywhere, lines: inside(null), kind: "any" as const }] : []),
  ];
}

const asksOf = ({ asks }: ChartState): readonly string[] => (asks.length > 0 ? [`asks for: ${asks.join(", ")}`] : []);

type Line = {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly lines: readonly string[];
  readonly isTrouble: boolean;
};

function edgesOf(chart: Chart): readonly Line[] {
  const pairs = Map.groupBy(
    chart.arrows.filter((arrow): arrow is Arrow & { to: string } => arrow.to !== null),
    ({ from, to }) => `${from ?? anywhere} → ${to}`,
  );
  const between = [...pairs].map(([id, arrows]) => ({
    id,
    from: arrows[0]?.from ?? anywhere,
    to: arrows[0]?.to ?? "",
    lines: arrows.map((arrow) => whenOf(arrow, chart)).filter((text) => text !== ""),
    isTrouble: arrows.every(({ trigger }) => trigger === "cancel" || trigger.endsWith("failed")),
  }));
  return [{ id: "start", from: start, to: chart.initial, lines: [], isTrouble: false }, ...between];
}

function sizeOf({ title, lines, kind }: Box): { width: number; height: number } {
  if (kind === "start") return { width: 14, height: 14 };
  const text = Math.max(widthOf(title, nameSize, true), ...lines.map((line) => widthOf(line, textSize)));
  return { width: text + 28, height: 34 + lines.length * lineHeight + (lines.length > 0 ? 4 : 0) };
}

// --- as SVG

const style = `
  svg { --page: #ffffff; --box: #f7f7f8; --line: #c9c9d0; --ink: #17181c; --muted: #5c5f69; --now: #4650c8; --bad: #b3261e; --good: #17713f; }
  @media (prefers-color-scheme: dark) {
    svg { --page: #0c0d10; --box: #16181d; --line: #3b3e47; --ink: #ececf0; --muted: #a0a3ae; --now: #939bff; --bad: #ff8078; --good: #56c88a; }
  }
  text { font-family: Inter, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: var(--ink); }
  .name { font-size: ${nameSize}px; font-weight: 600; }
  .asks, .when { font-size: ${textSize}px; fill: var(--muted); }
  .when { paint-order: stroke; stroke: var(--page); stroke-width: 4px; stroke-linejoin: round; }
  .page { fill: var(--page); }
  .box { fill: var(--box); stroke: var(--line); stroke-width: 1.25; }
  .first { stroke: var(--now); stroke-width: 1.75; }
  .any { fill: none; stroke-dasharray: 4 3; }
  .inner { fill: none; stroke: var(--line); }
  .start { fill: var(--ink); }
  .arrow { fill: none; stroke: var(--muted); stroke-width: 1.25; }
  .head { fill: var(--muted); }
  .trouble.arrow { stroke: var(--bad); } .trouble.head { fill: var(--bad); }
`;

function svgOf(chart: Chart, graph: ElkNode, boxes: readonly Box[], lines: readonly Line[]): string {
  const { width = 0, height = 0 } = graph;
  const nodes = new Map((graph.children ?? []).map((node) => [node.id, node]));
  const edges = new Map(((graph.edges ?? []) as ElkExtendedEdge[]).map((edge) => [edge.id, edge]));
  const drawnEdges = lines.map((line) => edgeOf(line, edges.get(line.id) as ElkExtendedEdge));
  const drawn = [
    `<rect class="page" width="${n(width)}" height="${n(height)}" rx="8"/>`,
    ...drawnEdges.map(({ path }) => path),
    ...boxes.map((box) => boxOf(box, nodes.get(box.id) as ElkNode, box.id === chart.initial)),
    ...drawnEdges.flatMap(({ labels }) => labels),
  ];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${n(width)} ${n(height)}" width="${n(width)}" height="${n(height)}" role="img" aria-label="${escaped(`States of the ${chart.name} machine`)}">`,
    `<style>${style}</style>`,
    ...drawn,
    "</svg>\n",
  ].join("\n");
}

function boxOf({ title, lines, kind }: Box, { x = 0, y = 0, width = 0, height = 0 }: ElkNode, isFirst: boolean): string {
  if (kind === "start") return `<circle class="start" cx="${n(x + width / 2)}" cy="${n(y + height / 2)}" r="6"/>`;
  const kinds = ["box", ...(isFirst ? ["first"] : []), ...(kind === "any" ? ["any"] : [])].join(" ");
  const parts = [`<rect class="${kinds}" x="${n(x)}" y="${n(y)}" width="${n(width)}" height="${n(height)}" rx="7"/>`];
  if (kind === "final")
    parts.push(`<rect class="inner" x="${n(x + 3)}" y="${n(y + 3)}" width="${n(width - 6)}" height="${n(height - 6)}" rx="5"/>`);
  const middle = n(x + width / 2);
  parts.push(`<text class="name" x="${middle}" y="${n(y + 22)}" text-anchor="middle">${escaped(title)}</text>`);
  lines.forEach((line, i) => {
    parts.push(`<text class="asks" x="${middle}" y="${n(y + 40 + i * lineHeight)}" text-anchor="middle">${escaped(line)}</text>`);
  });
  return parts.join("\n");
}

function edgeOf({ isTrouble }: Line, { sections = [], labels = [] }: ElkExtendedEdge): { path: string; labels: string[] } {
  const kind = isTrouble ? "trouble " : "";
  const paths = sections.map((section) => {
    const points = [section.startPoint, ...(section.bendPoints ?? []), section.endPoint];
    return `<path class="${kind}arrow" d="${rounded(points)}"/>\n<path class="${kind}head" d="${headOf(section)}"/>`;
  });
  const texts = labels.flatMap(({ text = "", x = 0, y = 0, width = 0 }) =>
    text
      .split("\n")
      .map(
        (line, i) =>
          `<text class="when" x="${n(x + width / 2)}" y="${n(y + 11 + i * lineHeight)}" text-anchor="middle">${escaped(line)}</text>`,
      ),
  );
  return { path: paths.join("\n"), labels: texts };
}

/** Corners of radius 6, less where a piece is short. */
function rounded(points: readonly ElkPoint[]): string {
  const [first, ...rest] = points as [ElkPoint, ...ElkPoint[]];
  let path = `M${n(first.x)} ${n(first.y)}`;
  let at = first;
  rest.forEach((corner, i) => {
    const next = rest[i + 1];
    if (!next) {
      path += `L${n(corner.x)} ${n(corner.y)}`;
      return;
    }
    const radius = Math.min(6, distance(at, corner) / 2, distance(corner, next) / 2);
    const before = toward(corner, at, radius);
    const after = toward(corner, next, radius);
    path += `L${n(before.x)} ${n(before.y)}Q${n(corner.x)} ${n(corner.y)} ${n(after.x)} ${n(after.y)}`;
    at = corner;
  });
  return path;
}

function headOf({ startPoint, bendPoints = [], endPoint }: ElkEdgeSection): string {
  const from = bendPoints.at(-1) ?? startPoint;
  const back = toward(endPoint, from, 8);
  const side = { x: (endPoint.y - back.y) / 2, y: (back.x - endPoint.x) / 2 };
  return `M${n(endPoint.x)} ${n(endPoint.y)}L${n(back.x + side.x)} ${n(back.y + side.y)}L${n(back.x - side.x)} ${n(back.y - side.y)}Z`;
}

const distance = (a: ElkPoint, b: ElkPoint): number => Math.hypot(a.x - b.x, a.y - b.y);
function toward(from: ElkPoint, to: ElkPoint, by: number): ElkPoint {
  const length = distance(from, to) || 1;
  return { x: from.x + ((to.x - from.x) * by) / length, y: from.y + ((to.y - from.y) * by) / length };
}

/** A tenth of a pixel is enough, and the same on every machine. */
const n = (value: number): string => String(Math.round(value * 10) / 10);
const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
