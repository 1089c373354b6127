/**
 * Secrets whose value is known, because the configuration resolved them: found whatever their shape, also as JSON, an URL or base64
 * writes them. What is shorter than eight characters is a word that a text may say, and is not looked for.
 */
import { type Detector, eachMatch } from "./spans.ts";

export const leastSecret = 8;

export type KnownSecrets = {
  readonly detect: Detector;
  /** Length of the longest of them as it may be written. */
  readonly longest: number;
  readonly values: readonly string[];
};

export function knownSecrets(given: Iterable<string>): KnownSecrets {
  const values = [...new Set([...given].flatMap(parts).filter((value) => value.length >= leastSecret))].sort((a, b) => b.length - a.length);
  if (values.length === 0) return { detect: () => {}, longest: 0, values };
  const pattern = new RegExp(values.flatMap((value) => [written(value), ...encoded(value)]).join("|"), "g");
  return {
    detect(text, found) {
      if (text.length < leastSecret) return;
      eachMatch(pattern, text, ({ index, 0: match }) => found.push({ start: index, end: index + match.length, kind: "secret" }));
    },
    // A character is at most written as `\\u0000`.
    longest: 7 * (values[0] as string).length,
    values,
  };
}

/** Of an URL its password is the secret, of a header `Bearer …` what follows the scheme; the lines of a block each on their own. */
function parts(value: string): string[] {
  const password = URL.parse(value)?.password;
  if (password) return [decoded(password), password];
  const scheme = /^(?:bearer|basic|token)\s+(\S+)$/i.exec(value)?.[1];
  if (scheme) return [scheme];
  return /[\r\n]/.test(value.trim()) ? [value, ...value.split(/[\r\n]+/).filter((line) => line.length >= 16)] : [value, value.trim()];
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** Each character as it is, or as JSON or an URL may write it. */
function written(value: string): string {
  let pattern = "";
  for (const character of value) {
    const forms = [literal(character)];
    const bytes = [...Buffer.from(character)].map((byte) => `%${anyCase(byte.toString(16).padStart(2, "0"))}`).join("");
    forms.push(bytes);
    forms.push([...character.split("")].map((unit) => `\\\\{1,4}u${anyCase(unit.charCodeAt(0).toString(16).padStart(4, "0"))}`).join(""));
    if (character === " ") forms.push("\\+");
    const letter = { "\n": "n", "\r": "r", "\t": "t" }[character];
    if (letter) forms.push(`\\\\{1,4}${letter}`);
    if (/["'/\\]/.test(character)) forms.push(`\\\\{1,4}${literal(character)}`);
    pattern += `(?:${forms.join("|")})`;
  }
  return pattern;
}

/** Of an expression that finds exactly this (`RegExp.escape` needs Node 24). */
const literal = (text: string): string => text.replace(/[^A-Za-z0-9]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);

const anyCase = (hex: string): string => hex.replace(/[a-f]/g, (letter) => `[${letter}${letter.toUpperCase()}]`);

/** As base64 writes it, wherever in a longer text it stands: what is the same in each case. */
function encoded(value: string): string[] {
  return [0, 1, 2].flatMap((before) => {
    const whole = Buffer.concat([Buffer.alloc(before), Buffer.from(value)])
      .toString("base64")
      .replace(/=+$/, "");
    // Characters that also depend on what stands before and behind.
    const certain = whole.slice(before === 0 ? 0 : before + 1, whole.length - 1);
    return certain.length < leastSecret ? [] : [literal(certain), literal(certain.replaceAll("+", "-").replaceAll("/", "_"))];
  });
}
