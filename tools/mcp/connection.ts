/**
 * The connection to one MCP server: connects within a limit, connects again when the server has died, and says in our words how a use
 * failed. `transport.ts` knows the two ways to reach a server, `open.ts` what its tools mean.
 *
 *  1. One connection at a time; uses that come while it is made wait for it.
 *  2. A server that ended is started again at most {@link maxRestarts} times in {@link restartWindowMs}, by the next use.
 *  3. No use is repeated here. One under way when the connection ends is `tool_unknown`: whether it took effect is not known.
 *  4. Nothing is connected once it was closed.
 */
import { type CallToolResult, Client, ProtocolError, SdkError, SdkErrorCode, SdkHttpError, type Tool } from "@modelcontextprotocol/client";
import { EscapementError } from "../../src/protocol/errors.ts";
import type { Json } from "../../src/protocol/json.ts";
import { validators } from "./arguments.ts";
import type { OpenTransport } from "./transport.ts";

const maxRestarts = 3;
const restartWindowMs = 5 * 60_000;
/** Pages of a list of tools. */
const maxPages = 20;

export type ConnectionOptions = {
  readonly server: string;
  readonly connectMs: number;
  readonly protocol: "auto" | "legacy";
  readonly openTransport: () => OpenTransport;
  /** Told the tools at each connection, and when the server says that they have changed. */
  readonly onTools: (tools: readonly Tool[]) => void;
};

export type Use = {
  /** Asked on the connection that will be used, so also after a restart: why the tool may not be used, or nothing. */
  readonly refusal: () => EscapementError | undefined;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  readonly onProgress: (message: string | undefined, done: number, total?: number) => void;
};

export class Connection {
  private readonly options: ConnectionOptions;
  private current: Promise<Client> | undefined;
  private readonly restarts: number[] = [];
  private wasConnected = false;
  private isClosed = false;

  constructor(options: ConnectionOptions) {
    this.options = options;
  }

  /** Rejects with `unavailable` and what the server wrote to its standard error. */
  async connect(): Promise<void> {
    await this.connected();
  }

  /** Rejects with `tool_failed`, `tool_unknown` or `unavailable`. */
  async use(tool: string, input: Json, { refusal, signal, timeoutMs, onProgress }: Use): Promise<CallToolResult> {
    const client = await this.connected();
    signal.throwIfAborted();
    const problem = refusal();
    if (problem) throw problem;
    try {
      // The interpreter's own limit ends it first; this one is for a client that is used alone.
      return await client.callTool(
        { name: tool, arguments: input as { [key: string]: Json } },
        {
          signal,
          timeout: timeoutMs + 1_000,
          onprogress: ({ message, progress, total }) => onProgress(message, progress, total),
        },
      );
    } catch (error) {
      if (endsConnection(error)) await this.drop(client);
      throw this.failure(tool, error);
    }
  }

  async close(): Promise<void> {
    this.isClosed = true;
    const client = await this.current?.catch(() => undefined);
    this.current = undefined;
    await client?.close();
  }

  private connected(): Promise<Client> {
    const { server } = this.options;
    if (this.isClosed) return Promise.reject(new EscapementError("unavailable", `the MCP server "${server}" is closed`));
    if (this.current) return this.current;
    if (this.wasConnected) {
      const now = Date.now();
      while (this.restarts[0] !== undefined && this.restarts[0] < now - restartWindowMs) this.restarts.shift();
      if (this.restarts.length >= maxRestarts) {
        const message = `the MCP server "${server}" has ended again and again (${maxRestarts} restarts in ${restartWindowMs / 60_000} minutes) and is not started now`;
        return Promise.reject(new EscapementError("unavailable", message));
      }
      this.restarts.push(now);
    }
    const connecting = this.open();
    this.current = connecting;
    connecting.catch(() => {
      if (this.current === connecting) this.current = undefined;
    });
    return connecting;
  }

