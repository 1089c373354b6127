/** Scorers made ready, and closed again. */
import type { Scorer } from "./scorer.ts";

export type Opened<S extends Scorer> = { readonly scorers: readonly S[]; close(): Promise<void> };

export async function openScorers<S extends Scorer>(given: readonly S[]): Promise<Opened<S>> {
  // A scorer opens as one of its own kind.
  const scorers = await Promise.all(given.map(async (scorer) => ((await scorer.open?.()) ?? scorer) as S));
  return {
    scorers,
    close: async () => {
      await Promise.all(given.map((scorer) => scorer.close?.()));
    },
  };
}
