/** Finds the word that was probably meant. */

/** The known word closest to `word`, if it is close enough to be a slip: a third of its letters, or the one begins the other. */
export function nearestWord(word: string, known: readonly string[]): string | undefined {
  if (word.length > 64) return undefined;
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate);
    const begins = word.length >= 3 && (candidate.startsWith(word.toLowerCase()) || word.toLowerCase().startsWith(candidate));
    const close = begins ? Math.min(distance, 1) : distance;
    if (close < bestDistance) {
      best = candidate;
      bestDistance = close;
    }
  }
  return bestDistance <= Math.max(1, Math.floor(word.length / 3)) ? best : undefined;
}

/** Levenshtein with one row. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      const change = left[i - 1] === right[j - 1] ? 0 : 1;
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + change));
    }
    row = next;
  }
  return row[right.length]!;
}
