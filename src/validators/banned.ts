/** `banned()`: words and patterns that an answer must not contain. */
import type { Validator } from "../runtime/validator.ts";

/**
 * A word is found whole, in any case, also where it is written with full-width letters or with invisible characters in it; an expression
 * is tried on the same plain form of the text. The complaint does not repeat what was found: the model would see it again.
 */
export function banned(
  what: readonly (string | RegExp)[],
  options: { readonly name?: string; readonly blocking?: boolean } = {},
): Validator {
  const patterns = what.map((one) =>
    typeof one === "string" ? new RegExp(`(?<![\\p{L}\\p{N}])${escaped(plain(one))}(?![\\p{L}\\p{N}])`, "iu") : stateless(one),
  );
  return {
    name: options.name ?? "banned",
    ...(options.blocking !== undefined && { blocking: options.blocking }),
    check({ text }) {
      const found = patterns.filter((pattern) => pattern.test(plain(text))).length;
      return found === 0 ? null : `It contains ${found === 1 ? "something" : `${found} things`} that must not be said. Leave it out.`;
    },
  };
}

/** Invisible characters out, compatibility forms as the letters they stand for. */
const plain = (text: string): string => text.normalize("NFKC").replace(/\p{Cf}|\u034f|\u115f|\u1160|\u17b4|\u17b5|\u3164/gu, "");
const escaped = (word: string): string => word.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
/** With `g` or `y` an expression goes on where it last ended. */
const stateless = ({ source, flags }: RegExp): RegExp => new RegExp(source, flags.replace(/[gy]/g, ""));