  private async open(): Promise<Client> {
    const { server, connectMs, protocol, openTransport, onTools } = this.options;
    const { transport, where, lastWords } = openTransport();
    const client = new Client(
      { name: "escapement", version: "0.1.0" },
      {
        capabilities: {},
        jsonSchemaValidator: validators,
        listMaxPages: maxPages,
        ...(protocol === "auto" && { versionNegotiation: { mode: "auto", probe: { timeoutMs: Math.ceil(connectMs / 3) } } }),
        listChanged: { tools: { onChanged: (error, tools) => !error && tools && onTools(tools) } },
      },
    );
    const connecting = (async () => {
      await client.connect(transport, { timeout: connectMs });
      return (await client.listTools(undefined, { timeout: connectMs })).tools;
    })();
    try {
      onTools(await within(connecting, connectMs));
    } catch (error) {
      // What is still under way then fails with the connection.
      connecting.catch(() => {});
      await Promise.allSettled([client.close(), transport.close()]);
      if (error instanceof EscapementError) throw error;
      const said = lastWords();
      throw new EscapementError(
        "unavailable",
        `the MCP server "${server}" (${where}) cannot be used: ${reasonOf(error)}${said && `; it wrote: ${said}`}`,
        { retryable: false, details: { path: `mcp.${server}` } },
      );
    }
    client.onclose = () => this.forget(client);
    this.wasConnected = true;
    // It was closed meanwhile.
    if (this.isClosed) await client.close();
    return client;
  }

  private async drop(client: Client): Promise<void> {
    this.forget(client);
    await client.close().catch(() => {});
  }

  private forget(client: Client): void {
    const { current } = this;
    void current?.then((one) => {
      if (one === client && this.current === current) this.current = undefined;
    });
  }

  private failure(tool: string, error: unknown): EscapementError {
    const { server } = this.options;
    const told = `the MCP server "${server}"`;
    if (error instanceof ProtocolError)
      return new EscapementError("tool_failed", `${told} refused ${tool}: ${error.message.slice(0, 1_000)}`);
    if (error instanceof SdkHttpError && error.status < 500)
      return new EscapementError("tool_failed", `${told} answered with the HTTP status ${error.status}`);
    if (error instanceof SdkError && error.code === SdkErrorCode.NotConnected)
      return new EscapementError("tool_failed", `${told} had ended before ${tool} was used; nothing was done`);
    if (wasNotSent(error)) return new EscapementError("tool_failed", `${told} cannot be reached; nothing was done`);
    const inWords = error instanceof SdkError && error.code === SdkErrorCode.ConnectionClosed ? "it ended" : reasonOf(error);
    return new EscapementError("tool_unknown", `${told} did not answer ${tool} (${inWords}); whether it took effect is not known`);
  }
}

/** Over HTTP nobody says that a server has gone, or has forgotten the session. */
const endsConnection = (error: unknown): boolean =>
  !(error instanceof ProtocolError) &&
  (!(error instanceof SdkError) ||
    error.code === SdkErrorCode.ConnectionClosed ||
    (error instanceof SdkHttpError && error.status === 404)) &&
  (error as Error).name !== "AbortError";

const wasNotSent = (error: unknown): boolean => causesOf(error).some(({ code }) => code === "ECONNREFUSED" || code === "ENOTFOUND");

function reasonOf(error: unknown): string {
  const causes = causesOf(error);
  if (causes.some(({ code }) => code === "ENOENT")) return "there is no such program";
  if (causes.some(({ code }) => code === SdkErrorCode.ConnectionClosed)) return "it ended";
  // The outermost says what was tried, the innermost why it failed.
  const sentences = new Set([causes[0], causes.at(-1)].map((one) => one?.message || one?.code).filter((words) => words !== undefined));
  return [...sentences].join(": ").slice(0, 500) || "an unknown error";
}

/** The error and what it was caused by, outermost first. */
function causesOf(error: unknown): readonly { readonly code?: string; readonly message?: string }[] {
  const found: { readonly code?: string; readonly message?: string }[] = [];
  for (let one = error; typeof one === "object" && one !== null && found.length < 8; one = (one as { cause?: unknown }).cause)
    found.push(one);
  return found;
}

/** The value, or a sentence when the time is over. */
async function within<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const expiry = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it was not ready after ${ms} ms (connectMs)`)), ms);
  });
  try {
    return await Promise.race([work, expiry]);
  } finally {
    clearTimeout(timer);
  }
}
