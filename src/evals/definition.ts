/** `defineEval()`: an eval is data. Here is what its author writes, and what is checked of it before anything runs. */
import { z } from "zod";
import { EscapementError } from "../protocol/errors.ts";
import { requirement } from "../protocol/requirement.ts";
import type { AgentOptions } from "../runtime/agent.ts";
import type { Pattern } from "../runtime/pattern.ts";
import type { Case, Scorer } from "./scorer.ts";

export type EvalOptions = {
  /** In reports. Default: the name of its file. */
  readonly name?: string;
  /** What is judged: an agent or pattern, or the name of one of the configuration. */
  readonly agent: string | AgentOptions | Pattern;
  /** A file (`.jsonl` or `.json`, relative to the eval's own file), or the cases themselves. */
  readonly dataset: string | readonly Case[];
  readonly scorers: readonly Scorer[];
  /** Runs of each case; 1. */
  readonly repeat?: number;
  /** Runs at once; 4. */
  readonly concurrency?: number;
  /** Micro-dollars for all runs, judges' included; what it does not cover is not run. */
  readonly budget_microusd?: number;
  /** Tiers of the configuration: the agent is judged on each of them alone. */
  readonly matrix?: readonly string[];
  /** Lets the agent's caches answer; false, since a cached answer says nothing about the agent of today. */
  readonly cache?: boolean;
  /** Answers approvals and reviews with yes. Without it a run that asks a person is cancelled: nobody is there. */
  readonly approve?: boolean;
};
export type Eval = EvalOptions & { readonly kind: "eval" };

const scorer = z.custom<Scorer>(
  (value) => typeof (value as Scorer | undefined)?.score === "function" && typeof (value as Scorer).name === "string",
  "a scorer, made by exact(), regex(), judge(), …",
);
const evalSchema = z.strictObject({
  kind: z.literal("eval"),
  name: z.string().min(1).max(200).optional(),
  agent: z.union([
    z.string().min(1),
    z.custom<AgentOptions>((value) => typeof value === "object" && value !== null, "an agent or its name"),
  ]),
  dataset: z.union([z.string().min(1), z.array(z.unknown()).min(1)]),
  scorers: z.array(scorer).min(1),
  repeat: z.int().min(1).max(100).optional(),
  concurrency: z.int().min(1).max(64).optional(),
  budget_microusd: z.number().positive().max(9_000_000_000_000).optional(),
  matrix: z.array(z.string().min(1)).min(1).max(32).optional(),
  cache: z.boolean().optional(),
  approve: z.boolean().optional(),
});

/** Throws `invalid_request` with the way out. */
export function defineEval(options: EvalOptions): Eval {
  return checkEval("defineEval", { ...options, kind: "eval" });
}

/** What an eval file exports. */
export function checkEval(source: string, value: unknown): Eval {
  if ((value as Eval | undefined)?.kind !== "eval")
    throw refused(`${source} has no eval as its default export; write: export default defineEval({ agent, dataset, scorers })`);
  const parsed = evalSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0] as z.core.$ZodIssue;
    const what = issue.code === "unrecognized_keys" ? `${issue.keys[0]} is not a key` : `${issue.path.join(".")} ${requirement(issue)}`;
    throw refused(`${source}: ${what}`, issue.path.join("."));
  }
  // Checked key by key above.
  const definition = value as Eval;
  const names = definition.scorers.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw refused(`${source}: two scorers are named "${twice}"; give one another \`name\``, "scorers");
  const { repeat = 1, scorers } = definition;
  const alone = scorers.find(({ of }) => of === "case");
  if (alone && repeat < 2) throw refused(`${source}: "${alone.name}" compares the answers to one case; say repeat: 2 or more`, "repeat");
  return definition;
}

const refused = (message: string, path?: string): EscapementError =>
  new EscapementError("invalid_request", message, path === undefined ? {} : { details: { path } });
