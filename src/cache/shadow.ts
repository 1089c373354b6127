/**
 * Shadow mode: the semantic cache serves nothing, and what it would have served is compared with the answer that the model then gave.
 * So the rate of false hits is known, on the real questions, before anybody is served one.
 *
 * Without a judge two answers agree when they are the same, or when they hold the same numbers and an embedder finds them alike. That is
 * an estimate: two answers in other words may disagree here and be both right, so the rate tends to be too high.
 */

import { LRUCache } from "lru-cache";
import { cosine } from "../embeddings/embedder.ts";
import type { CacheCounts } from "../protocol/cache-counts.ts";
import type { CacheEntry } from "./cache.ts";
import type { SemanticCache } from "./semantic.ts";

/** Whether the answer that was kept would have served for this question as well. */
export type ShadowJudge = (shadowed: {
  readonly question: string;
  readonly kept: { readonly question: string; readonly answer: string };
  readonly answer: string;
}) => boolean | Promise<boolean>;

export type ShadowCounts = Omit<CacheCounts["shadow"], "false_hit_rate">;

/** Texts alike by this figure say the same, where their numbers are the same. */
const alike = 0.8;
const maxCompared = 2_000;

export class Shadow {
  readonly #semantic: SemanticCache;
  readonly #judge: ShadowJudge;
  readonly #open = new LRUCache<string, CacheEntry>({ max: 1_000 });
  readonly counts = { hits: 0, right: 0, wrong: 0 };

  constructor(semantic: SemanticCache, judge?: ShadowJudge) {
    this.#semantic = semantic;
    this.#judge = judge ?? ((shadowed) => this.#agrees(shadowed.kept.answer, shadowed.answer));
  }

  /** `of` names the look-up: its run and its key. */
  wouldServe(of: string, entry: CacheEntry): void {
    this.counts.hits++;
    this.#open.set(of, entry);
  }

  /** The model's own answer came. */
  async answered(of: string, question: string, answer: string): Promise<void> {
    const entry = this.#open.get(of);
    if (!entry) return;
    this.#open.delete(of);
    try {
      const isRight = await this.#judge({ question, kept: { question: entry.question ?? "", answer: entry.text }, answer });
      this.counts[isRight ? "right" : "wrong"]++;
    } catch {
      // Nobody could say: it counts as a hit that was not judged.
    }
  }

  async #agrees(a: string, b: string): Promise<boolean> {
    const [one, other] = [a, b].map((text) => text.trim().replace(/\s+/g, " ").toLowerCase()) as [string, string];
    if (one === other) return true;
    if (numbersOf(one) !== numbersOf(other)) return false;
    const [x, y] = await this.#semantic.vectors([one.slice(0, maxCompared), other.slice(0, maxCompared)]);
    return cosine(x as Float32Array, y as Float32Array) >= alike;
  }
}

const numbersOf = (text: string): string => (text.match(/\d+(?:[.,]\d+)*/g) ?? []).sort().join(" ");
