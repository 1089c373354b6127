/** Places in a text that must not be shown, and the text without them. */

/** What was found. `secret` is shown as `[redacted]`, the others with their name. */
export type Kind = "secret" | "mail" | "phone" | "card" | "iban" | "national_id" | "ip";

export type Span = { readonly start: number; readonly end: number; readonly kind: Kind };

/** Adds to `found` what it finds in `text`. Takes time in proportion to the text, whatever the text is. */
export type Detector = (text: string, found: Span[]) => void;

export const maskOf = (kind: Kind): string => (kind === "secret" ? "[redacted]" : `[redacted:${kind}]`);

/**
 * In order and without overlap: of two that share text one is made, named by the first; a secret wins. What looks like a mail address
 * behind the password of an URL (`password@host`) is its host.
 */
export function joined(spans: Span[]): Span[] {
  if (spans.length < 2) return spans;
  spans.sort((a, b) => a.start - b.start || b.end - a.end);
  const result: Span[] = [];
  let last = spans[0] as Span;
  for (const span of spans.slice(1)) {
    if (span.start >= last.end) {
      result.push(last);
      last = span;
    } else if (last.kind !== "secret" || span.kind !== "mail") {
      const kind = span.kind === "secret" ? "secret" : last.kind;
      last = { start: last.start, end: Math.max(last.end, span.end), kind };
    }
  }
  result.push(last);
  return result;
}

/** The text from `from` up to `to` with a mask for each span that begins in it. `spans` as {@link joined} gives them. */
export function masked(text: string, spans: readonly Span[], from = 0, to = text.length): string {
  let result = "";
  let at = from;
  for (const { start, end, kind } of spans) {
    if (end <= at) continue;
    if (start >= to) break;
    result += text.slice(at, Math.max(at, start)) + maskOf(kind);
    at = end;
  }
  return at < to ? result + text.slice(at, to) : result;
}

/** Each match of a global expression, in order. Unlike `matchAll` it makes no copy of the expression: texts are short and many. */
export function eachMatch(pattern: RegExp, text: string, take: (match: RegExpExecArray) => void): void {
  pattern.lastIndex = 0;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) take(match);
}
