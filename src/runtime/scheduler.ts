/** Time and order, as the runtime gets them. Real here; a simulation gives its own and decides what happens next. */
export interface Scheduler {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Milliseconds of a clock that never goes back. */
  monotonic(): number;
  /** Runs `task` soon, after what is running now. */
  defer(task: () => void): void;
  /** Runs `task` after `ms`; the result cancels it. Does not keep the process alive. */
  after(ms: number, task: () => void): () => void;
  /** Keeps the process alive until the result is called. */
  hold(): () => void;
  /** 0 ≤ x < 1. */
  random(): number;
}

/** Longest delay of a Node timer; longer waits are armed again (2^31 - 1 ms). */
const maxDelayMs = 2_147_483_647;

export const realScheduler: Scheduler = {
  now: Date.now,
  monotonic: () => performance.now(),
  defer: (task) => void setImmediate(task),
  after(ms, task) {
    let timer: NodeJS.Timeout;
    const arm = (left: number): void => {
      timer = setTimeout(() => (left > maxDelayMs ? arm(left - maxDelayMs) : task()), Math.min(Math.max(0, left), maxDelayMs));
      timer.unref();
    };
    arm(ms);
    return () => clearTimeout(timer);
  },
  hold() {
    const timer = setInterval(() => {}, maxDelayMs);
    return () => clearInterval(timer);
  },
  random: Math.random,
};
