/**
 * What would break a line or steer a terminal, made visible: line breaks of all kinds, control characters (ANSI escapes begin with one),
 * marks that turn the direction of text, and halves of surrogate pairs. One event stays one line, wherever it is shown.
 */
const steering =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

const names: { readonly [character: string]: string } = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

export const oneLine = (text: string): string =>
  text.replace(steering, (character) => names[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
