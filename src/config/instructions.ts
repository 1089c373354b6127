/** From the instructions that an author wrote to what a run is pinned to: their text, and which version of which prompt it is. */
import { type Prompt, type PromptRef, refOf, textOf } from "../prompts/prompt.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { Json } from "../protocol/json.ts";
import { fill } from "../protocol/template.ts";
import type { TierSpec } from "../runtime/agent.ts";

export type Instructed = { readonly instructions: string; readonly prompt?: PromptRef };

export function instructed(given: string | Prompt): Instructed {
  if (typeof given === "string") return { instructions: given };
  const text = textOf(given);
  return { instructions: given.variables.length > 0 ? text : fill(text, {}), prompt: refOf(given) };
}

/** Each slot must be a member of the input that is always there. Throws `invalid_request` with the way out. */
export function checkSlots(agent: string, inputSchema: Json | undefined, own: Instructed, tiers: readonly TierSpec[]): void {
  const { properties = {}, required = [] } = (inputSchema ?? {}) as { properties?: { [name: string]: Json }; required?: readonly string[] };
  for (const { prompt } of [own, ...tiers])
    for (const name of prompt?.variables ?? []) {
      if (required.includes(name)) continue;
      const way = !inputSchema
        ? `give the agent an input schema with it: input: z.object({ ${name}: z.string() })`
        : Object.hasOwn(properties, name)
          ? "it is optional there, and a slot needs a value: make it required"
          : `its members are ${Object.keys(properties).join(", ") || "none"}`;
      throw new EscapementError(
        "invalid_request",
        `agent "${agent}": the prompt ${prompt?.name}@${prompt?.version} has the slot {{${name}}}, which is no member of the agent's input; ${way}`,
        { details: { path: "instructions" } },
      );
    }
}
