/**
 * What of a question an answer depends on, read without understanding it: what kind of question, about when, for whom, and the words
 * that matter in their order. Two questions of one reading may share an answer; the gate compares.
 */
import { compounds, modals, negators, operators, persons, silent, soft, synonyms } from "./lexicon.ts";
import { digitsOf, joinNumbers, roman } from "./numbers.ts";

export type Word = {
  readonly word: string;
  /** What it may be on the other side: itself without its ending, and what stands for it. */
  readonly forms: readonly string[];
};

export type Reading = {
  /** how-to, how, what, who, when, where, why, whether, do (an instruction or a statement). */
  readonly asks: string;
  /** Tense and aspect: "does it rain", "is it raining", "did it rain" and "will it rain" are four questions. */
  readonly time: string;
  /** "What is he like" and "what does he like" differ by nothing else. */
  readonly helper: "be" | "do" | null;
  readonly words: readonly Word[];
  readonly soft: readonly string[];
};

export function read(text: string): Reading {
  const tokens = tokensOf(text);
  const { asks, rest } = question(joinNumbers(tokens));
  const words: Word[] = [];
  const softWords: string[] = [];
  const isDenied = tokens.some(isNegation);
  for (const token of joinCompounds(rest)) {
    if (soft.has(token)) softWords.push(token);
    else if (!isSilent(token, rest, isDenied)) words.push(wordOf(token));
  }
  return { asks, time: timeOf(tokens), helper: asks === "how-to" ? null : helperOf(tokens), words, soft: softWords };
}

/** "Can I have a refund" is not "can I refund"; "has not come yet" is "has not come". */
function isSilent(token: string, all: readonly string[], isDenied: boolean): boolean {
  if (have.test(token)) return !all.some((word) => modals.has(word));
  return token === "yet" ? isDenied : silent.has(token);
}

