/**
 * The channel inside one process. Owns topics: the last facts of each live run, its open calls, and who waits.
 * A topic ends with its last reader once its run is no longer live here.
 */
import type { Fact } from "../protocol/events.ts";
import type { Channel, OpenCall, Topic } from "./channel.ts";

/** Facts kept of a run; an older one is read from the store. */
const keptFacts = 128;

class MemoryTopic implements Topic {
  seq = 0;
  ended = false;
  live = false;
  readers = 0;
  facts: Fact[] = [];
  readonly calls = new Map<string, OpenCall>();
  private readonly waiting = new Set<() => void>();

  factsAfter(after: number): readonly Fact[] | null {
    const first = this.facts[0]?.seq;
    if (after >= this.seq) return [];
    return first !== undefined && first <= after + 1 ? this.facts.slice(after + 1 - first) : null;
  }

  wait(wake: () => void): () => void {
    this.waiting.add(wake);
    return () => this.waiting.delete(wake);
  }

  wake(): void {
    if (this.waiting.size === 0) return;
    const waiting = [...this.waiting];
    this.waiting.clear();
    for (const wake of waiting) wake();
  }
}

export function memoryChannel(): Channel & { readonly size: number } {
  const topics = new Map<string, MemoryTopic>();
  const topicOf = (run: string): MemoryTopic => {
    let topic = topics.get(run);
    if (!topic) {
      topic = new MemoryTopic();
      topics.set(run, topic);
    }
    return topic;
  };
  const sweep = (run: string, topic: MemoryTopic): void => {
    if (!topic.live && topic.readers === 0) topics.delete(run);
  };

  return {
    get size() {
      return topics.size;
    },
    publish(run, facts) {
      const last = facts.at(-1);
      if (!last) return;
      const topic = topicOf(run);
      topic.live = true;
      // A gap means that another process told the facts between: what is kept here no longer joins on.
      if (topic.facts.length > 0 && facts[0]?.seq !== topic.seq + 1) topic.facts = [];
      topic.facts.push(...facts);
      if (topic.facts.length > keptFacts) topic.facts = topic.facts.slice(-keptFacts);
      topic.seq = last.seq;
      for (const fact of facts) if (fact.type === "call.finished") topic.calls.delete(fact.call);
      if (last.type === "run.finished") {
        topic.ended = true;
        topic.live = false;
      }
      topic.wake();
      sweep(run, topic);
    },
    openCall(run, call) {
      const topic = topicOf(run);
      topic.live = true;
      topic.calls.set(call.call, call);
    },
    nudge(run) {
      topics.get(run)?.wake();
    },
    release(run) {
      const topic = topics.get(run);
      if (!topic) return;
      topic.live = false;
      topic.calls.clear();
      topic.wake();
      sweep(run, topic);
    },
    join(run) {
      const topic = topicOf(run);
      topic.readers++;
      let joined = true;
      return {
        get seq() {
          return topic.seq;
        },
        get ended() {
          return topic.ended;
        },
        get live() {
          return topic.live;
        },
        calls: topic.calls,
        factsAfter: (after) => topic.factsAfter(after),
        wait: (wake) => topic.wait(wake),
        leave() {
          if (!joined) return;
          joined = false;
          topic.readers--;
          sweep(run, topic);
        },
      };
    },
  };
}
