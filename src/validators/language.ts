/** `language()`: the language that an answer must be in, as far as it can be told. */
import { francAll } from "franc-min";
import { EscapementError } from "../protocol/errors.ts";
import type { Validator } from "../runtime/validator.ts";

/** ISO 639-1 to the ISO 639-3 that the detector speaks. */
const codes: { readonly [two: string]: string } = {
  ar: "arb",
  bn: "ben",
  cs: "ces",
  de: "deu",
  el: "ell",
  en: "eng",
  es: "spa",
  fa: "pes",
  fr: "fra",
  hi: "hin",
  hu: "hun",
  id: "ind",
  it: "ita",
  ja: "jpn",
  ko: "kor",
  nl: "nld",
  pl: "pol",
  pt: "por",
  ro: "ron",
  ru: "rus",
  sv: "swe",
  th: "tha",
  tr: "tur",
  uk: "ukr",
  vi: "vie",
  zh: "cmn",
};

/** Characters below which trigrams tell little: a shorter answer is let through. */
const minLength = 60;
/** The expected language is taken as right when its score comes this near to the best one (1): close relatives differ by less. */
const nearEnough = 0.9;

/** `expected`: ISO 639-1. Throws `invalid_request` for one that the detector does not know. Code and quotes in an answer are not looked at. */
export function language(expected: string, options: { readonly blocking?: boolean } = {}): Validator {
  const code = codes[expected];
  if (code === undefined)
    throw new EscapementError("invalid_request", `the language "${expected}" cannot be told; there are ${Object.keys(codes).join(", ")}`);
  return {
    name: "language",
    ...(options.blocking !== undefined && { blocking: options.blocking }),
    check({ text }) {
      const prose = text.replace(/```[\s\S]*?(?:```|$)/g, " ").replace(/`[^`\n]*`|https?:\S+/g, " ");
      if (prose.trim().length < minLength) return null;
      const scores = francAll(prose);
      const isRight = scores.some(([found, score]) => found === code && score >= nearEnough);
      return isRight || scores[0]?.[0] === "und" ? null : `It is not written in the language "${expected}". Write the same in it.`;
    },
  };
}
