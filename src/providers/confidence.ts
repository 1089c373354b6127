/**
 * How sure a model was of its answer: the geometric mean of the probabilities of the answer's tokens, 0 to 1 (FEATURES A13).
 * Wires give it the log-probabilities that they read; it keeps a sum and a count, never the tokens.
 */
import { asAnswer } from "./wire.ts";

export class Confidence {
  #sum = 0;
  #count = 0;

  /** A list of tokens as a wire sends it. `key`: the member that holds a token's log-probability. */
  read(tokens: unknown, key: "logprob" | "logProbability"): void {
    if (!Array.isArray(tokens)) return;
    for (const token of tokens) {
      const logprob = asAnswer(token)?.[key];
      if (typeof logprob !== "number" || !Number.isFinite(logprob)) continue;
      // Servers round: a token that was certain may come as a little more than that.
      this.#sum += Math.min(0, logprob);
      this.#count++;
    }
  }

  /** Undefined where no token said its own. */
  get value(): number | undefined {
    return this.#count === 0 ? undefined : Math.exp(this.#sum / this.#count);
  }
}
