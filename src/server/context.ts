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
 * An orderly end. From `draining` on nothing new is accepted, event streams and sockets are told to go elsewhere, and requests that wait
 * for a run's end are answered at once.
 */
export class Drain {
  readonly #draining = new AbortController();

  get draining(): AbortSignal {
    return this.#draining.signal;
  }
  begin(): void {
    this.#draining.abort();
  }
}
