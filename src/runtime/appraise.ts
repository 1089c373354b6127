/** What the runtime knows of an ask and its machine does not: its class, its hash, and what is wrong with it. Pure. */
import type { CallInput, ToolInput } from "../../machines/work.ts";
import { type ErrorBody, errorBody } from "../protocol/errors.ts";
import type { Json } from "../protocol/json.ts";
import type { Provider } from "../providers/provider.ts";
import type { AgentSpec } from "./agent.ts";
import { inputHash } from "./input-hash.ts";
import { tierOf } from "./reserve.ts";
import type { Appraise } from "./run.ts";
import { lengthProblem } from "./too-long.ts";
import type { Tool } from "./tool.ts";

export function appraise(
  spec: AgentSpec,
  sensitive: boolean,
  providers: ReadonlyMap<string, Provider>,
  toolOf: (name: string) => Tool | undefined,
): Appraise {
  return (kind, input) => {
    const hash = inputHash(input);
    if (kind === "call") {
      const problem = callProblem(input as CallInput, spec, sensitive, providers);
      return { class: "call", hash, ...(problem && { problem }) };
    }
    if (kind !== "tool") return { class: kind, hash };
    const use = input as ToolInput;
    const exposed = spec.tools.find(({ name }) => name === use.name);
    const problem = toolProblem(use, exposed && toolOf(use.name), spec);
    return { class: exposed?.class ?? "pure", hash, ...(problem && { problem }) };
  };
}

/** A tool that the agent does not show is refused here, before any dispatch (FAULTS P36). */
function toolProblem(use: ToolInput, tool: Tool | undefined, spec: AgentSpec): ErrorBody | null {
  if (!tool) {
    const names = spec.tools.map(({ name }) => name).join(", ");
    return errorBody("tool_not_found", `there is no tool "${use.name}"; ${names ? `the tools are ${names}` : "this agent has no tools"}`);
  }
  const parsed = tool.parse(use.input as Json);
  return parsed.ok ? null : errorBody("tool_denied", `the arguments do not fit: ${parsed.message}`);
}

function callProblem(input: CallInput, spec: AgentSpec, sensitive: boolean, providers: ReadonlyMap<string, Provider>): ErrorBody | null {
  if (input.cached) return null;
  const tier = tierOf(spec, input.tier);
  const provider = tier && providers.get(tier.provider);
  // The interpreter answers for a provider that this process does not have: another one may.
  if (!tier || !provider) return null;
  if (sensitive && !provider.selfHosted) {
    return errorBody(
      "provider_rejected",
      `this run is sensitive and ${provider.name} is not self-hosted; give the agent a self-hosted tier`,
      { details: { reason: "sensitive" } },
    );
  }
  return lengthProblem(input, spec, tier, provider);
}
