/**
 * The cursor: how far a client has read. `12` or `12/c3=140,c4=7`: the last fact seen and, of each call that was then
 * unfinished, how much of its text was shown (UTF-16 units).
 */
import { EscapementError } from "./errors.ts";

export type Cursor = { readonly seq: number; readonly calls: ReadonlyMap<string, number> };

export const startOfRun: Cursor = { seq: 0, calls: new Map() };

const pattern = /^(\d{1,15})(?:\/(c\d{1,9}=\d{1,9}(?:,c\d{1,9}=\d{1,9}){0,199}))?$/;

/** Throws `invalid_request` for anything else than a cursor. */
export function parseCursor(text: string): Cursor {
  const match = pattern.exec(text);
  if (!match)
    throw new EscapementError(
      "invalid_request",
      `"${text.slice(0, 80)}" is no cursor; send one like 12 or 12/c3=140, as the id of the last event said`,
      { details: { path: "after" } },
    );
  const calls = new Map<string, number>();
  for (const part of match[2]?.split(",") ?? []) {
    const [call, offset] = part.split("=") as [string, string];
    calls.set(call, Number(offset));
  }
  return { seq: Number(match[1]), calls };
}

export function formatCursor(cursor: Cursor): string {
  const calls = [...cursor.calls].map(([call, offset]) => `${call}=${offset}`);
  return calls.length === 0 ? String(cursor.seq) : `${cursor.seq}/${calls.join(",")}`;
}
