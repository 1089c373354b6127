/**
 * Reciprocal rank fusion: several rankings of the same things become one, by their ranks alone, since scores of BM25 and of vectors
 * cannot be compared. G. V. Cormack, C. L. A. Clarke, S. Büttcher: Reciprocal Rank Fusion outperforms Condorcet and individual Rank
 * Learning Methods, SIGIR 2009; k = 60 is theirs.
 */
const k = 60;

/** The best first; of equals the one that an earlier ranking named first. */
export function fused<Id>(rankings: readonly (readonly Id[])[], limit: number): Id[] {
  const scores = new Map<Id, number>();
  for (const ranking of rankings) for (const [index, id] of ranking.entries()) scores.set(id, (scores.get(id) ?? 0) + 1 / (k + index + 1));
  return [...scores]
    .toSorted((a, b) => b[1] - a[1])
    .slice(0, limit)
    .map(([id]) => id);
}
