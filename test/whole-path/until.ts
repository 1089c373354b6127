/** Waiting for what must come: a condition with a deadline, never a length of time. */

/** Long enough for a machine that does other work too; what takes this long has not come. */
export const deadlineMs = 60_000;

/** The first value that is neither undefined nor false. Rejects with `what` and the last error when the deadline is over. */
export async function until<T>(what: string, look: () => T | Promise<T>, withinMs = deadlineMs): Promise<Exclude<T, undefined | false>> {
  const end = performance.now() + withinMs;
  let problem = "";
  for (;;) {
    try {
      const found = await look();
      if (found !== undefined && found !== false) return found as Exclude<T, undefined | false>; // the two were just excluded
      problem = "";
    } catch (error) {
      problem = ` (${error})`;
    }
    if (performance.now() > end) throw new Error(`still waiting after ${withinMs} ms for: ${what}${problem}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The same promise, that rejects with `what` when the deadline is over. */
export async function within<T>(what: string, promise: Promise<T>, ms = deadlineMs): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`still waiting after ${ms} ms for: ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
