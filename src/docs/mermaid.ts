/** A chart as Mermaid's `stateDiagram-v2`, for whoever reads the page as text. */
import { type Chart, whenOf } from "./chart.ts";

export function mermaidOf(chart: Chart): string {
  const lines = ["stateDiagram-v2", "  direction LR", `  [*] --> ${chart.initial}`];
  if (chart.arrows.some(({ from, to }) => from === null && to !== null)) lines.push('  state "any state" as any');
  for (const { name, asks } of chart.states) if (asks.length > 0) lines.push(`  ${name}: ${name} (asks for ${asks.join(", ")})`);
  for (const arrow of chart.arrows) {
    if (arrow.to === null) continue;
    const when = whenOf(arrow, chart);
    lines.push(`  ${arrow.from ?? "any"} --> ${arrow.to}${when && `: ${when}`}`);
  }
  for (const { name, isFinal } of chart.states) if (isFinal) lines.push(`  ${name} --> [*]`);
  return lines.join("\n");
}
