/** The `Prefer` header (RFC 7240), as far as runs know it. Preferences that are not understood are ignored, as the RFC asks. */

export type Preference = { readonly respondAsync: boolean; readonly waitMs?: number };

export function parsePrefer(header: string | null | undefined): Preference {
  let respondAsync = false;
  let waitMs: number | undefined;
  for (const part of header?.split(",") ?? []) {
    // Parameters after a semicolon belong to preferences that have some; ours have none.
    const [name = "", value = ""] = (part.split(";")[0] ?? "").split("=").map((word) => word.trim());
    if (name.toLowerCase() === "respond-async") respondAsync = true;
    // The first of several counts (RFC 7240, 2).
    const seconds = /^"?(\d{1,9})"?$/.exec(value)?.[1];
    if (name.toLowerCase() === "wait" && seconds !== undefined) waitMs ??= Number(seconds) * 1_000;
  }
  return { respondAsync, ...(waitMs === undefined ? {} : { waitMs }) };
}

/** `Preference-Applied`: only what was asked for and done. */
export function preferenceApplied(applied: { respondAsync: boolean; waitMs?: number | undefined }): { readonly [name: string]: string } {
  const words = [
    ...(applied.respondAsync ? ["respond-async"] : []),
    ...(applied.waitMs === undefined ? [] : [`wait=${Math.round(applied.waitMs / 1_000)}`]),
  ];
  return words.length === 0 ? {} : { "preference-applied": words.join(", ") };
}
