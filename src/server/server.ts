/**
 * `createServer()`: a runtime over HTTP and WebSocket. `fetch` embeds the HTTP side into any app; `listen()` serves both.
 * What clients may rely on is the protocol's document; this folder is its server side.
 */
import { createApp, type FetchHandler } from "./app.ts";
import { Drain, type ServerContext } from "./context.ts";
import { Gauges } from "./gauges.ts";
import { type Listening, type ListenOptions, listen } from "./listener.ts";
import { resolveOptions, type ServerOptions } from "./options.ts";
import type { ServerRuntime } from "./runtime.ts";

export type { Caller } from "../protocol/caller.ts";
export type { FetchHandler } from "./app.ts";
export type { Listening, ListenOptions } from "./listener.ts";
export type { Intervals, ServerLimits, ServerOptions } from "./options.ts";
export type { AgentDescription, Health, Page, ServerRuntime } from "./runtime.ts";

export type Server = {
  /** Answers one HTTP request. WebSocket needs {@link Server.listen}. The embedder checks `Host`. */
  readonly fetch: FetchHandler;
  listen(options?: ListenOptions): Promise<Listening>;
};

export function createServer(runtime: ServerRuntime, options: ServerOptions = {}): Server {
  const context: ServerContext = { runtime, settings: resolveOptions(options), drain: new Drain(), gauges: new Gauges() };
  const fetch = createApp(context);
  return { fetch, listen: (where) => listen(context, fetch, where) };
}
