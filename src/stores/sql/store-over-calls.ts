/**
 * The store that callers see, over a core that is called somehow: at once, in a worker, or over a connection. Owns packing and unpacking,
 * so all are the same store but for where the SQL runs.
 */
import type { Json } from "../../protocol/json.ts";
import { damaged } from "../damage.ts";
import type { Counts, FactRow, MessageResult, RunRecord, Store } from "../store.ts";
import { amount } from "./amount.ts";
import type { Calls, EndedCursor, EndedPage } from "./calls.ts";
import { factSeparator, messageValue, type PackedRecord, pack, record } from "./packed.ts";
import { usageOf } from "./usage.ts";

/** Carries out one call of the core. Rejects with an `EscapementError`. */
export type Call = <M extends keyof Calls>(method: M, ...args: Parameters<Calls[M]>) => Promise<ReturnType<Calls[M]>>;

const purgedAtOnce = 200;
const callsPurgedAtOnce = 2_000;
const comparedAtOnce = 1_000;

export function storeOverCalls(call: Call, close: () => Promise<void>): Store {
  return {
    commit: (batch) => call("commit", pack(batch)),

    async message(run, message, options = {}) {
      const { nonce, kind, ordinal, value, createdAt } = message;
      const result = await call("message", run, [nonce, kind, ordinal ?? null, JSON.stringify(value), createdAt], options);
      return "record" in result ? ({ ...result, record: read(result.record) } as MessageResult) : result;
    },
    async keyed({ scope, key, bodyHash }, now) {
      const found = await call("keyed", scope, key, now);
      return found && { run: found[0], sameBody: found[1] === bodyHash };
    },
    inbox: async (run) =>
      (await call("inbox", run)).map(([nonce, kind, ordinal, value, createdAt]) => ({
        nonce,
        kind,
        ...(ordinal === null ? {} : { ordinal }),
        value: readMessage(run, value),
        createdAt,
      })),

    unread: (owner) => call("unread", owner),
    heartbeat: (owner, until) => call("heartbeat", owner, until),
    release: (owner, { begun = false } = {}) => call("release", owner, begun),
    owners: async () => (await call("owners")).map(([owner, until]) => ({ owner, until })),
    claim: async (owner, options) =>
      (await call("claim", owner, options)).map(([released, ...packed]) => ({ ...read(packed), ...(released && { released }) })),
    nextDue: () => call("nextDue"),

    get: async (run) => {
      const found = await call("get", run);
      return found && read(found);
    },
    async list(query) {
      const { rows, next } = await call("list", query);
      return { rows: rows.flatMap(readable), next };
    },
    turns: (run, after, limit) => call("turns", run, after, limit),
    async facts(run, after, limit) {
      const facts: FactRow[] = [];
      for (const [lastSeq, joined] of await call("facts", run, after, limit)) {
        if (joined === "[]") continue;
        const all = joined.slice(1, -1).split(factSeparator);
        const firstSeq = lastSeq - all.length + 1;
        for (let i = Math.max(0, after + 1 - firstSeq); i < all.length && facts.length < limit; i++)
          facts.push({ seq: firstSeq + i, json: all[i] as string });
      }
      return facts;
    },
    meters: async () =>
      (await call("meters")).map(([key, level, limitNano, spentNano, heldNano, counts]) => ({
        key,
        level,
        limitNano,
        spentNano,
        heldNano,
        ...(counts !== null && { counts: JSON.parse(counts) as Counts }),
      })),

    setOverride: async ({ subject, limitNano, limitTokens, limitCalls, by, at }) => {
      const limits = [limitNano, limitTokens, limitCalls].map((limit) => (limit === undefined ? null : amount("limit", limit, subject)));
      const [nano = null, tokens = null, calls = null] = limits;
      await call("setOverride", [subject, nano, tokens, calls, by, at]);
    },
    async overrides(position) {
      const rows = await call("overrides", position);
      return {
        rows: rows.map(([, subject, nano, tokens, calls, by, at]) => ({
          subject,
          ...(nano !== null && { limitNano: nano }),
          ...(tokens !== null && { limitTokens: tokens }),
          ...(calls !== null && { limitCalls: calls }),
          by,
          at,
        })),
        position: rows.at(-1)?.[0] ?? position,
      };
    },

    score: (run, { name, by, value, comment, at }) => call("score", run, [name, by, value, comment ?? null, at]),
    scores: async (run) =>
      (await call("scores", run)).map(([name, by, value, comment, at]) => ({ name, by, value, ...(comment !== null && { comment }), at })),

    usage: async (query) => usageOf(await call("usage", query)),

    purgeMeters: (keys) => call("purgeMeters", keys),

    putAgent: (hash, json) => call("putAgent", hash, json),
    getAgent: (hash) => call("getAgent", hash),
    async purge(before, now) {
      while ((await call("purgeCalls", before, callsPurgedAtOnce)) === callsPurgedAtOnce);
      let total = 0;
      for (;;) {
        const purged = await call("purge", before, now, purgedAtOnce);
        total += purged;
        if (purged < purgedAtOnce) return total;
      }
    },
    async reconcile(endedSince = 0) {
      const corrections = await call("reconcile");
      for (let after: EndedCursor | null = [endedSince, -1]; after; ) {
        const page: EndedPage = await call("reconcileEnded", after, comparedAtOnce);
        corrections.push(...page.corrections);
        after = page.next;
      }
      return corrections;
    },
    close,
  };
}

/** One damaged row must not hide a page of others; asked for by its id, it tells what is wrong. */
function readable(packed: PackedRecord): RunRecord[] {
  try {
    return [record(packed)];
  } catch {
    return [];
  }
}

function read(packed: PackedRecord): RunRecord {
  try {
    return record(packed);
  } catch (error) {
    throw damaged(`the row of ${packed[0]}`, error, packed[0]);
  }
}

function readMessage(run: string, json: string): Json {
  try {
    return messageValue(json);
  } catch (error) {
    throw damaged(`a message of ${run}`, error, run);
  }
}
