/**
 * `chain()`, `router()`, `fanOut()`, `mapReduce()`: agents put together. A pattern is data, as an agent is; wherever an agent can stand,
 * a pattern can, so they nest.
 */
import type { z } from "zod";
import { EscapementError } from "../protocol/errors.ts";
import type { LimitsInput } from "../protocol/limits.ts";
import type { Agent, AgentOptions } from "./agent.ts";

export type Part = Agent | Pattern;

type PatternBase = Pick<
  AgentOptions,
  "name" | "description" | "confirm_above_microusd" | "sensitive" | "untrusted_input" | "priority" | "bounds" | "supervision"
> & {
  /** What a run takes. Its members are slots of the prompts. Default: text or `{messages}`. */
  readonly input?: z.ZodType;
  /** What is left out is what the pattern can need at most, but for money and time. Of a part only `max_steps` and `max_output_tokens` count. */
  readonly limits?: LimitsInput;
};

export type StageOptions = {
  readonly agent: Part;
  /** Its question. Slots: `{{previous}}` (the default), `{{input}}`, earlier stages by name, members of the run's input. */
  readonly prompt?: string;
  /** A person must agree to what there is before the stage begins. A no with a reason sends the stage before back to do it again. */
  readonly review?: boolean;
  /** When it fails, the chain goes on without it. */
  readonly optional?: boolean;
};
export type ChainOptions = PatternBase & {
  /** In order. */
  readonly stages: readonly (Part | StageOptions)[];
  /** How often a reviewer may send a stage back, in all; 3. */
  readonly redos?: number;
};

export type RouterOptions = PatternBase & {
  /** For the classifier the description of each agent says what it is for. */
  readonly routes: readonly Part[];
  /** A model that sorts: a tier of the configuration. Without it only the task that a run names in `metadata.task` chooses. */
  readonly classifier?: { readonly tier: string; readonly sure_from?: number };
  /** Task → route. A task of the same name as a route needs no entry. */
  readonly tasks?: { readonly [task: string]: string };
  /** The route for what fits none; the first. */
  readonly default?: string;
};

/** What follows a part that did not answer. */
type Failing = {
  /** Further attempts of a part that failed; 0. */
  readonly retries?: number;
  /** `fail` (default): the whole fails. `drop`: it goes on without. */
  readonly on_failure?: "fail" | "drop";
  /** When the end is certain, parts that still run are stopped (`cancel`, default) or waited for. */
  readonly siblings?: "cancel" | "drain";
  /** Parts that run at once; 4. */
  readonly width?: number;
};

export type FanOutOptions = PatternBase &
  Failing & {
    /** Different agents on one question, or one agent several times: `{ agent, times }`. */
    readonly branches: readonly Part[] | { readonly agent: Part; readonly times: number };
    readonly prompt?: string;
    /** `first` to answer, `vote` (of objects on one member), `best` by a judge, or `merge` by an agent. */
    readonly aggregate: "first" | "vote" | { readonly vote: string } | { readonly best: Agent } | { readonly merge: Agent };
    /** Answers that it needs; 1. */
    readonly least?: number;
  };

export type MapReduceOptions = PatternBase &
  Failing & {
    readonly map: Part;
    readonly reduce: Part;
    /** The text to split; `{{input}}`. */
    readonly text?: string;
    readonly chunk?: { readonly tokens?: number; readonly overlap?: number; readonly max?: number };
    /** More chunks than this wait for a person's yes. */
    readonly confirm_above_chunks?: number;
    /** Slots: `{{chunk}}` (the default), `{{index}}`, `{{total}}`, `{{input}}`, members of the run's input. */
    readonly map_prompt?: string;
    /** Slots: `{{parts}}` (the default), `{{input}}`, members of the run's input. */
    readonly reduce_prompt?: string;
    /** Texts that one reduce takes; 8. */
    readonly fan_in?: number;
  };

export type Pattern =
  | (ChainOptions & { readonly kind: "chain" })
  | (RouterOptions & { readonly kind: "router" })
  | (FanOutOptions & { readonly kind: "fan-out" })
  | (MapReduceOptions & { readonly kind: "map-reduce" });

/** Stages one after another. Throws `invalid_request` with the way out, as all of these do. */
export function chain(options: ChainOptions): Pattern {
  checkName(options.name);
  if (options.stages.length === 0) throw refused(options.name, "stages", "has no stage; give it at least one");
  return { ...options, kind: "chain" };
}

/** One of several. */
export function router(options: RouterOptions): Pattern {
  checkName(options.name);
  if (options.routes.length < 2)
    throw refused(options.name, "routes", "has fewer than two routes; give it another, or use the agent itself");
  return { ...options, kind: "router" };
}

/** Side by side. */
export function fanOut(options: FanOutOptions): Pattern {
  checkName(options.name);
  return { ...options, kind: "fan-out" };
}

/** A long text in chunks. */
export function mapReduce(options: MapReduceOptions): Pattern {
  checkName(options.name);
  const { tokens = 2_000, overlap = 0 } = options.chunk ?? {};
  if (overlap >= tokens)
    throw refused(options.name, "chunk.overlap", `overlaps by ${overlap} tokens of chunks of ${tokens}; make it less than half`);
  return { ...options, kind: "map-reduce" };
}

/** An agent need not say its kind. */
export const isPattern = (part: AgentOptions | Pattern): part is Pattern => "kind" in part && isPatternKind(part.kind);

export const isPatternKind = (kind: unknown): kind is Pattern["kind"] =>
  kind === "chain" || kind === "router" || kind === "fan-out" || kind === "map-reduce";

/** The parts directly in it. */
export function partsIn(part: AgentOptions | Pattern): readonly (AgentOptions | Pattern)[] {
  if (!isPattern(part)) return (part.tools ?? []).filter((tool) => typeof tool !== "string");
  switch (part.kind) {
    case "chain":
      return part.stages.map((stage) => ("agent" in stage ? stage.agent : stage));
    case "router":
      return part.routes;
    case "fan-out": {
      const { branches, aggregate } = part;
      const last =
        typeof aggregate === "string" ? [] : "best" in aggregate ? [aggregate.best] : "merge" in aggregate ? [aggregate.merge] : [];
      return [...("agent" in branches ? [branches.agent] : branches), ...last];
    }
    case "map-reduce":
      return [part.map, part.reduce];
  }
}

/** Names of the tool groups that it needs, at any depth. */
export const groupsIn = (part: AgentOptions | Pattern): readonly string[] => [
  ...(isPattern(part) ? [] : (part.tools ?? []).filter((tool) => typeof tool === "string")),
  ...partsIn(part).flatMap(groupsIn),
];

function checkName(name: string): void {
  if (!/^[a-z][a-z0-9-]{0,63}$/.test(name))
    throw new EscapementError("invalid_request", `a pattern's name is lower case letters, digits and dashes, at most 64; "${name}" is not`);
}

const refused = (name: string, path: string, why: string): EscapementError =>
  new EscapementError("invalid_request", `pattern "${name}" ${why}`, { details: { path } });
