/**
 * What keeps the process of a runtime alive while something of it would be left undone: a wait of a run that lives here, a reader that
 * waits. Everything else that waits (the sweep, the heartbeat, a question to a person that nobody reads) keeps no process.
 *
 *  1. The process is held while anything is held here, and not longer.
 *  2. After {@link ProcessHold.letGo} nothing is held any more, whoever forgot to give back.
 */
import type { Scheduler } from "./scheduler.ts";

export class ProcessHold {
  private readonly scheduler: Scheduler;
  private held = 0;
  private release: (() => void) | undefined;
  private closed = false;

  constructor(scheduler: Scheduler) {
    this.scheduler = scheduler;
  }

  /** The result gives back; called again it does nothing. */
  readonly take = (): (() => void) => {
    if (this.closed) return () => {};
    if (this.held++ === 0) this.release = this.scheduler.hold();
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      if (--this.held === 0) this.free();
    };
  };

  /** A timer that holds until it runs or is cancelled. */
  readonly after = (ms: number, task: () => void): (() => void) => {
    const giveBack = this.take();
    const cancel = this.scheduler.after(ms, () => {
      giveBack();
      task();
    });
    return () => {
      giveBack();
      cancel();
    };
  };

  letGo(): void {
    this.closed = true;
    this.free();
  }

  private free(): void {
    this.release?.();
    this.release = undefined;
  }
}
