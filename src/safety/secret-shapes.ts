/**
 * Secrets that can be told by their shape: keys of known services, tokens, JWTs, URLs with a user, private keys, and values beside a
 * name that says what they are. What the configuration resolved is found whatever its shape, by `known-secrets.ts`.
 *
 * Every expression here takes time in proportion to the text: a run of characters is only entered at its beginning.
 */
import { type Detector, eachMatch, type Span } from "./spans.ts";

/** Prefixes that services give their keys. */
const prefixes = [
  "sk-(?!learn)", // OpenAI, Anthropic, OpenRouter, DeepSeek
  "pk-",
  "gsk_", // Groq
  "fw_", // Fireworks
  "hf_", // Hugging Face
  "xai-",
  "tgp_v\\d_", // Together
  "r8_", // Replicate
  "nvapi-",
  "pplx-",
  "csk-", // Cerebras
  "AIza", // Google
  "ya29\\.",
  "AQ\\.",
  "(?:AKIA|ASIA|ABIA|ACCA)(?=[A-Z0-9]{16})", // AWS
  "gh[pousr]_", // GitHub
  "github_pat_",
  "glpat-", // GitLab
  "xox[abeprs]-", // Slack
  "npm_",
  "pypi-",
  "(?:sk|rk|pk)_(?:live|test)_", // Stripe
  "whsec_", // Standard Webhooks
  "SG\\.", // SendGrid
  "dop_v1_", // DigitalOcean
  "lin_api_",
  "key-(?=[0-9a-f]{16})",
];
const prefix = new RegExp(prefixes.join("|"), "g");
const rest = /[A-Za-z0-9_\-.=+/*]{8,}/y;
const jwtPrefix = /eyJ/g;
const jwtRest = /[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)*/y;

/** A key begins where no word goes on; what escaping leaves before it (`\n`, `%20`) is no word. */
function begins(text: string, at: number): boolean {
  if (at === 0 || !/[A-Za-z0-9_-]/.test(text[at - 1] as string)) return true;
  return /\\[nrtbf]$|%[0-9A-Fa-f]{2}$|\\u[0-9A-Fa-f]{4}$/.test(text.slice(Math.max(0, at - 6), at));
}
const schemes = /\b(?:bearer|basic)(?:\s|%20|\+|\\[nrt]){1,4}([A-Za-z0-9._~+/=*-]{8,})/gi;
const userinfo =
  /:(?:\/\/|\\\/\\\/|%2[Ff]%2[Ff])([^\s/?#"'<>\\@][^\s/?#"'<>\\]{0,1000}?)(?:@|%40)(?=[^\s@"'<>/?#\\]*(?:[\s/?#"'<>\\,;)]|$))/g;

/** Names that say that a secret follows, as they stand in text, headers, queries and environment files. */
const secretNames =
  "(?:api|access|secret|private|auth|encryption|signing|account)[_-]?key|pass(?:word|wd|phrase)|passwd|pwd|client[_-]?secret|secret|credentials?|(?:proxy-)?authorization|(?:access|refresh|id|auth|api|session|bearer)[_-]?token|token|(?:set-)?cookie|session[_-]?id";
const named = new RegExp(
  `(?:${secretNames})((?:%22|\\\\*["'])?\\s{0,3}(?:[:=]|%3[AaDd]|=>)\\s{0,3}(?:%22|\\\\*["'])?)([^\\s"'\\\\,;&<>{}()]{4,})`,
  "gi",
);

const assigns = /[:=]|%3[ad]/i;

const blockBegin = /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----/g;
const blockEnd = /-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----/g;
/** A block without an end is a secret for so long. */
export const maxBlock = 16 * 1024;
const maxQuoted = 512;

export const secretShapes: Detector = (text, found) => {
  if (text.length < 6) return;
  prefixed(text, prefix, rest, found);
  if (text.includes("eyJ")) prefixed(text, jwtPrefix, jwtRest, found);
  part(text, schemes, found, isCredential);
  if (text.includes("/") || text.includes("%2")) part(text, userinfo, found, () => true);
  if (assigns.test(text)) namedSecrets(text, found);
  if (text.includes("-----BEGIN")) blocks(text, found);
};

/** A prefix is found first and looked at then: what goes on behind it is read once. */
function prefixed(text: string, prefix: RegExp, rest: RegExp, found: Span[]): void {
  eachMatch(prefix, text, ({ index, 0: begin }) => {
    if (!begins(text, index)) return;
    rest.lastIndex = index + begin.length;
    const more = rest.exec(text)?.[0];
    if (more === undefined) return;
    const end = index + begin.length + more.length;
    found.push({ start: index, end, kind: "secret" });
    prefix.lastIndex = end;
  });
}

/** The one group of an expression, which is the last part of what it matches but for a sign. */
function part(text: string, pattern: RegExp, found: Span[], accept: (value: string) => boolean): void {
  eachMatch(pattern, text, (match) => {
    const value = match[1] as string;
    const start = match.index + match[0].lastIndexOf(value);
    if (accept(value)) found.push({ start, end: start + value.length, kind: "secret" });
  });
}

/** A value in quotation marks goes on to the next of them. */
const namedSecrets: Detector = (text, found) => {
  eachMatch(named, text, (match) => {
    const [, between, value] = match as unknown as [string, string, string];
    const end = match.index + match[0].length;
    // `token = readToken(…)` is code.
    if (text[end] === "(" || !isNamedSecret(value, between)) return;
    const quote = /["']$/.exec(between)?.[0];
    const close = quote === undefined ? -1 : text.slice(end, end + maxQuoted).search(/["'\\\n]/);
    found.push({ start: end - value.length, end: end + Math.max(0, close), kind: "secret" });
  });
};

const blocks: Detector = (text, found) => {
  // The next end is looked for once, however many begin before it.
  let close: RegExpExecArray | null | undefined;
  let until = 0;
  eachMatch(blockBegin, text, ({ index, 0: begin }) => {
    if (index < until) return;
    if (close === undefined || (close !== null && close.index < index)) {
      blockEnd.lastIndex = index + begin.length;
      close = blockEnd.exec(text);
    }
    until = close && close.index - index <= maxBlock ? close.index + close[0].length : Math.min(text.length, index + maxBlock);
    found.push({ start: index, end: until, kind: "secret" });
  });
};

/** What stands behind `Bearer` and is neither a word, a path nor a date. */
const isCredential = (value: string): boolean =>
  value.length >= 32 ||
  /\*{4}/.test(value) ||
  (/[A-Za-z]/.test(value) && (/\d/.test(value) || /[a-z][A-Z]/.test(value)) && !/^\d{4}-\d\d|:/.test(value));

/** After `name=` without a space anything that is no plain number or word of code is one; after `name: ` it must look like one. */
function isNamedSecret(value: string, between: string): boolean {
  if (/^(?:true|false|null|none|undefined|\[redacted.*|\$\{?\w+\}?|\d+(?:\.\d+)?|\*+)$/i.test(value)) return false;
  if (/["']|%22/.test(between) || (/=|%3[Dd]/.test(between) && !/\s/.test(between))) return value.length >= 6 || isRandom(value);
  return isRandom(value) || /^(?=.*\d)(?=.*[A-Za-z]).{6,}$/.test(value) || (value.length >= 6 && /[^A-Za-z0-9.!?:-]/.test(value));
}

/** No word of a language: a digit among letters, capitals within, or the signs of an encoding. */
export const isRandom = (value: string): boolean =>
  value.length >= 8 && (/\d/.test(value) || /[a-z][A-Z]/.test(value) || /[_~+/=]/.test(value) || value.length >= 32);

/** Whether the value under this key of an object is a secret by its name alone. */
export function isSecretKey(key: string): boolean {
  if (key.length > 64) return false;
  const plain = key.toLowerCase().replace(/[^a-z0-9]/g, "");
  return /^(?:x?googapikey|token|pwd|auth|bearer)$|(?:apikey|accesskey|secretkey|privatekey|signingkey|encryptionkey|password|passwd|passphrase|secret|authorization|cookie|credentials?|(?:access|refresh|id|auth|api|session|bearer|csrf|webhook)token)$/.test(
    plain,
  );
}

/** Whether a value under this key is a secret if it looks like one. */
export const isSecretLikeKey = (key: string): boolean =>
  key.length <= 64 && /key|token|secret|auth|credential|passw|signature|session/i.test(key);
