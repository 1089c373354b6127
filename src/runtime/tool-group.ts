/** A tool group that has something to start and to close: an index, a connection. A group without is a list of tools. */
import type { Environment, Secret } from "../config/secret.ts";
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

/** A group whose tools are known once it was opened, which happens where the configuration is resolved. */
export type ToolSource = { open(from: SourceContext): Promise<OpenToolGroup> };

export type SourceContext = {
  /** What paths are relative to. */
  readonly cwd: string;
  readonly env: Environment;
  /** Only what is pinned of the tools is needed, since none will be used: nothing should be started for it. */
  readonly isPassive: boolean;
  /** Reads a secret, which is hidden from then on wherever it appears. Throws `invalid_request` with the path. */
  secret(value: Secret, path: string): string;
};

export type { Secret };
