/** An agent or a pattern as a tool: what the model sees of it, and how its arguments become the question. */
import { z } from "zod";
import type { Json } from "../protocol/json.ts";
import type { AgentToolSpec } from "./agent.ts";
import { type Tool, tool } from "./tool.ts";

/** The group under which agents are shown as tools. */
export const agentGroup = "agents";

/** What an agent takes that says nothing of its input. */
export const anyQuestion = z.object({
  input: z.string().min(1).describe("The question or task, with everything that is needed to answer it."),
});

const known = new WeakMap<AgentToolSpec, Tool>();

/** Only its arguments are checked through it: it is run by the machine. */
export function agentTool(spec: AgentToolSpec): Tool {
  const found = known.get(spec);
  if (found) return found;
  // The schema was made from a zod type.
  const input = z.fromJSONSchema(spec.schema as Parameters<typeof z.fromJSONSchema>[0]);
  const made = tool({ name: spec.name, description: spec.description, input, class: "pure", run: () => null });
  known.set(spec, made);
  return made;
}

/** As a tool's specification. */
export const agentToolSpec = (name: string, description: string, input: z.ZodType | undefined): Omit<AgentToolSpec, "plan"> => ({
  name,
  group: agentGroup,
  description,
  schema: z.toJSONSchema(input ?? anyQuestion, { io: "input" }) as Json,
  class: "pure",
  approval: false,
});
