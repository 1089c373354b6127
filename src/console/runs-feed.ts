/**
 * The list of runs, asked for every two seconds while the page can be seen. It also knows whether the server answers, and since
 * when it does not: the same question every two seconds is the page's pulse. What it had is kept while the server is away.
 */
import type { Run } from "../protocol/run.ts";
import { listRuns, ServerError } from "./server.ts";

export type RunRow = Pick<Run, "id" | "agent" | "status" | "created_at" | "cost_microusd" | "usage" | "tier">;
export type RunsState = {
  /** Null before the first answer. */
  readonly runs: readonly RunRow[] | null;
  readonly error: { readonly code: string; readonly message: string } | null;
  /** Milliseconds of the page's clock; null while the server answers. */
  readonly awaySince: number | null;
};

const everyMs = 2_000;
const patienceMs = 10_000;

class RunsFeed {
  #state: RunsState = { runs: null, error: null, awaySince: null };
  #own: RunRow[] = [];
  #last = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #request: AbortController | null = null;
  readonly #listeners = new Set<() => void>();

  readonly snapshot = (): RunsState => this.#state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) {
      document.addEventListener("visibilitychange", this.#seen);
      this.refresh();
    }
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      document.removeEventListener("visibilitychange", this.#seen);
      this.#stop();
    };
  };

  /** Asks now, and again two seconds after the answer. */
  readonly refresh = (): void => {
    this.#stop();
    if (!document.hidden && this.#listeners.size > 0) void this.#ask();
  };

  /** One's own run, shown before the server lists it. */
  insert(id: string, agent: string): void {
    const usage = { input_tokens: 0, cached_tokens: 0, output_tokens: 0, estimated: false };
    this.#own.unshift({ id, agent, status: "queued", created_at: new Date().toISOString(), cost_microusd: 0, usage });
    this.#show(this.#state.runs ?? []);
    this.refresh();
  }

  readonly #seen = (): void => {
    if (document.hidden) this.#stop();
    else this.refresh();
  };

  #stop(): void {
    clearTimeout(this.#timer);
    this.#request?.abort();
    this.#request = null;
  }

  async #ask(): Promise<void> {
    const request = new AbortController();
    this.#request = request;
    const tooLong = setTimeout(() => request.abort(), patienceMs);
    try {
      const runs = await listRuns(request.signal);
      if (this.#request !== request) return;
      const text = JSON.stringify(runs);
      const changed = text !== this.#last;
      this.#last = text;
      if (changed) this.#show(runs);
      this.#set({ ...this.#state, error: null, awaySince: null });
    } catch (cause) {
      if (this.#request !== request) return;
      const error = cause instanceof ServerError ? cause : new ServerError("unreachable", "The server does not answer.");
      const away = error.code === "unreachable" || error.code === "unavailable";
      this.#set({
        ...this.#state,
        error: { code: error.code, message: error.message },
        awaySince: away ? (this.#state.awaySince ?? Date.now()) : null,
      });
    } finally {
      clearTimeout(tooLong);
      if (this.#request === request) {
        this.#request = null;
        this.#timer = setTimeout(this.refresh, everyMs);
      }
    }
  }

  #show(runs: readonly RunRow[]): void {
    const before = new Map(this.#state.runs?.map((run) => [run.id, run]));
    const listed = new Set(runs.map((run) => run.id));
    this.#own = this.#own.filter((run) => !listed.has(run.id));
    // Rows that did not change keep their identity, so that only changed rows are drawn.
    const same = (run: RunRow): RunRow => {
      const old = before.get(run.id);
      return old && JSON.stringify(old) === JSON.stringify(run) ? old : run;
    };
    this.#set({ ...this.#state, runs: [...this.#own, ...runs.map(same)] });
  }

  #set(state: RunsState): void {
    const { runs, error, awaySince } = this.#state;
    if (state.runs === runs && state.awaySince === awaySince && state.error?.message === error?.message) return;
    this.#state = state;
    for (const listener of this.#listeners) listener();
  }
}

export const runsFeed = new RunsFeed();
