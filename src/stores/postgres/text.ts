/** Text that goes into columns and comparisons as it is, and numbers for locks. JSON needs neither: it has no such characters unescaped. */
import { hash } from "node:crypto";

/** The same text, of characters that Postgres can hold: it has no U+0000, which is written by two others. Different texts stay different. */
export const storable = (text: string): string =>
  /[\0\u0001]/.test(text) ? text.replaceAll("\u0001", "\u0001\u0001").replaceAll("\0", "\u0001\u0002") : text;

export const storableOrNull = (text: string | null): string | null => (text === null ? null : storable(text));

/** The number of an advisory lock, as text: locks have no names. */
export const lockOf = (...names: readonly string[]): string =>
  BigInt.asIntN(64, BigInt(`0x${hash("sha1", JSON.stringify(names), "hex").slice(0, 16)}`)).toString();

/** What {@link storable} was given. */
export const restored = (text: string): string =>
  text.replace(/\u0001([\u0001\u0002])/g, (_, second) => (second === "\u0001" ? "\u0001" : "\0"));
