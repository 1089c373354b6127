/** Time that a test moves. */
import type { Scheduler } from "../../src/runtime/scheduler.ts";

export class TestTime implements Pick<Scheduler, "now" | "after" | "random"> {
  private at = Date.UTC(2026, 10, 24, 12);
  private readonly timers: { at: number; task: () => void }[] = [];
  /** Milliseconds that were waited for, in order. */
  readonly waits: number[] = [];

  now = (): number => this.at;
  random = (): number => 0;

  after = (ms: number, task: () => void): (() => void) => {
    const timer = { at: this.at + ms, task };
    this.waits.push(ms);
    this.timers.push(timer);
    return () => {
      const i = this.timers.indexOf(timer);
      if (i >= 0) this.timers.splice(i, 1);
    };
  };

  get isWaitedFor(): boolean {
    return this.timers.length > 0;
  }

  /** Moves on, timer by timer, with room for what they await. */
  async pass(ms: number): Promise<void> {
    const until = this.at + ms;
    for (;;) {
      const next = this.timers.toSorted((a, b) => a.at - b.at)[0];
      if (!next || next.at > until) break;
      this.timers.splice(this.timers.indexOf(next), 1);
      this.at = next.at;
      next.task();
      await Promise.resolve();
    }
    this.at = until;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
