/** The worst cases that the pages tell: of a machine by itself, and of the default agents under their limits. */
import { agentMachine } from "../../machines/agent.ts";
import { walk, worstOf } from "../../machines/bounds.ts";
import { requestMachine } from "../../machines/request.ts";
import { toolMachine } from "../../machines/tool.ts";
import { defaultAgents, defaultLimits } from "../config/agents.ts";
import type { AgentSpec, TierSpec } from "../runtime/agent.ts";
import { boundsOf, machineOf, worstCaseOf } from "../runtime/bounds.ts";
import { table } from "./markdown.ts";

const retries = 2;

/** By machine: the section of its page. */
export const worstCaseSections: { readonly [machine: string]: () => string } = {
  request: () => {
    const rows = [1, 2, 3].flatMap((tiers) =>
      (["stop", "ask"] as const).map((onBudget) => {
        const walked = walk(requestMachine, {
          input: { messages: [], tiers: names(tiers), retries, onBudget, tools: ["plain"] },
          extent: "few",
        });
        const of = (works: (work: string) => boolean): number => worstOf(walked, (work) => (works(work) ? 1 : 0));
        return [
          String(tiers),
          onBudget,
          String(of((work) => work.startsWith("call/"))),
          `${of((work) => work === "sleep_ms") / 1_000} s`,
          String(of((work) => work === "ask")),
        ];
      }),
    );
    return [
      `With ${retries} retries a tier, the default. Calls count when they are asked for: beside the attempts there are 2 for calls that were lost with their process, and 3 that a person may top up. Waits are a provider's longest \`Retry-After\` with the longest jitter, at every retry.`,
      "",
      table(["tiers", "`on_budget`", "calls", "waits", "questions"], rows),
      "",
      defaults("single"),
    ].join("\n");
  },
  agent: () => {
    const rows = [1, 2, 3].map((steps) => {
      const walked = walk(agentMachine, {
        input: {
          messages: [],
          tiers: names(1),
          retries,
          maxSteps: steps,
          onBudget: "stop",
          tools: [{ name: "asked", approval: true }],
          parallelTools: 4,
        },
        extent: "few",
      });
      const of = (kind: string): string =>
        String(worstOf(walked, (work) => (work === kind || (kind === "call" && work.startsWith("call/")) ? 1 : 0)));
      return [String(steps), of("step"), of("call"), of("tool"), of("ask")];
    });
    return [
      "Each step is one request (here of one tier) and at most 16 uses of tools; each use may ask a person before it and, where it was interrupted, after it. It grows evenly with the steps.",
      "",
      table(["steps", "requests", "calls", "tools", "questions"], rows),
      "",
      defaults("assistant"),
    ].join("\n");
  },
  tool: () => {
    const rows = [false, true].map((needsApproval) => {
      const walked = walk(toolMachine, { input: { id: "u1", name: "send", input: {}, call: "c1", needsApproval }, extent: "few" });
      const of = (kind: string): string => String(worstOf(walked, (work) => (work === kind ? 1 : 0)));
      return [needsApproval ? "yes" : "no", of("tool"), of("ask")];
    });
    return table(["needs approval", "uses", "questions"], rows);
  },
};

/** A default agent under the default limits; money is left out, it depends on the prices of the tiers. */
function defaults(agent: string): string {
  const options = defaultAgents.find(({ name }) => name === agent);
  const rows = [1, 2, 3].map((count) => {
    const spec: AgentSpec = {
      name: agent,
      description: "",
      instructions: "",
      machine: `${options?.machine ?? "agent"}@1`,
      tiers: names(count).map(tierOf),
      tools: options?.tools ? [{ name: "plain", group: "", description: "", schema: {}, class: "pure", approval: false }] : [],
      limits: defaultLimits,
      retries,
      onBudget: "stop",
      parallelTools: 4,
    };
    const machine = machineOf(spec);
    const walked = machine && worstCaseOf(spec, defaultLimits, machine);
    const bounds = boundsOf(spec, defaultLimits);
    const told = (meter: "calls" | "tool_calls"): string =>
      walked && walked[meter] > bounds[meter] ? `${bounds[meter]} (its machine could reach ${walked[meter]})` : String(bounds[meter]);
    return [String(count), told("calls"), told("tool_calls"), bounds.output_tokens.toLocaleString("en"), `${bounds.wall_ms / 1_000} s`];
  });
  return [
    `The default agent \`${agent}\` under the default limits (\`escapement verify\` tells it with the money, for your tiers):`,
    "",
    table(["tiers", "calls", "tool calls", "output tokens", "time"], rows),
  ].join("\n");
}

const names = (count: number): string[] => ["first", "second", "third"].slice(0, count);
const tierOf = (name: string): TierSpec => ({
  name,
  provider: "any",
  model: "any",
  price: { inputNano: 0, cachedNano: 0, cacheWriteNano: 0, outputNano: 0 },
  maxOutputTokens: 16_384,
  stream: true,
  timeouts: { connect: 3_000, headers: 10_000, firstToken: 10_000, idle: 10_000, total: 120_000 },
});
