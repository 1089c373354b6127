/**
 * Keeps a log flat while something fails over and over: of lines with the same key only the first few of a time are written, and then
 * one that says how many were left out.
 */

/** So many lines with one key in so long. */
const most = 20;
const windowMs = 10_000;
const maxKeys = 1_000;

type Window = { readonly since: number; count: number };

export class LineLimit {
  private readonly windows = new Map<string, Window>();
  private readonly clock: () => number;
  private readonly say: (key: string, left: number) => void;

  /** `say` is told how many lines with a key were left out, when its next one comes after its time, or at {@link flush}. */
  constructor(clock: () => number, say: (key: string, left: number) => void) {
    this.clock = clock;
    this.say = say;
  }

  allows(key: string): boolean {
    const now = this.clock();
    const window = this.windows.get(key);
    if (window && now - window.since < windowMs) return ++window.count <= most;
    if (window) this.end(key, window);
    // Keys come from codes and sentences: a flood of different ones ends the oldest.
    else if (this.windows.size >= maxKeys) {
      const [oldest, ended] = this.windows.entries().next().value as [string, Window];
      this.end(oldest, ended);
    }
    this.windows.set(key, { since: now, count: 1 });
    return true;
  }

  flush(): void {
    for (const [key, window] of [...this.windows]) this.end(key, window);
  }

  private end(key: string, { count }: Window): void {
    this.windows.delete(key);
    if (count > most) this.say(key, count - most);
  }
}
