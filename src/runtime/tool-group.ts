/** A tool group that has something to start and to close: an index, a connection. A group without is a list of tools. */
import type { Tool } from "./tool.ts";

/** What a group may ask of the runtime that started it. */
export type ToolGroupHost = {
  /** Forgets cached answers with this tag, of every tenant; absent where no answer is cached. */
  readonly purge?: (tag: string) => Promise<unknown>;
  /** Told of what operators should know. */
  onError(message: string): void;
};

export type OpenToolGroup = {
  readonly tools: readonly Tool[];
  /** Called once, when the runtime stands; what takes time goes on by itself. */
  start(host: ToolGroupHost): void;
  /** Called once, after the last run has left this process. */
  close(): Promise<void>;
};
