/**
 * Paths through a machine, from its start to an end, as tests want them: one for each move that a walk has found.
 *
 * Each path is stepped anew from its start, with its own contexts. What a walk holds to be alike must go on alike: a path
 * that comes elsewhere than the walk says shows that the machine's counters (counters.ts) tell too little apart.
 */
import { type Outcome, outcomesOf } from "./outcomes.ts";
import { type Asked, type Step, Stepper } from "./stepper.ts";
import { endEvent, livingAfter, type Move, type Situation, type Walk } from "./walk.ts";

export type PathStep = {
  readonly label: string;
  readonly work?: Asked;
  readonly outcome?: Outcome;
  readonly step: Step;
  /** After the step. */
  readonly living: readonly Asked[];
};
export type Path = { readonly input: unknown; readonly steps: readonly PathStep[] };

/** A path from the start through each move to the nearest end; through one of those moves that `alike` gives the same name. */
export function* pathsOf(walk: Walk, alike?: (move: Move) => string): Generator<Path> {
  const stepper = new Stepper(walk.machine, walk.input);
  const toward = nearestEnds(walk);
  const seen = new Set<string>();
  for (const { moves } of walk.situations) {
    for (const move of moves) {
      const name = alike?.(move);
      if (name !== undefined && seen.has(name)) continue;
      if (name !== undefined) seen.add(name);
      yield pathThrough(walk, stepper, move, toward);
    }
  }
}

/** The shortest path to each transition, by its name. */
export function pathsByTransition(walk: Walk): ReadonlyMap<string, Path> {
  const stepper = new Stepper(walk.machine, walk.input);
  const toward = nearestEnds(walk);
  const found = new Map<string, Path>();
  for (const { moves } of walk.situations)
    for (const move of moves)
      for (const name of move.step.transitions) if (!found.has(name)) found.set(name, pathThrough(walk, stepper, move, toward));
  return found;
}

/** Some path, by chance: `pick(n)` gives a number below n. Null when it has no end within `longest` steps. */
export function randomPath(walk: Walk, pick: (below: number) => number, longest = 500): Path | null {
  const stepper = new Stepper(walk.machine, walk.input);
  const steps = [firstOf(stepper)];
  let situation = walk.situations[0] as Situation;
  while (situation.status === "active") {
    if (steps.length > longest) return null;
    const move = situation.moves[pick(situation.moves.length)] as Move;
    steps.push(take(stepper, steps.at(-1) as PathStep, move));
    situation = move.to;
  }
  return { input: walk.input, steps };
}

function pathThrough(walk: Walk, stepper: Stepper, through: Move, toward: ReadonlyMap<Situation, Move>): Path {
  const moves: Move[] = [through];
  for (let { via } = through.from; via; { via } = via.from) moves.unshift(via);
  for (let next = toward.get(through.to); next; next = toward.get(next.to)) moves.push(next);
  const steps = [firstOf(stepper)];
  for (const move of moves) steps.push(take(stepper, steps.at(-1) as PathStep, move));
  return { input: walk.input, steps };
}

function firstOf(stepper: Stepper): PathStep {
  const step = stepper.start();
  return { label: "start", step, living: livingAfter(step, []) };
}

/** A walk's move, done from where the path really is. */
function take(stepper: Stepper, at: PathStep, move: Move): PathStep {
  const { label, from, to } = move;
  const { event, work, outcome } = given(at, move);
  const step = stepper.next(at.step.snapshot, event);
  if (JSON.stringify(step.snapshot.value) !== JSON.stringify(to.snapshot.value))
    throw new Error(
      `"${from.name}, ${label}" came to ${JSON.stringify(step.snapshot.value)} instead of ${to.name}: its counters tell too little apart`,
    );
  return {
    label,
    step,
    living: livingAfter(step, at.living, work),
    ...(work && { work }),
    ...(outcome && { outcome }),
  };
}

/** The move's event, from the children that live on this path. */
function given(at: PathStep, { from, work: asked, outcome, message }: Move): { event: { type: string }; work?: Asked; outcome?: Outcome } {
  if (!asked || !outcome) return { event: message as { type: string } };
  const work = at.living[from.living.indexOf(asked)] as Asked;
  const alike = ({ label }: Outcome): boolean => label === outcome.label;
  const own = work.kind === "machine" ? outcome : (outcomesOf(work.kind, work.input, "all").find(alike) ?? outcome);
  return { event: endEvent(work, own), work, outcome: own };
}

/** For each active situation the move that leads to the nearest end, without a cancel where there is another way. */
function nearestEnds({ situations }: Walk): ReadonlyMap<Situation, Move> {
  const toward = new Map<Situation, Move>();
  for (const cancels of [false, true]) {
    for (let grew = true; grew; ) {
      grew = false;
      const before = new Set(toward.keys());
      for (const situation of situations) {
        if (situation.status !== "active" || before.has(situation)) continue;
        const move = situation.moves.find(
          ({ to, label }) => (cancels || label !== "cancel") && to !== situation && (to.status !== "active" || before.has(to)),
        );
        if (!move) continue;
        toward.set(situation, move);
        grew = true;
      }
    }
  }
  return toward;
}
