/**
 * `prompt()`: instructions with a name, a version and slots (FEATURES C8). A version is text that never changes again: whoever changes
 * the text gives it another version, so that logs, caches and evals can tell them apart.
 */
import { EscapementError } from "../protocol/errors.ts";
import { escaped, slotsOf } from "../protocol/template.ts";

/** Shown to the model behind the template. Its name is for the audit, which says whether anything like it was ever asked. */
export type Example = { readonly name: string; readonly input: string; readonly output: string };

export type PromptOptions = {
  /** Letters, digits, dots, dashes and underscores, at most 64. */
  readonly name: string;
  readonly version: string;
  /** `{{city}}` is the member `city` of the run's input. */
  readonly template: string;
  /** Names of the slots, where they shall be held against the template. */
  readonly variables?: readonly string[];
  readonly examples?: readonly Example[];
};

export type Prompt = PromptOptions & { readonly kind: "prompt"; readonly variables: readonly string[] };

/** What an agent that is pinned keeps of it, beside the text. */
export type PromptRef = {
  readonly name: string;
  readonly version: string;
  readonly variables: readonly string[];
  readonly examples?: readonly Example[];
};

const word = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

/** Throws `invalid_request`: a name or version that is none, a slot that is none, variables that the template does not have, or has and they do not. */
export function prompt(options: PromptOptions): Prompt {
  const { name, version, template, variables, examples = [] } = options;
  const refused = (message: string): EscapementError => new EscapementError("invalid_request", `prompt "${name}@${version}": ${message}`);
  for (const [key, value] of Object.entries({ name, version }))
    if (!word.test(value)) throw refused(`a ${key} is letters, digits, dots, dashes and underscores, at most 64`);
  let slots: readonly string[];
  try {
    slots = slotsOf(template);
  } catch (error) {
    throw refused((error as Error).message);
  }
  const unused = variables?.find((variable) => !slots.includes(variable));
  if (unused !== undefined) throw refused(`its template has no slot {{${unused}}}; there are: ${listed(slots)}`);
  const unknown = variables && slots.find((slot) => !variables.includes(slot));
  if (unknown !== undefined)
    throw refused(`its template has the slot {{${unknown}}}, which is not among its variables: ${listed(variables ?? [])}`);
  const twice = examples.find((example, i) => examples.findIndex((other) => other.name === example.name) !== i);
  if (twice) throw refused(`it has two examples named "${twice.name}"; rename one`);
  return { ...options, kind: "prompt", variables: slots };
}

/** The whole text, still with its slots. */
export const textOf = ({ template, examples = [] }: Prompt): string =>
  [template, ...examples.map((example) => escaped(shown(example)))].join("\n\n");

export const shown = ({ input, output }: Example): string =>
  `<example>\n<input>\n${input}\n</input>\n<output>\n${output}\n</output>\n</example>`;

export const refOf = ({ name, version, variables, examples }: Prompt): PromptRef => ({
  name,
  version,
  variables,
  ...(examples?.length && { examples }),
});

const listed = (names: readonly string[]): string => names.join(", ") || "none";
