/**
 * Templates: text with slots, `{{name}}`. `\{{` is two braces and no slot.
 *
 *  1. A template is read once: what is put into a slot is data, and braces in it mean nothing.
 */
import { EscapementError } from "./errors.ts";
import type { Json } from "./json.ts";

const slot = /\\\{\{|\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}|\{\{/g;

/** Names of the slots in their order, each once. Throws `invalid_request` where braces are no slot. */
export function slotsOf(template: string): readonly string[] {
  const names = new Set<string>();
  for (const { 0: found, 1: name, index } of template.matchAll(slot)) {
    if (name !== undefined) names.add(name);
    else if (found === "{{") {
      const near = template.slice(index, index + 40).split("\n")[0];
      throw new EscapementError(
        "invalid_request",
        `"${near}" is no slot: a slot is a name of letters, digits and underscores in two braces, as {{city}}; write \\{{ for the braces themselves`,
      );
    }
  }
  return [...names];
}

/** Each slot by its value: text as it is, anything else as JSON, nothing for null. */
export const fill = (template: string, values: { readonly [name: string]: Json | undefined }): string =>
  template.replace(slot, (found: string, name: string | undefined) =>
    name === undefined ? found.replace("\\", "") : textOf(values[name]),
  );

/** Text in which no braces are slots. */
export const escaped = (text: string): string => text.replaceAll("{{", "\\{{");

const textOf = (value: Json | undefined): string =>
  value === undefined || value === null ? "" : typeof value === "string" ? value : JSON.stringify(value);
