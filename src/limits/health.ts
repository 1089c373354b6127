/**
 * Health of providers: one circuit breaker (machines/breaker.ts) per provider, model and endpoint, for the whole process.
 * Owns the sliding counts that a breaker judges by; the machine owns the decision.
 */
import { type Actor, createActor } from "xstate";
import { type BreakerInput, breakerDefaults, breakerMachine } from "../../machines/breaker.ts";
import { SlidingSum } from "./sliding-sum.ts";

export type BreakerState = "closed" | "open" | "probing";
export type BreakerChange = { readonly key: string; readonly state: BreakerState };

/** The window is kept in this many slices; counts are right to one slice. */
const slices = 12;

class Circuit {
  readonly actor: Actor<typeof breakerMachine>;
  private readonly calls: SlidingSum;
  private readonly failures: SlidingSum;

  constructor(input: BreakerInput) {
    this.calls = new SlidingSum(input.windowMs / slices, slices);
    this.failures = new SlidingSum(input.windowMs / slices, slices);
    this.actor = createActor(breakerMachine, { input });
    this.actor.start();
  }

  count(at: number, failed: boolean): { calls: number; failures: number } {
    this.calls.add(at, 1);
    if (!failed) return { calls: 0, failures: 0 };
    this.failures.add(at, 1);
    return { calls: this.calls.sum(at), failures: this.failures.sum(at) };
  }
}

export class Health {
  private readonly circuits = new Map<string, Circuit>();
  private readonly input: BreakerInput;
  private readonly clock: () => number;
  private readonly onChange: ((change: BreakerChange) => void) | undefined;

  /** `clock`: monotonic milliseconds. */
  constructor(clock: () => number, input: Partial<BreakerInput> = {}, onChange?: (change: BreakerChange) => void) {
    this.clock = clock;
    this.input = { ...breakerDefaults, ...input };
    this.onChange = onChange;
  }

  /** May a call pass? `probe`: it is the one that decides whether the breaker closes. */
  ask(key: string): "pass" | "probe" | "no" {
    const { actor } = this.circuit(key);
    if (actor.getSnapshot().value === "closed") return "pass";
    // While one probe is out nobody else passes.
    if (actor.getSnapshot().value === "probing") return "no";
    actor.send({ type: "asked", at: this.clock() });
    return actor.getSnapshot().value === "probing" ? "probe" : "no";
  }

  /** How a call that had passed ended: `neutral` when it says nothing about health. */
  report(key: string, result: "ok" | "failed" | "neutral"): void {
    const circuit = this.circuit(key);
    const at = this.clock();
    const state = circuit.actor.getSnapshot().value;
    if (result === "neutral") {
      if (state === "probing") circuit.actor.send({ type: "abandoned", at });
      return;
    }
    const counts = circuit.count(at, result === "failed");
    if (result === "failed") circuit.actor.send({ type: "failed", at, ...counts });
    else if (state !== "closed") circuit.actor.send({ type: "succeeded", at });
  }

  state(key: string): BreakerState {
    return this.circuits.get(key)?.actor.getSnapshot().value ?? "closed";
  }

  private circuit(key: string): Circuit {
    let circuit = this.circuits.get(key);
    if (!circuit) {
      circuit = new Circuit(this.input);
      this.circuits.set(key, circuit);
      const tell = (state: BreakerState) => (): void => this.onChange?.({ key, state });
      circuit.actor.on("breaker.opened", tell("open"));
      circuit.actor.on("breaker.probing", tell("probing"));
      circuit.actor.on("breaker.closed", tell("closed"));
    }
    return circuit;
  }
}
