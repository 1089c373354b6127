/**
 * Hides names, mails, phone, card, account and other long numbers of one call behind placeholders (`[MAIL_1]`), and puts them back into
 * what the model answers (FEATURES C12).
 *
 * Mails and numbers are found by their form. Names are those that the agent lists, and what follows a title ("Dr."), a salutation
 * ("Dear") or an introduction ("my name is"), in English and German; a name that was found once is hidden wherever it stands. A name in
 * running text that is neither listed nor introduced is not found.
 *
 *  1. The mapping lives in this object, for one call. It is made of the whole conversation in its order, which only grows: so a value
 *     has the same placeholder in every call of a conversation.
 *  2. What is put back is exactly what was hidden, also where a placeholder comes in pieces.
 *  3. A text that looks like a placeholder is hidden itself: nobody can name another's.
 *  4. Every pattern is bounded, so the time is that of the text's length.
 */
import type { Json } from "../protocol/json.ts";
import { luhn } from "./checksums.ts";

const upper = "\\p{Lu}[\\p{L}'’-]{1,40}";
const named = `${upper}(?: ${upper}){0,2}`;
/** Words before a name, in any case of their first letter; the name itself begins with a capital. */
const introduction = new RegExp(
  `(?:\\b[Mm]y name is|\\b[Ii] am called|\\b[Mm]ein Name ist|\\b[Ii]ch heiße|\\b(?:Dear|Liebe|Lieber|Herr|Herrn|Frau|Mr|Mrs|Ms|Miss|Dr|Prof)\\b\\.?) (?=(${named}))`,
  "gu",
);
/** Follow a salutation, and are no names. */
const noNames = new Set(["Sir", "Madam", "All", "Team", "Customer", "Dr", "Prof", "Mr", "Mrs", "Ms", "Frau", "Herr"]);

const forms = [
  "(?<text>\\[[A-Z]{1,8}_\\d{1,9}\\])",
  "(?<mail>[\\p{L}\\p{N}._%+-]{1,64}@[\\p{L}\\p{N}-]{1,63}(?:\\.[\\p{L}\\p{N}-]{1,63}){1,8})",
  "(?<iban>\\b[A-Z]{2}\\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\\b)",
  "(?<date>\\b\\d{4}-\\d{2}-\\d{2}\\b)",
  "(?<number>[+(]{0,2}\\d(?:[ \\u00a0().\\/\\u2010-\\u2013-]{0,3}\\d){6,})",
];
const plain = new RegExp(forms.join("|"), "gu");

type Kind = "NAME" | "MAIL" | "IBAN" | "CARD" | "PHONE" | "NUMBER" | "TEXT";

export class Anonymiser {
  private readonly placeholders = new Map<string, string>();
  private readonly values = new Map<string, string>();
  private readonly counts = new Map<Kind, number>();
  /** Values that were numbers in JSON. */
  private readonly numbers = new Set<string>();
  private readonly names: string[];
  private pattern: RegExp | undefined;

  /** `names`: what is always hidden, in any case. */
  constructor(names: readonly string[] = []) {
    this.names = [...names];
  }

  /** Finds what is to be hidden in a text. All texts of a call are looked at, in their order, before any is hidden. */
  look(text: string): void {
    for (const [, found = ""] of text.matchAll(introduction)) {
      const name = found
        .split(" ")
        .filter((word) => !noNames.has(word))
        .join(" ");
      if (name === "") continue;
      this.names.push(name, ...name.split(" ").filter((word) => word.length > 2));
    }
    this.pattern = undefined;
    this.hide(text);
  }

  hide(text: string): string {
    this.pattern ??= patternOf(this.names);
    return text.replace(this.pattern, (value, ...rest) => {
      const groups = rest.at(-1) as { [form: string]: string | undefined };
      return groups.date === undefined ? this.placeholder(value, kindOf(value, groups)) : value;
    });
  }

  /** Texts anywhere in a value, its keys included. */
  hideIn(value: Json): Json {
    return mapped(
      value,
      (text) => this.hide(text),
      (number) => this.hideNumber(number),
    );
  }

