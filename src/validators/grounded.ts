/**
 * `grounded()`: numbers and quotations of an answer must be found in what the model was given. It cannot say that an answer follows from its
 * sources; it catches what was made up out of nothing, which is what a number or a quotation usually is.
 */
import type { Message } from "../protocol/messages.ts";
import type { Validator } from "../runtime/validator.ts";

export type GroundedOptions = {
  /** `tools`: only results of tools are sources. `conversation` (default): what the user and the system have said too. */
  readonly sources?: "tools" | "conversation";
  readonly blocking?: boolean;
};

/** Numbers up to this are counted with, not taken from anywhere ("two of the three"). */
const smallest = 10;
/** Characters below which a quotation is a word in quotes. */
const minQuote = 12;

export function grounded({ sources = "conversation", blocking }: GroundedOptions = {}): Validator {
  return {
    name: "grounded",
    ...(blocking !== undefined && { blocking }),
    check({ text }, { messages }) {
      const given = messages.filter(({ role }) => role === "tool" || (sources === "conversation" && role !== "assistant")).map(textOf);
      const known = given.join("\n");
      const numbers = new Set(numbersIn(known));
      const words = normal(known);
      const missing = [
        ...numbersIn(text).filter((number) => Math.abs(Number(number)) > smallest && !numbers.has(number)),
        ...quotesIn(text).filter((quote) => !words.includes(normal(quote))),
      ];
      if (missing.length === 0) return null;
      const told = [...new Set(missing)].slice(0, 5).map((one) => JSON.stringify(one.slice(0, 80)));
      return `Nothing that was given says ${told.join(", ")}. Say only what the sources say, and quote them word for word.`;
    },
  };
}

function textOf({ content }: Message): string {
  return typeof content === "string" ? content : content.map((part) => (part.type === "text" ? part.text : "")).join("\n");
}

/** As written, without grouping: `1,234.50` is 1234.5. */
const numbersIn = (text: string): string[] =>
  [...text.matchAll(/(?<![\p{L}\d.,])[-−]?\d{1,3}(?:[,\u202f\u00a0' ]\d{3})+(?:\.\d+)?(?!\d)|(?<![\p{L}\d])[-−]?\d+(?:\.\d+)?/gu)].map(
    ([number]) => String(Number(number.replace("−", "-").replace(/[,\u202f\u00a0' ]/g, ""))),
  );

const quotesIn = (text: string): string[] =>
  [...text.matchAll(/"([^"\n]+)"|“([^”\n]+)”|„([^“”\n]+)[“”]|«([^»\n]+)»/g)]
    .map((match) => (match.slice(1).find((group) => group !== undefined) ?? "").trim())
    .filter((quote) => quote.length >= minQuote);

/** Case, spaces and the marks at the end of a quotation are the writer's. */
const normal = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[\s\u00a0]+/g, " ")
    .replace(/[.,;:!?…]+$/, "")
    .trim();