export const isNumber = (word: string): boolean => /^[#−]/.test(word);
export const isNegation = (word: string): boolean => negators.has(word);
export const isPerson = (word: string): boolean => persons.has(word);

// --- tokens

const tokenPattern = /\d+(?:[.,:]\d+)*|[\p{L}\p{M}]+(?:[.][\p{L}\p{M}]+)*(?:\+\+|#)?|-(?=\d)|\s-\s|[+*×÷/%&@#[\]{}\\\p{S}]|[.!?:"“”]/gu;
const signs: Readonly<Record<string, string>> = { "%": "percent", $: "dollar", "€": "euro", "£": "pound-sterling", "¥": "yen" };

/** Lower case, contractions written out. A word whose capitals say that it is a name and no function word keeps them. */
function tokensOf(text: string): string[] {
  const plain = text
    .normalize("NFKC")
    .replace(/[’‘`]/g, "'")
    .replace(/\b(can)'t\b|\bcannot\b/gi, "can not")
    .replace(/\bwon't\b/gi, "will not")
    .replace(/n't\b/gi, " not")
    .replace(/\b(what|who|where|when|how|that|there|it|let)'s\b/gi, "$1 is")
    .replace(/([\p{L}\p{N}]+)'s?\s+([\p{L}\p{N}]+)/gu, "$2 of $1")
    .replace(/\bha(?:ve|s|d) to\b/gi, "must")
    .replace(/'(re|ll|ve|d|m)\b/gi, (_, ending: string) => (ending.toLowerCase() === "ll" ? " will" : ""))
    .replace(/([$€£¥])\s*(\d+(?:[.,]\d+)*)/g, "$2 $1")
    .replace(/\be-mail/gi, "email")
    .replace(/\bkm\/h\b/gi, "kmh")
    .replace(/\bm\/s\b/gi, "mps")
    .replace(/(\d)\s*([ap])\.?m\b\.?/gi, "$1 $2meridiem");
  const tokens: string[] = [];
  const isTitle = !/\s\p{Ll}{2}/u.test(plain);
  let starts = true;
  for (const match of plain.matchAll(tokenPattern)) {
    const raw = match[0].trim();
    const previous = tokens.at(-1) ?? "";
    if (/^[.!?:"“”]$/.test(raw)) {
      // A number may be a factorial.
      if (raw === "!" && isNumber(previous)) tokens.push(raw);
      starts = true;
      continue;
    }
    if (/^\d/.test(raw)) {
      const number = digitsOf(raw);
      if (previous === "-") tokens[tokens.length - 1] = `−${number}`;
      else tokens.push(`#${number}`);
    } else if (raw === "-") {
      // Between two numbers it takes away; before one it is its sign.
      tokens.push(isNumber(previous) ? "minus" : "-");
    } else if (raw === "x" && isNumber(previous)) tokens.push("times");
    else if (operators.has(raw)) {
      // A stroke between words is "or".
      if (raw !== "/" || isNumber(previous)) tokens.push(operators.get(raw) as string);
    } else {
      const numeral = roman(raw);
      const lower = signs[raw] ?? raw.toLowerCase();
      const isName = !starts && !isTitle && raw !== lower && raw !== "I" && (silent.has(lower) || persons.has(lower) || modals.has(lower));
      tokens.push(numeral !== undefined ? `#${numeral}` : isName ? raw : lower);
    }
    starts = false;
  }
  return tokens;
}

const joinCompounds = (tokens: readonly string[]): string[] => {
  const joined: string[] = [];
  for (let i = 0; i < tokens.length; i++) {
    const both = compounds.get(`${tokens[i]} ${tokens[i + 1]}`) ?? compounds.get(`${tokens[i]} ${singular(tokens[i + 1] ?? "")}`);
    joined.push(both ?? (tokens[i] as string));
    if (both !== undefined) i++;
  }
  return joined;
};

// --- the question

/** Openings that say what is asked for. They are tried in this order, on the words joined by spaces. */
const subject = "(?:i|we|one)";
const polite: readonly RegExp[] = [
  /^(?:hi|hello|hey|thanks|thank you|ok|okay|please|kindly|and|so|well) /,
  /^(?:can|could|would|will) you (?:please )?(?=(?:tell|explain|give|show|describe|summarise|summarize|translate|convert|list|calculate)\b)/,
  /^(?:i would like|i want|i need|i wish) to know /,
  /^do you know /,
  /^(?:please )?(?:tell|show) me (?=(?:how|what|who|when|where|why|which)\b)/,
  /^explain (?:to me )?(?=(?:how|what|who|when|where|why|which)\b)/,
];
const openings: readonly (readonly [RegExp, string])[] = [
  [new RegExp(`\\bhow (?:do|can|could|should|would|might|may) ${subject} `), "how-to"],
  [/\bhow (?:to) /, "how-to"],
  [/\bwhat is the (?:best |easiest |right |correct )?way to /, "how-to"],
  [new RegExp(`\\bwhat (?:do|must|should) ${subject} (?:need |have )?(?:to )?do to `), "how-to"],
  [/\b(?:in|at|on) (?:what|which) (?:year|time|date) /, "when"],
  [/\b(?:what|which) time /, "when"],
  [/\bwhat is the reason (?:for |why )?/, "why"],
  [/\b(?:tell|give|show) me |\b(?:explain|describe|define|list|calculate|compute) /, "what"],
  [/\bis it possible (?:for me )?to /, "whether can i"],
  [new RegExp(`\\bwhere (?:can|could|do) (?=${subject} )`), "where"],
];
const whWords: Readonly<Record<string, string>> = {
  how: "how",
  what: "what",
  which: "what",
  who: "who",
  whom: "who",
  whose: "whose",
  when: "when",
  where: "where",
  why: "why",
};

function question(tokens: readonly string[]): { asks: string; rest: string[] } {
  let text = `${tokens.join(" ")} `;
  for (let again = true; again; ) {
    const shorter = polite.reduce((words, opening) => words.replace(opening, ""), text);
    again = shorter !== text;
    text = shorter;
  }
  for (const [opening, meaning] of openings) {
    const cut = text.replace(opening, " ");
    if (cut === text) continue;
    const [asks = "", ...implied] = meaning.split(" ");
    return { asks, rest: [...implied, ...withModals(split(cut))] };
  }
  const words = split(text);
  const at = words.findIndex((word) => Object.hasOwn(whWords, word));
  if (at >= 0) {
    const asks = whWords[words[at] as string] as string;
    // The second of two ("who did what") is a word that matters.
    return { asks, rest: withModals(words.toSpliced(at, 1)) };
  }
  const first = words[0] ?? "";
  const isWhether = modals.has(first) || /^(?:is|are|am|was|were|do|does|did|has|have|had)$/.test(first);
  return { asks: isWhether ? "whether" : "do", rest: withModals(words) };
}

const split = (text: string): string[] => text.split(" ").filter((word) => word !== "");
const withModals = (words: readonly string[]): string[] => words.map((word) => modals.get(word) ?? word);

/** Helpers of verbs. */
const be = /^(?:is|are|am|be|been|was|were)$/;
const have = /^(?:has|have|had)$/;
const doing = /^(?:do|does|did)$/;

function timeOf(tokens: readonly string[]): string {
  const some = (pattern: RegExp): boolean => tokens.some((token) => pattern.test(token));
  const isHelped = some(be) || some(have) || some(doing) || tokens.some((token) => modals.has(token));
  const isPast = some(/^(?:was|were|did|had)$/) || (!isHelped && some(/[a-z]{3}ed$/));
  const tense = some(/^(?:will|shall)$/) ? "future" : isPast ? "past" : "present";
  if (some(be) && some(/[a-z]{2}ing$/)) return `${tense} continuous`;
  if (some(have) && some(/[a-z]{2}ed$|^been$/)) return `${tense} perfect`;
  return some(be) && some(/[a-z]{2}ed$/) ? `${tense} passive` : tense;
}

function helperOf(tokens: readonly string[]): Reading["helper"] {
  if (tokens.some((token) => doing.test(token))) return "do";
  return tokens.some((token) => be.test(token)) ? "be" : null;
}

// --- words

function singular(word: string): string {
  if (word.length < 4 || /(?:ss|us|is)$/.test(word)) return word;
  if (/ies$/.test(word)) return `${word.slice(0, -3)}y`;
  if (/(?:x|ch|sh|ss|o)es$/.test(word)) return word.slice(0, -2);
  return word.endsWith("s") ? word.slice(0, -1) : word;
}

/** A plural, a participle and a gerund may be the word itself: crash, crashes, crashed, crashing. No other ending is taken off. */
function wordOf(token: string): Word {
  const ending = isNumber(token) ? token : singular(token);
  const word = synonyms.get(ending) ?? ending;
  const stem = /^(.{3,})(?:ing|ed)$/.exec(ending)?.[1];
  if (stem === undefined) return { word, forms: [word] };
  const stems = [stem, `${stem}e`, ...(/([b-df-hj-np-tv-z])\1$/.test(stem) ? [stem.slice(0, -1)] : [])];
  return { word, forms: [word, ...stems.map((form) => synonyms.get(form) ?? form)] };
}
