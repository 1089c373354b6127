/**
 * The caches as the interpreter uses them: a question is looked up, an answer replayed, a good answer remembered, a call shared.
 *
 *  1. Nothing here makes a run fail: what goes wrong is a miss, or an answer that is not kept.
 *  2. A replay costs nothing and takes no time but that of its readers.
 *  3. What is kept after a run has gone on is bounded ({@link maxKeeping}) and awaited by `close`.
 */
import { LRUCache } from "lru-cache";
import type { CallInput, Hit, LookupInput, LookupOutput, RememberInput } from "../../machines/work.ts";
import { documentsIn, tagOf } from "../knowledge/passages.ts";
import type { CacheCounts } from "../protocol/cache-counts.ts";
import { callId } from "../protocol/ids.ts";
import type { Performing, Reporter, Work } from "../runtime/interpreter.ts";
import type { CacheEntry, Purge } from "./cache.ts";
import type { ExactCache } from "./exact.ts";
import { type AnswerKey, keyOf } from "./key.ts";
import { replay } from "./replay.ts";
import type { SemanticCache } from "./semantic.ts";
import { Shadow, type ShadowJudge } from "./shadow.ts";
import { SingleFlight, type Start } from "./single-flight.ts";

export type AnswersOptions = {
  readonly exact: ExactCache;
  readonly semantic?: SemanticCache | undefined;
  readonly judge?: ShadowJudge | undefined;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
};

const maxKeeping = 256;
/** Of an entry; each is an index of its own. */
const maxTags = 64;

export class Answers {
  readonly #exact: ExactCache;
  readonly #semantic: SemanticCache | undefined;
  readonly #shadow: Shadow | undefined;
  readonly #flights = new SingleFlight();
  readonly #now: () => number;
  /** By request: the mark under which a look-up was made, and what the answer that follows it has cost. */
  readonly #asked = new LRUCache<string, { readonly mark: string; costNano: number }>({ max: 10_000 });
  readonly #keeping = new Set<Promise<void>>();
  readonly #counts = { exact: 0, semantic: 0, stale: 0, missed: 0, kept: 0 };

  constructor({ exact, semantic, judge, now }: AnswersOptions) {
    this.#exact = exact;
    this.#semantic = semantic;
    this.#shadow = semantic && new Shadow(semantic, judge);
    this.#now = now;
  }

  async lookup(work: Work, input: LookupInput): Promise<LookupOutput> {
    const key = keyOf(work, input);
    const spec = work.spec.caching;
    if (!key || !spec?.answers) return { hit: null };
    if (input.stale) return this.#lookupStale(work, input);
    const isFresh = ({ expiresAt }: CacheEntry): boolean => expiresAt > this.#now();
    // A hit in memory waits for nothing, not even for the microtasks of other runs.
    const entry = this.#exact.peek(key.id) ?? (await this.#exact.get(key.id));
    this.#asked.set(of(work), { mark: this.#exact.mark, costNano: 0 });
    if (entry && isFresh(entry)) {
      this.#counts.exact++;
      return { hit: hitOf(entry, "exact") };
    }
    const { semantic } = spec.answers;
    const found = semantic && (await this.#semantic?.find(key, isPrivate(work), semantic.threshold, isFresh));
    if (found && semantic.mode === "shadow") this.#shadow?.wouldServe(of(work), found.entry);
    else if (found) {
      this.#counts.semantic++;
      return { hit: hitOf(found.entry, "semantic") };
    }
    this.#counts.missed++;
    return { hit: null };
  }

  /** No model answers: an old answer of any tier will do, of the preferred ones first. */
  async #lookupStale(work: Work, input: LookupInput): Promise<LookupOutput> {
    const semantic = work.spec.caching?.answers?.semantic;
    const keys = work.spec.tiers.flatMap(({ name }) => keyOf(work, { ...input, tier: name }) ?? []);
    for (const key of keys) {
      const entry = await this.#exact.get(key.id);
      if (entry) return this.#stale(entry, "exact");
    }
    if (semantic?.mode !== "on") return { hit: null };
    for (const key of keys) {
      const found = await this.#semantic?.find(key, isPrivate(work), semantic.threshold, () => true);
      if (found) return this.#stale(found.entry, "semantic");
    }
    return { hit: null };
  }

