/** What holds on every path through the machine of a pattern. Its parts are machines that were summarised: only their ends are known. */
import type { Path } from "../../machines/bounds.ts";
import type { ChainPlan, FanOutPlan, MapReducePlan, PatternInput, Plan } from "../../machines/patterns/plan.ts";
import type { Asked } from "../../machines/walking/stepper.ts";
import type { Answer, AskOutput, SplitOutput } from "../../machines/work.ts";
import { asksOf, endLeavesNothingAsked, endsOnce, failureHasAnError, type Invariant, outcomesOf, outputOf } from "./invariants.ts";

const inputOf = (path: Path): PatternInput => path.input as PatternInput;
const planOf = <P extends Plan>(path: Path): P => inputOf(path).plan as P;
type Begun = { readonly at: number; readonly part: Asked };
/** The parts in the order in which they were begun; what says a router's route is none. */
const begunIn = (path: Path): readonly Begun[] =>
  path.steps.flatMap(({ step }, at) =>
    step.asked.filter(({ kind, src }) => kind === "machine" && src !== "routing").map((part) => ({ at, part })),
  );
const endsIn = (path: Path): readonly { readonly id: string; readonly isAnswer: boolean }[] =>
  path.steps.flatMap(({ work, outcome }) => {
    if (work?.kind !== "machine" || work.src === "routing" || !outcome) return [];
    const { status } = outcome.value as Answer;
    return [{ id: work.id, isAnswer: outcome.ok && (status === "done" || status === "degraded") }];
  });
const isYes = ({ ok, value }: { ok: boolean; value: unknown }): boolean => ok && (value as AskOutput).approve === true;

/** Aggregators are not tried again. */
const isPooled = (plan: FanOutPlan | MapReducePlan, id: string): boolean =>
  plan.kind === "map-reduce" || plan.branches.some(({ name }) => name === id);

const begunAtMost =
  (most: (plan: Plan, id: string) => number): Invariant =>
  (path) => {
    const times = Map.groupBy(begunIn(path), ({ part }) => part.id);
    for (const [id, begun] of times) if (begun.length > most(inputOf(path).plan, id)) return `"${id}" was begun ${begun.length} times`;
    return null;
  };

const livingAtMost =
  (most: (plan: Plan) => number): Invariant =>
  (path) => {
    const width = Math.max(...path.steps.map(({ living }) => living.filter(({ kind }) => kind === "machine").length));
    return width <= most(inputOf(path).plan) ? null : `${width} parts at once`;
  };

/** A part's text is for the person where `isShown`, and only where the pattern's own is. */
const shownOnly =
  (isShown: (plan: Plan, id: string) => boolean): Invariant =>
  (path) => {
    const { plan, for: reader } = inputOf(path);
    for (const { part } of begunIn(path)) {
      const isHidden = (part.input as { for?: string }).for === "internal";
      const mayShow = reader !== "internal" && isShown(plan, part.id);
      if (isHidden === mayShow) return `the text of "${part.id}" is ${isHidden ? "hidden" : "shown"}`;
    }
    return null;
  };

/** No part is left running where nobody waits for it. */
const endStopsItsParts: Invariant = (path) => {
  const last = path.steps.at(-1);
  const before =
    path.steps.at(-2)?.living.filter((asked) => asked !== last?.work && asked.kind === "machine" && asked.src !== "routing") ?? [];
  const left = before.find(({ id }) => !last?.step.stopped.some((stopped) => stopped === id || stopped.endsWith(`.${id}`)));
  return left ? `"${left.id}" was left running` : null;
};

const ofAll = { endsOnce, endLeavesNothingAsked, failureHasAnError, endStopsItsParts };

// --- a chain

const stageNames = (path: Path): readonly string[] => planOf<ChainPlan>(path).stages.map(({ plan }) => plan.name);

/** A no leads back one stage or to the end; never on. */
export const noStageBeginsAfterItsNo: Invariant = (path) => {
  const names = stageNames(path);
  const begun = begunIn(path);
  for (const { at, ...outcome } of outcomesOf(path, "ask")) {
    if (isYes(outcome)) continue;
    const before = begun.filter((one) => one.at < at).at(-1);
    const after = begun.find((one) => one.at >= at);
    if (after && after.part.id !== before?.part.id) return `after a no to what follows "${before?.part.id}" came "${after.part.id}"`;
    if (!after && outputOf(path).status !== "cancelled" && outputOf(path).status !== undefined)
      return `a no ended as ${outputOf(path).status}`;
    if (after && names.indexOf(after.part.id) < 0) return `"${after.part.id}" is no stage`;
  }
  return null;
};

/** A stage with a review begins only after a yes for it. */
export const reviewedStagesWaitForAYes: Invariant = (path) => {
  const { stages } = planOf<ChainPlan>(path);
  const asks = outcomesOf(path, "ask");
  let since = -1;
  let last = -1;
  for (const { at, part } of begunIn(path)) {
    const stage = stages.findIndex(({ plan }) => plan.name === part.id);
    const isRedo = stage <= last;
    if (!isRedo && stages[stage]?.review && !asks.some((ask) => ask.at > since && ask.at <= at && isYes(ask)))
      return `"${part.id}" began without a yes`;
    last = stage;
    since = at;
  }
  return null;
};

export const redosAreCapped: Invariant = (path) => {
  const { stages, redos } = planOf<ChainPlan>(path);
  const begun = begunIn(path).length;
  return begun <= stages.length + redos ? null : `${begun} parts were begun`;
};

