/**
 * The one door through which everything passes that goes to a log, a trace, an alert or an error reply. Owns what is looked for, how much
 * of a value is shown, and the form; the detectors are its neighbours.
 *
 *  1. Nothing that passes holds a secret of the configuration, a secret of a known shape or personal data of a known shape.
 *  2. It takes time in proportion to at most `maxLength` characters a text and `maxParts` parts a value, and never throws.
 *  3. What passed once is not changed by passing again.
 */
import type { ErrorBody } from "../protocol/errors.ts";
import type { Json } from "../protocol/json.ts";
import { type KnownSecrets, knownSecrets } from "./known-secrets.ts";
import { knownStream } from "./known-stream.ts";
import { looseValue, maskedNumber, type Under } from "./loose-value.ts";
import { oneLine } from "./one-line.ts";
import { addresses, personalData } from "./personal-data.ts";
import { type RedactionStream, redactionStream } from "./redaction-stream.ts";
import { isRandom, isSecretKey, isSecretLikeKey, secretShapes } from "./secret-shapes.ts";
import { type Detector, joined, masked, maskOf, type Span } from "./spans.ts";

export type RedactionOptions = {
  /** Values that are secrets whatever they look like. */
  readonly secrets?: Iterable<string>;
  /** Secrets of known shapes; true. */
  readonly shapes?: boolean;
  /** Personal data of known shapes; true. */
  readonly pii?: boolean;
  /** IP addresses too; false. */
  readonly ips?: boolean;
  /** Characters of one text; 8,192. What is longer is cut, with the count of what was cut. */
  readonly maxLength?: number;
};

export interface Redaction {
  /** Without what must not be shown; of any length, line breaks kept. */
  text(text: string): string;
  /** The same, cut, on one line: for logs. */
  line(text: string): string;
  /** Any value as JSON, keys too, each text as {@link line}. Errors with message, stack and cause. */
  value(value: unknown): Json;
  /** JSON as it is but for what must not be shown: nothing is cut or encoded. */
  json<T extends Json>(value: T): T;
  /** An error as clients are told it. */
  error(error: ErrorBody): ErrorBody;
  /** For a text that comes in pieces. Where only the values of secrets are looked for, as they are written. */
  stream(): RedactionStream;
  readonly known: KnownSecrets;
  /** There is nothing that it looks for. */
  readonly isIdle: boolean;
}

/** A secret at the place of the cut is seen whole. */
const overlap = 4 * 1024;

export function redaction(options: RedactionOptions = {}): Redaction {
  const { pii = true, ips = false, shapes = true, maxLength = 8 * 1024 } = options;
  const known = knownSecrets(options.secrets ?? []);
  const detectors: Detector[] = [];
  if (known.longest > 0) detectors.push(known.detect);
  if (shapes) detectors.push(secretShapes);
  if (pii) detectors.push(personalData);
  if (ips) detectors.push(addresses);

  const onlyKnown = detectors.length === 1 && known.longest > 0;

  const find = (text: string): Span[] => {
    const found: Span[] = [];
    for (const detect of detectors) detect(text, found);
    return joined(found);
  };
  const text = (given: string): string => {
    const spans = find(given);
    return spans.length === 0 ? given : masked(given, spans);
  };
  const line = (given: string): string => {
    // Room for what a cut leaves behind: what was cut once is not cut again.
    if (given.length <= maxLength + 64) return oneLine(text(given));
    const seen = given.slice(0, maxLength + overlap);
    return `${oneLine(masked(seen, find(seen), 0, maxLength))}… [cut: ${given.length - maxLength} more characters]`;
  };
  /** A text under a key that says what it is. */
  const under: Under = (key, given, show) =>
    shapes && given !== "" && (isSecretKey(key) || (isSecretLikeKey(key) && given.length >= 16 && isRandom(given) && !/\s/.test(given)))
      ? maskOf("secret")
      : show(given);

  const json = <T extends Json>(value: T): T => walkJson(value, text, under, 0) as T; // of the same form but for what texts say
  return {
    text,
    line,
    value: (value) => looseValue(value, line, under),
    json,
    error: (error) => told(error, text, json),
    stream: () => (onlyKnown ? knownStream(known.values) : redactionStream(find, known.longest)),
    known,
    isIdle: detectors.length === 0,
  };
}

const told = (error: ErrorBody, text: (text: string) => string, json: (value: Json) => Json): ErrorBody => ({
  ...error,
  message: text(error.message),
  // An object stays an object.
  ...(error.details && { details: json(error.details as Json) as NonNullable<ErrorBody["details"]> }),
});

function walkJson(value: Json, text: (text: string) => string, under: Under, depth: number, key = ""): Json {
  if (typeof value === "string") return under(key, value, text);
  if (typeof value === "number") return key === "" || Math.abs(value) < 1e11 ? value : maskedNumber(value, text);
  if (typeof value !== "object" || value === null) return value;
  // The edge lets nothing through that is deeper.
  if (depth > 128) return null;
  if (Array.isArray(value)) return value.map((one) => walkJson(one, text, under, depth + 1, key));
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, one]) => (one === undefined ? [] : [[text(name), walkJson(one, text, under, depth + 1, name)]])),
  );
}
