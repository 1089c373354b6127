/**
 * The contract as plain data, written for reading and not for speed: what any store must answer to the same history.
 * It keeps no rows, indexes or memory between batches, so it cannot share a mistake of that kind with a store.
 */
import { isDeepStrictEqual } from "node:util";
import { decide } from "../../../src/money/budget.ts";
import { hasEnded } from "../../../src/protocol/run.ts";
import type {
  AcceptEntry,
  Entry,
  EntryResult,
  InboxMessage,
  MessageResult,
  OpenAsk,
  RunRecord,
  TurnEntry,
} from "../../../src/stores/store.ts";
import { grantFacts } from "../../../src/stores/store.ts";
import { progress } from "./entries.ts";

type Run = {
  record: RunRecord;
  facts: string[];
  claims: number;
  /** When somebody should take it, if it has no owner: 0 at once. */
  wakeAt: number | null;
  inbox: (InboxMessage & { consumed: boolean })[];
  written: { entry: TurnEntry; result: EntryResult & { type: "written" } }[];
};
type Meter = { limitNano: number; spentNano: number; heldNano: number };

export class PlainStore {
  runs = new Map<string, Run>();
  meters = new Map<string, Meter & { level: "user" }>();
  leases = new Map<string, number>();

  commit(batch: readonly Entry[]): EntryResult[] {
    return batch.map((entry) => {
      const before = structuredClone({ runs: this.runs, meters: this.meters });
      try {
        return this.#apply(entry);
      } catch {
        this.runs = before.runs;
        this.meters = before.meters;
        return { type: "broken", message: "" };
      }
    });
  }

