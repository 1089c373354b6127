/** Rows as text for people: columns as wide as they must be. */

/** The first `words` columns to the left, the others, which are numbers, to the right. */
export function table(rows: readonly (readonly string[])[], words: number): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const pad = (text: string, column: number): string =>
    column < words ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0);
  return rows.map((row) => row.map(pad).join("  ").trimEnd());
}