  lookIn(value: Json): void {
    this.hideIn(
      mapped(value, (text) => {
        this.look(text);
        return text;
      }),
    );
  }

  /** `quoted`: the text is JSON that is not read yet, so what is put back is escaped as in it. */
  restore(text: string, quoted = false): string {
    return text.replace(placeholder, (found) => {
      const value = this.values.get(found);
      if (value === undefined) return found;
      return quoted ? JSON.stringify(value).slice(1, -1) : value;
    });
  }

  restoreIn(value: Json): Json {
    return mapped(value, (text) => {
      const whole = this.values.get(text);
      return whole !== undefined && this.numbers.has(whole) ? Number(whole) : this.restore(text);
    });
  }

  private hideNumber(number: number): Json {
    const text = String(number);
    if (this.hide(text) === text) return number;
    // Only a whole placeholder can become the number again.
    this.numbers.add(text);
    return this.placeholder(text, "NUMBER");
  }

  private placeholder(value: string, kind: Kind): string {
    const known = this.placeholders.get(value);
    if (known !== undefined) return known;
    const count = (this.counts.get(kind) ?? 0) + 1;
    this.counts.set(kind, count);
    const made = `[${kind}_${count}]`;
    this.placeholders.set(value, made);
    this.values.set(made, value);
    return made;
  }
}

/** Puts values back into a text that comes in pieces. */
export class Restorer {
  private readonly anonymiser: Anonymiser;
  private readonly quoted: boolean;
  private held = "";

  constructor(anonymiser: Anonymiser, quoted: boolean) {
    this.anonymiser = anonymiser;
    this.quoted = quoted;
  }

  /** What can be told by now: all but the beginning of what may become a placeholder. */
  push(piece: string): string {
    const text = this.held + piece;
    const at = text.search(begun);
    this.held = at === -1 ? "" : text.slice(at);
    return this.anonymiser.restore(at === -1 ? text : text.slice(0, at), this.quoted);
  }

  /** The rest, which became none. */
  end(): string {
    const rest = this.held;
    this.held = "";
    return rest;
  }
}

const placeholder = /\[[A-Z]{1,8}_\d{1,9}\]/g;
const begun = /\[(?:[A-Z]{1,8}(?:_\d{0,9})?)?$/;

function patternOf(names: readonly string[]): RegExp {
  if (names.length === 0) return plain;
  // The longest first: a name is not to be hidden in parts. Case is of no matter for names alone.
  const each = [...new Set(names)].toSorted((a, b) => b.length - a.length).map(inAnyCase);
  return new RegExp(`${forms.join("|")}|(?<name>(?<![\\p{L}\\p{N}])(?:${each.join("|")})(?![\\p{L}\\p{N}]))`, "gu");
}

/** A name as a pattern. */
const inAnyCase = (name: string): string =>
  [...name]
    .map((letter) => {
      const both = [...new Set([letter, letter.toLowerCase(), letter.toUpperCase()])].filter((form) => [...form].length === 1);
      return both.length > 1 ? `[${both.join("")}]` : letter.replace(/[\\^$.*+?()[\]{}|/]/, "\\$&");
    })
    .join("");

function kindOf(value: string, { text, mail, iban, number }: { [form: string]: string | undefined }): Kind {
  if (text !== undefined) return "TEXT";
  if (mail !== undefined) return "MAIL";
  if (iban !== undefined) return "IBAN";
  if (number === undefined) return "NAME";
  const digits = value.replaceAll(/\D/g, "");
  if (digits.length >= 13 && digits.length <= 19 && luhn(digits)) return "CARD";
  return /^[+(0]/.test(value) ? "PHONE" : "NUMBER";
}

function mapped(value: Json, of: (text: string) => Json, ofNumber: (number: number) => Json = (number) => number): Json {
  if (typeof value === "string") return of(value);
  if (typeof value === "number") return ofNumber(value);
  if (Array.isArray(value)) return value.map((one) => mapped(one as Json, of, ofNumber));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [String(of(key)), mapped(one as Json, of, ofNumber)]));
}