  #apply(entry: Entry): EntryResult {
    if (entry.type === "accept") return this.#accept(entry);
    const run = this.runs.get(entry.run);
    if (!run || run.record.epoch !== entry.epoch) return { type: "fenced" };
    const before = run.written.find((written) => isDeepStrictEqual(written.entry, entry));
    if (before) return this.#again(run, before);
    if (run.record.owner === null) return { type: "fenced" };
    switch (entry.type) {
      case "turn":
        return entry.n === run.record.head + 1 ? this.#turn(run, entry) : { type: "fenced" };
      case "park": {
        const parked = run.record.head === entry.head && run.inbox.every(({ consumed }) => consumed);
        if (parked) {
          const dues = run.record.open.flatMap(({ due }) => (due === undefined ? [] : [due]));
          run.wakeAt = dues.length > 0 ? Math.min(...dues) : null;
          run.claims = 0;
          run.record = { ...run.record, owner: null };
        }
        return { type: "parked", parked };
      }
      case "quarantine":
        this.#quarantine(run, entry.reason);
        return { type: "quarantined" };
    }
  }

  #quarantine(run: Run, reason: string): void {
    run.record = { ...run.record, owner: null, status: "quarantined", reason };
    run.wakeAt = null;
  }

  #accept({ run, info, limitNano, owner, facts }: AcceptEntry): EntryResult {
    if (this.runs.has(run)) throw new Error("not in these histories");
    const queued = this.#firstOfSession(info.session) !== undefined;
    const status = queued ? "queued" : "running";
    const epoch = queued ? 0 : 1;
    this.runs.set(run, {
      record: {
        id: run,
        info,
        status,
        progress,
        epoch,
        owner: queued ? null : owner,
        head: 0,
        seq: facts.length,
        limitNano,
        spentNano: 0,
        heldNano: 0,
        open: [],
      },
      facts: [...facts],
      claims: 0,
      wakeAt: null,
      inbox: [],
      written: [],
    });
    return { type: "accepted", status, epoch };
  }

  #firstOfSession(session: string | undefined): Run | undefined {
    if (session === undefined) return undefined;
    return [...this.runs.values()].find(({ record }) => record.info.session === session && !hasEnded(record.status));
  }

  #turn(run: Run, entry: TurnEntry): EntryResult {
    const { record } = run;
    let { limitNano, spentNano, heldNano } = record;
    limitNano += entry.raiseNano ?? 0;
    const open: OpenAsk[] = [...record.open];
    for (const { ordinal, costNano } of entry.closes) {
      const [ask] = open.splice(
        open.findIndex((o) => o.ordinal === ordinal),
        1,
      );
      if (ask?.ordinal !== ordinal) throw new Error("not open");
      heldNano -= ask.holdNano ?? 0;
      spentNano += costNano;
      if (costNano > (ask.holdNano ?? 0)) limitNano = Math.min(limitNano, spentNano + heldNano);
      for (const key of ask.meters ?? []) {
        const meter = this.meters.get(key)!;
        meter.heldNano -= ask.holdNano ?? 0;
        meter.spentNano += costNano;
      }
    }
    const grants = entry.asks.map(({ ordinal, kind, hash, due, reserve }) => {
      if (open.some((o) => o.ordinal === ordinal)) throw new Error("open already");
      const asked = { ordinal, kind, hash, ...(due === undefined ? {} : { due }) };
      if (!reserve) {
        open.push(asked);
        return { ordinal, granted: true as const, holdNano: 0, maxTokens: 0 };
      }
      const keys = reserve.meters.map(({ key }) => key);
      const levels = reserve.meters.map(({ key, limitNano: limit }) => {
        const meter = { ...(this.meters.get(key) ?? { level: "user" as const, spentNano: 0, heldNano: 0 }), limitNano: limit };
        this.meters.set(key, meter);
        return meter;
      });
      const grant = decide(ordinal, reserve, [{ level: "run", limitNano, spentNano, heldNano }, ...levels]);
      if (grant.granted) {
        heldNano += grant.holdNano;
        for (const level of levels) level.heldNano += grant.holdNano;
        open.push({ ...asked, holdNano: grant.holdNano, maxTokens: grant.maxTokens, meters: keys });
      } else open.push({ ...asked, denied: grant.level });
      return grant;
    });
    const ends = hasEnded(entry.status);
    if (ends && open.length > 0) throw new Error("open asks at the end");
    if (entry.consumes !== undefined) {
      const message = run.inbox.find(({ nonce, consumed }) => nonce === entry.consumes && !consumed);
      if (!message) throw new Error("no such message");
      message.consumed = true;
    }
    const firstSeq = run.facts.length + 1;
    run.facts.push(...entry.facts, ...grantFacts(entry.asks, grants, new Date(record.info.createdAt + entry.at).toISOString(), true));
    run.claims = 0;
    run.record = {
      ...record,
      status: entry.status,
      progress: entry.progress,
      owner: ends ? null : record.owner,
      head: entry.n,
      seq: run.facts.length,
      limitNano,
      spentNano,
      heldNano,
      open,
    };
    const result = { type: "written" as const, firstSeq, grants };
    run.written.push({ entry, result });
    return ends ? this.#wake(record.info.session, result) : result;
  }

  #wake(session: string | undefined, result: EntryResult & { type: "written" }): EntryResult {
    const next = this.#firstOfSession(session);
    if (next?.record.status !== "queued") return result;
    next.wakeAt = 0;
    return { ...result, wakes: next.record.id };
  }

  /** A turn that was written before, once more. Of a meter that denied then, it is told how it stands now. */
  #again({ record }: Run, { entry, result }: Run["written"][number]): EntryResult {
    const grants = result.grants.map((grant, i) => {
      if (grant.granted || grant.level === "run") return grant;
      const { limitNano, spentNano } = this.meters.get(entry.asks[i]?.reserve?.meters[0]?.key ?? "")!;
      return { ...grant, limitNano, spentNano };
    });
    const again = { ...result, grants };
    return hasEnded(entry.status) ? this.#wake(record.info.session, again) : again;
  }

  message(id: string, message: InboxMessage): MessageResult {
    const run = this.runs.get(id);
    if (!run) return { type: "not_found" };
    const { record } = run;
    if (run.inbox.some(({ nonce }) => nonce === message.nonce)) return { type: "stored", record };
    if (hasEnded(record.status)) return { type: "ended", record };
    if (message.kind === "answer") {
      const ask = record.open.find(({ ordinal, kind }) => ordinal === message.ordinal && kind === "ask");
      const answered = run.inbox.some(({ kind, ordinal }) => kind === "answer" && ordinal === message.ordinal);
      if (!ask || answered) return { type: "conflict", message: "" };
    }
    run.inbox.push({ ...message, consumed: false });
    if (record.owner === null && record.status !== "quarantined") run.wakeAt = 0;
    return { type: "stored", record };
  }

  heartbeat(owner: string, until: number): void {
    this.leases.set(owner, until);
  }

  release(owner: string): void {
    for (const run of this.runs.values()) {
      if (run.record.owner !== owner) continue;
      run.record = { ...run.record, owner: null };
      run.claims = Math.max(0, run.claims - 1);
      run.wakeAt = 0;
    }
    this.leases.delete(owner);
  }

  /** All runs that need an owner; a store may take them in any order, so there is no limit here. */
  claim(owner: string, now: number, dead: readonly string[]): RunRecord[] {
    const taken: RunRecord[] = [];
    for (const run of this.runs.values()) {
      const { record } = run;
      const lost = record.owner !== null && (dead.includes(record.owner) || (this.leases.get(record.owner) ?? 0) < now);
      const due = record.owner === null && run.wakeAt !== null && run.wakeAt <= now;
      if (!lost && !due) continue;
      if (run.claims >= 2) {
        this.#quarantine(run, "taken 2 times without a turn since");
        continue;
      }
      run.claims++;
      run.wakeAt = null;
      run.record = { ...record, owner, epoch: record.epoch + 1, status: record.status === "queued" ? "running" : record.status };
      taken.push(due ? { ...run.record, released: true } : run.record);
    }
    return taken;
  }

  nextDue(): number | null {
    const dues = [...this.runs.values()].flatMap(({ wakeAt }) => (wakeAt === null || wakeAt === 0 ? [] : [wakeAt]));
    return dues.length > 0 ? Math.min(...dues) : null;
  }
}
