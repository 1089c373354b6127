/**
 * Follows one run: reads its events, folds them into a {@link RunView} and tells its listeners at most once a frame, however many
 * events came. When reading fails it keeps what it has and goes on from its cursor.
 */
import type { RunHandle } from "../protocol/runs.ts";
import { advance, emptyRun, type RunView } from "./run-view.ts";

export type Followed = {
  readonly view: RunView;
  /** `seq` of the last fact that is history: what comes after it happens now. Null before the first fact. */
  readonly historyEnd: number | null;
  /** The run cannot be read, and trying again will not help. */
  readonly refused: { readonly code: string; readonly message: string } | null;
  /** Milliseconds of the page's clock since when nothing can be read; null while it can. */
  readonly cutSince: number | null;
};

const hopeless = new Set(["not_found", "unauthenticated", "forbidden", "invalid_request"]);
const pauseMs = [300, 700, 1_500, 3_000] as const;

export class RunFollower {
  readonly handle: RunHandle;
  #followed: Followed;
  #next: Followed;
  #due = false;
  #closed = false;
  #reader: ReturnType<RunHandle["events"]> | null = null;
  readonly #listeners = new Set<() => void>();

  /** `isFresh`: nothing of the run is history. */
  constructor(handle: RunHandle, isFresh: boolean) {
    this.handle = handle;
    this.#followed = { view: emptyRun, historyEnd: isFresh ? 0 : null, refused: null, cutSince: null };
    this.#next = this.#followed;
    void this.#read();
  }

  readonly snapshot = (): Followed => this.#followed;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  close(): void {
    this.#closed = true;
    this.#reader?.close();
  }

  async #read(): Promise<void> {
    let after: string | undefined;
    for (let failures = 0; !this.#closed; ) {
      const reader = this.handle.events(after === undefined ? {} : { after });
      this.#reader = reader;
      try {
        for (let events = await reader.read(); events !== null; events = await reader.read()) {
          failures = 0;
          const view = advance(this.#next.view, events);
          this.#change({ ...this.#next, view, historyEnd: this.#next.historyEnd ?? view.seq, cutSince: null });
        }
        return;
      } catch (cause) {
        reader.close();
        if (this.#closed) return;
        const { code = "internal", message } = cause as { readonly code?: string; readonly message: string };
        if (hopeless.has(code)) return this.#change({ ...this.#next, refused: { code, message } });
        if (this.#next.view.seq > 0) after = reader.cursor();
        this.#change({ ...this.#next, cutSince: this.#next.cutSince ?? Date.now() });
        await new Promise((resolve) => setTimeout(resolve, pauseMs[Math.min(failures++, pauseMs.length - 1)]));
      }
    }
  }

  /** A hidden page gets no frames; it is told twice a second, for its title. */
  #change(next: Followed): void {
    this.#next = next;
    if (this.#due) return;
    this.#due = true;
    const tell = (): void => {
      this.#due = false;
      this.#followed = this.#next;
      for (const listener of this.#listeners) listener();
    };
    if (document.hidden) setTimeout(tell, 500);
    else requestAnimationFrame(tell);
  }
}
