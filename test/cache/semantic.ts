/** `npm run semantic`: what the semantic cache serves of the pair list, with and without its second gate, by threshold and by kind. */

import { localEmbedder } from "../../src/embeddings/local.ts";
import { openaiEmbedder } from "../../src/embeddings/openai.ts";
import { hits, measure } from "./measure.ts";
import { half, kinds, pairs } from "./pairs.ts";

const key = process.env.OPENAI_API_KEY;
const percent = (part: number, all: number): string => `${part} of ${all} (${((100 * part) / all).toFixed(0)} %)`;
const row = (...cells: string[]): void => console.log(`| ${cells.join(" | ")} |`);

for (const embedder of [localEmbedder({ timeoutMs: 60_000 }), ...(key ? [openaiEmbedder({ apiKey: key })] : [])]) {
  console.log(`\n## ${embedder.name}, threshold ${embedder.threshold}\n`);
  for (const which of ["tuned", "held out"] as const) {
    const measured = await measure(half(pairs, which), embedder);
    console.log(`### The ${which} half: ${measured.length} pairs\n`);
    row("kind", "served without the gate", "served");
    row("---", "---", "---");
    for (const kind of kinds) {
      const own = measured.filter((pair) => pair.kind === kind);
      const served = (gate: boolean): string => {
        const { right, wrong } = hits(own, embedder.threshold, gate);
        return percent(right + wrong, own.length);
      };
      row(kind, served(false), served(true));
    }
    console.log();
    row("threshold", "false hits without the gate", "paraphrases without", "false hits", "paraphrases");
    row("---", "---", "---", "---", "---");
    for (const threshold of [0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98]) {
      const [bare, gated] = [hits(measured, threshold, false), hits(measured, threshold)];
      row(
        String(threshold),
        percent(bare.wrong, bare.others),
        percent(bare.right, bare.paraphrases),
        percent(gated.wrong, gated.others),
        percent(gated.right, gated.paraphrases),
      );
    }
    console.log();
  }
  await embedder.close();
}