export const ofChains = {
  ...ofAll,
  partsAreBegunOnceAndForEachRedo: begunAtMost((plan) => 1 + (plan as ChainPlan).redos),
  oneStageAtATime: livingAtMost(() => 1),
  onlyTheLastStageIsShown: shownOnly((plan, id) => (plan as ChainPlan).stages.at(-1)?.plan.name === id),
  redosAreCapped,
  noStageBeginsAfterItsNo,
  reviewedStagesWaitForAYes,
};

// --- a router

export const oneRouteIsBegunAtMost: Invariant = (path) => (begunIn(path).length > 1 ? "two routes were begun" : null);

export const ofRouters = { ...ofAll, oneRouteIsBegunAtMost, theRouteIsShown: shownOnly(() => true) };

// --- a fan-out

/** It answers only with as many answers as it needs. */
export const answersAreEnough: Invariant = (path) => {
  const plan = planOf<FanOutPlan>(path);
  const { status } = outputOf(path);
  if (status !== "done" && status !== "degraded") return null;
  const ends = endsIn(path).filter(({ id }) => isPooled(plan, id));
  const answers = ends.filter(({ isAnswer }) => isAnswer).length;
  if (answers < plan.least) return `${answers} answers of ${plan.least}`;
  const failures = ends.length - answers;
  return plan.onFailure === "fail" && plan.retries === 0 && failures > 0 ? `answered though ${failures} parts had failed` : null;
};

/** Once a part that had to answer has failed and is not tried again, nothing more is begun. */
export const nothingBeginsAfterAFailure: Invariant = (path) => {
  if (planOf<FanOutPlan | MapReducePlan>(path).onFailure !== "fail") return null;
  const failed = path.steps.findIndex(({ work, outcome, step }) => {
    const { status } = (outcome?.value ?? {}) as Partial<Answer>;
    const isFailure = work?.kind === "machine" && !(outcome?.ok && (status === "done" || status === "degraded"));
    return isFailure && !step.asked.some(({ id }) => id === work.id);
  });
  const after = failed < 0 ? undefined : begunIn(path).find(({ at }) => at >= failed);
  return after ? `"${after.part.id}" was begun after a part had failed` : null;
};

const retried = (plan: Plan, id: string): number => {
  const pool = plan as FanOutPlan | MapReducePlan;
  return isPooled(pool, id) ? 1 + pool.retries : 1;
};
const widthOf = (plan: Plan): number => (plan as FanOutPlan | MapReducePlan).width;

export const ofFanOuts = {
  ...ofAll,
  branchesAreBegunOnceAndForEachRetry: begunAtMost(retried),
  neverWiderThanItsWidth: livingAtMost(widthOf),
  onlyTheMergerIsShown: shownOnly((plan, id) => {
    const { aggregate } = plan as FanOutPlan;
    return aggregate.by === "merge" && aggregate.merger.name === id;
  }),
  answersAreEnough,
  nothingBeginsAfterAFailure,
};

// --- a map-reduce

const chunksIn = (path: Path): number => {
  const split = outcomesOf(path, "split")[0];
  return split?.ok ? (split.value as SplitOutput).chunks.length : 0;
};

/** Too many chunks, none, or a no: nothing is begun. Above the threshold nothing before a yes. */
export const nothingIsMappedBeforeItMayBe: Invariant = (path) => {
  const { maxChunks, confirmAbove = Number.POSITIVE_INFINITY } = planOf<MapReducePlan>(path);
  const first = begunIn(path)[0];
  const chunks = chunksIn(path);
  if (!first) return null;
  if (chunks === 0 || chunks > maxChunks) return `${chunks} chunks were mapped`;
  if (chunks <= confirmAbove) return asksOf(path, "ask").length === 0 ? null : "a person was asked for nothing";
  const yes = outcomesOf(path, "ask").find(isYes);
  return yes && yes.at <= first.at ? null : "it began before a yes";
};

/** Each chunk is mapped, and what was dropped is told once. */
export const whatIsDroppedIsTold: Invariant = (path) => {
  const told = path.steps.flatMap(({ step }) => step.emitted).filter(({ type, name }) => type === "data" && name === "dropped");
  const reducing = begunIn(path).find(({ part }) => part.id.startsWith("reduce"));
  if (!reducing) return null;
  const last = new Map(
    path.steps
      .slice(0, reducing.at + 1)
      .flatMap(({ work, outcome }) =>
        work?.id.startsWith("map-") && outcome
          ? [[work.id, outcome.ok && ["done", "degraded"].includes((outcome.value as Answer).status)] as const]
          : [],
      ),
  );
  const dropped = [...last.values()].filter((isAnswer) => !isAnswer).length;
  if (last.size !== chunksIn(path)) return `${last.size} of ${chunksIn(path)} chunks were mapped`;
  if (told.length !== (dropped > 0 ? 1 : 0)) return `${dropped} were dropped, told ${told.length} times`;
  const { chunks = [] } = (told[0]?.data ?? {}) as { chunks?: readonly number[] };
  return chunks.length === dropped ? null : `${dropped} were dropped, ${chunks} were told`;
};

export const ofMapReduces = {
  ...ofAll,
  partsAreBegunOnceAndForEachRetry: begunAtMost(retried),
  neverWiderThanItsWidth: livingAtMost(widthOf),
  onlyTheLastReduceIsShown: shownOnly((_, id) => id === "reduce"),
  nothingIsMappedBeforeItMayBe,
  whatIsDroppedIsTold,
  nothingBeginsAfterAFailure,
};