  #stale(entry: CacheEntry, kind: Hit["kind"]): LookupOutput {
    this.#counts.stale++;
    return { hit: { ...hitOf(entry, kind), ...(entry.expiresAt <= this.#now() && { stale: true }) } };
  }

  /** Tells the entry like a live answer. What is gone meanwhile, or another tenant's, ends as `unavailable`. */
  replay(work: Work, { id }: Hit, report: Reporter): Performing {
    const entry = this.#exact.get(id).then((found) => (found?.tenant === work.who.tenant ? found : null));
    return replay(entry, callId(work.ask.ordinal), report);
  }

  /** Kept in memory when this returns, elsewhere soon after. */
  remember(work: Work, input: RememberInput): void {
    const key = keyOf(work, input);
    const { caching } = work.spec;
    const { text, value } = input.answer;
    if (!key || !caching?.answers || this.#keeping.size >= maxKeeping) return;
    const { mark, costNano = 0 } = this.#asked.get(of(work)) ?? {};
    this.#asked.delete(of(work));
    const now = this.#now();
    const expiresAt = now + caching.answers.ttlMs;
    const entry: CacheEntry = {
      id: key.id,
      tenant: work.who.tenant,
      agent: work.spec.name,
      version: caching.version,
      tags: [...new Set([...caching.tags, ...documentTags(input)])].slice(0, maxTags),
      tier: input.tier,
      model: work.spec.tiers.find(({ name }) => name === input.tier)?.model ?? "",
      text,
      ...(value !== undefined && { value }),
      ...(key.question !== undefined && { question: key.question }),
      ...(work.sensitive && { sensitive: true }),
      costNano,
      createdAt: now,
      expiresAt,
      keepUntil: expiresAt + caching.answers.staleMs,
    };
    const keeping = this.#keep(work, key, entry, mark).finally(() => this.#keeping.delete(keeping));
    this.#keeping.add(keeping);
  }

  async #keep(work: Work, key: AnswerKey, entry: CacheEntry, mark: string | undefined): Promise<void> {
    // Without a look-up here (another process made it) nothing says that no purge came between.
    if (mark === undefined) return;
    this.#counts.kept++;
    await this.#exact.put(entry, mark);
    if (!work.spec.caching?.answers?.semantic) return;
    await this.#semantic?.keep(key, entry, isPrivate(work));
    await this.#shadow?.answered(of(work), key.question ?? "", entry.text);
  }

  /** Performs a call, which others may share where the agent says so. `start` makes it. */
  perform(work: Work, input: CallInput, report: Reporter, start: Start): Performing {
    const told = input.for === "answer" && work.spec.caching?.answers ? this.#counting(work, input, report) : report;
    const key = work.spec.caching?.singleFlight ? keyOf(work, input) : undefined;
    if (!key) return start(told);
    // Who asked after a purge is given no answer that was begun before it.
    const mark = this.#asked.get(of(work))?.mark ?? "";
    return this.#flights.perform(`${key.id} ${mark} ${input.for} ${input.continues ?? ""}`, work, told, start);
  }

  /** Hears what a call cost, for the entry that may be made of it. A call that goes on with a text adds to what that has cost. */
  #counting(work: Work, { continues }: CallInput, report: Reporter): Reporter {
    return {
      ...report,
      done: (outcome) => {
        const asked = this.#asked.get(of(work));
        // Whoever shared the call was charged nothing, and has saved what it cost.
        const { costNano = 0, savedNano = 0 } = outcome.account ?? {};
        if (asked) asked.costNano = (continues === undefined ? 0 : asked.costNano) + costNano + savedNano;
        report.done(outcome);
      },
    };
  }

  /** How many entries went. Rejects with `unavailable` when they could not be purged. */
  purge(which: Purge): Promise<number> {
    return this.#exact.purge(which);
  }

  counts(): CacheCounts {
    const { hits, right, wrong } = this.#shadow?.counts ?? { hits: 0, right: 0, wrong: 0 };
    const { tokens, costNano, failures } = this.#semantic?.spent ?? { tokens: 0, costNano: 0, failures: 0 };
    return {
      ...this.#counts,
      shared: this.#flights.shared,
      shadow: { hits, right, wrong, false_hit_rate: right + wrong === 0 ? null : wrong / (right + wrong) },
      embedder: { tokens, cost_microusd: costNano / 1_000, failures },
    };
  }

  /** Everything that was given to keep is kept. */
  async settled(): Promise<void> {
    while (this.#keeping.size > 0) await Promise.all(this.#keeping);
  }

  async close(): Promise<void> {
    await this.settled();
    await Promise.all([this.#exact.close(), this.#semantic?.close()]);
  }
}

/** An answer that was made from documents goes when one of them changes. */
const documentTags = ({ messages }: RememberInput): string[] =>
  messages.flatMap((message) => (message.role === "tool" ? documentsIn(message.content).map(tagOf) : []));

/** What an embedder elsewhere must not read: a sensitive run, or words that go to a model with placeholders in them. */
const isPrivate = ({ sensitive, spec: { tiers, helpers = [] } }: Work): boolean =>
  sensitive || [...tiers, ...helpers].some(({ anonymise }) => anonymise === true);

/** The request that asks. */
const of = ({ run, ask }: Work): string => `${run} ${ask.path.slice(0, ask.path.lastIndexOf("/"))}`;
const hitOf = ({ id, tier }: CacheEntry, kind: Hit["kind"]): Hit => ({ id, kind, tier });
