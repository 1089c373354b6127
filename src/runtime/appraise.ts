/** What the runtime knows of an ask and its machine does not: its class, its hash, and what is wrong with it. Pure. */
import type { CallInput, ToolInput } from "../../machines/work.ts";
import { type ErrorBody, errorBody } from "../protocol/errors.ts";
import type { Json } from "../protocol/json.ts";
import type { Provider } from "../providers/provider.ts";
import { type AgentSpec, routesOf } from "./agent.ts";
import { hasImages } from "./covered.ts";
import { argumentsHash, inputHash } from "./input-hash.ts";
import { partOf } from "./parts.ts";
import { hedgeOf, tierOf } from "./reserve.ts";
import type { Appraise } from "./run.ts";
import { lengthProblem } from "./too-long.ts";
import { maxShown, type Tool } from "./tool.ts";

export function appraise(
  spec: AgentSpec,
  sensitive: boolean,
  providers: ReadonlyMap<string, Provider>,
  toolOf: (spec: AgentSpec, name: string) => Tool | undefined,
): Appraise {
  return (kind, input, shown) => {
    // What a machine asks for has the input of its kind.
    const part = partOf(spec, input as never);
    const hash = inputHash(input);
    if (kind === "call") {
      const problem = callProblem(input as CallInput, part, sensitive || spec.sensitive === true || part.sensitive === true, providers);
      return { class: "call", hash, ...(hedgeOf(input as CallInput, part) && { calls: 2 }), ...(problem && { problem }) };
    }
    if (kind !== "tool" && kind !== "delegate") return { class: kind, hash };
    const use = input as ToolInput;
    const exposed = part.tools.find(({ name }) => name === use.name);
    const isShown = shown === undefined || shown.includes(use.name);
    const problem = toolProblem(use, isShown ? exposed && toolOf(part, use.name) : undefined, part, shown);
    return {
      class: exposed?.class ?? "pure",
      hash,
      ...(problem && { problem }),
      use: {
        hash: argumentsHash(use.name, use.input),
        name: use.name,
        needsApproval: exposed?.approval ?? false,
        untrusted: exposed?.untrusted ?? false,
        consequential: exposed?.consequential ?? false,
      },
    };
  };
}

/** A tool that the agent does not show is refused here, before any dispatch (FAULTS P36). */
function toolProblem(use: ToolInput, tool: Tool | undefined, spec: AgentSpec, shown: readonly string[] | undefined): ErrorBody | null {
  if (!tool) {
    const names = (shown ?? spec.tools.map(({ name }) => name)).join(", ");
    return errorBody("tool_not_found", `there is no tool "${use.name}"; ${names ? `the tools are ${names}` : "this agent has no tools"}`);
  }
  const parsed = tool.parse(use.input as Json);
  return parsed.ok ? null : errorBody("tool_denied", `the arguments do not fit: ${parsed.message}`);
}

function callProblem(input: CallInput, spec: AgentSpec, sensitive: boolean, providers: ReadonlyMap<string, Provider>): ErrorBody | null {
  if (input.cached) return null;
  if ((input.tools?.length ?? 0) > maxShown)
    return errorBody("tool_denied", `a call may show ${maxShown} tools, this one shows ${input.tools?.length}; let \`expose\` name fewer`);
  const tier = tierOf(spec, input.tier);
  const there = tier ? routesOf(tier).filter(({ provider }) => providers.has(provider)) : [];
  // The interpreter answers for a provider that this process does not have: another one may.
  if (!tier || there.length === 0) return null;
  if (sensitive && !there.some(({ provider }) => providers.get(provider)?.selfHosted)) {
    return errorBody(
      "provider_rejected",
      `this run is sensitive and ${providers.get(tier.provider)?.name ?? tier.provider} is not self-hosted; give the agent a self-hosted tier`,
      { details: { reason: "sensitive" } },
    );
  }
  if (tier.anonymise && hasImages(input)) {
    return errorBody("provider_rejected", `the tier "${tier.name}" is anonymised, and images cannot be; send none, or add another tier`, {
      details: { reason: "anonymise" },
    });
  }
  for (const route of there) {
    const problem = lengthProblem(input, spec, tier, providers.get(route.provider) as Provider, route.model);
    if (problem) return problem;
  }
  return null;
}
