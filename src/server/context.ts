/** What every part of one server shares: the runtime, the settings, whether it drains, and its gauges. Made once by `createServer`. */
import type { Gauges } from "./gauges.ts";
import type { ServerSettings } from "./options.ts";
import type { ServerRuntime } from "./runtime.ts";

export type ServerContext = {
  readonly runtime: ServerRuntime;
  readonly settings: ServerSettings;
  readonly drain: Drain;
  readonly gauges: Gauges;
};

/**
 * The two moments of an orderly end. From `draining` on nothing new is accepted and event streams and sockets are told to go
 * elsewhere; at `stopping` requests that still wait are answered at once.
 */
export class Drain {
  readonly #draining = new AbortController();
  readonly #stopping = new AbortController();

  get draining(): AbortSignal {
    return this.#draining.signal;
  }
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }
  begin(): void {
    this.#draining.abort();
  }
  stop(): void {
    this.#draining.abort();
    this.#stopping.abort();
  }
}
