/** How the pair list fares: how alike an embedder finds each pair, and what the gate says. */
import { difference } from "../../src/cache/gate.ts";
import { cosine, type Embedder } from "../../src/embeddings/embedder.ts";
import type { Pair } from "./pairs.ts";

export type Measured = Pair & { readonly score: number; readonly difference: ReturnType<typeof difference> };

export async function measure(pairs: readonly Pair[], embedder: Embedder): Promise<Measured[]> {
  const measured: Measured[] = [];
  for (let from = 0; from < pairs.length; from += 16) {
    const part = pairs.slice(from, from + 16);
    const { vectors } = await embedder.embed(part.flatMap(({ a, b }) => [a, b]));
    for (const [i, pair] of part.entries()) {
      const score = cosine(vectors[2 * i] as Float32Array, vectors[2 * i + 1] as Float32Array);
      measured.push({ ...pair, score, difference: difference(pair.a, pair.b) });
    }
  }
  return measured;
}

/** Would one answer be served for both questions of the pair? */
export const isServed = ({ score, difference }: Measured, threshold: number, gate: boolean): boolean =>
  score >= threshold && (!gate || difference === null);

/** The hits among paraphrases, and among pairs that need another answer. */
export function hits(measured: readonly Measured[], threshold: number, gate = true) {
  const paraphrases = measured.filter(({ kind }) => kind === "paraphrase");
  const others = measured.filter(({ kind }) => kind !== "paraphrase");
  const count = (all: readonly Measured[]): number => all.filter((pair) => isServed(pair, threshold, gate)).length;
  return { right: count(paraphrases), paraphrases: paraphrases.length, wrong: count(others), others: others.length };
}
