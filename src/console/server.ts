/**
 * The page's one door to the server: runs through the client library, lists over plain HTTP. It owns the key that a server with
 * keys asks for (kept for this tab only) and nothing else; who retries is decided by the callers.
 */
import { connect } from "../client/index.ts";
import type { ErrorBody } from "../protocol/errors.ts";
import type { Limits } from "../protocol/limits.ts";
import type { Run } from "../protocol/run.ts";
import type { RunHandle, Runs } from "../protocol/runs.ts";

export type AgentInfo = {
  readonly name: string;
  readonly description?: string;
  /** JSON Schema; null where the agent takes text. */
  readonly input_schema?: unknown;
  readonly limits?: Partial<Limits>;
  readonly tiers?: readonly unknown[];
};

/** What went wrong, in the protocol's words; `unreachable` where no answer came at all. */
export class ServerError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = "ServerError";
    this.code = code;
  }
}

const keyName = "escapement.key";
const origin = new URL(".", document.baseURI);

export const hasKey = (): boolean => sessionStorage.getItem(keyName) !== null;

export function useKey(key: string): void {
  sessionStorage.setItem(keyName, key);
  location.reload();
}

let client: Runs | null = null;
/** Handles on their way from the start to the page that opens the run: one, or none. */
const started = new Map<string, RunHandle>();

function runs(): Runs {
  const key = sessionStorage.getItem(keyName);
  client ??= connect({ url: origin.href, ...(key !== null && { token: key }) }) as Runs;
  return client;
}

/** Starts a run; the second time with the same key joins it. */
export async function start(agent: string, input: unknown, idempotencyKey: string): Promise<string> {
  // The server checks the input against the agent's schema; here it is whatever JSON the person wrote.
  const handle = await runs().start({ agent, input: input as string }, { idempotencyKey });
  started.set(handle.id, handle);
  return handle.id;
}

/** The handle that started the run, once; it already holds the run's first events. After that, or for any other run, a new one. */
export function handleOf(id: string): RunHandle {
  const handle = started.get(id);
  started.delete(id);
  return handle ?? runs().run(id);
}

export async function listAgents(signal: AbortSignal): Promise<readonly AgentInfo[]> {
  return ((await read("v1/agents", signal)) as { readonly data: readonly AgentInfo[] }).data;
}

export async function listRuns(signal: AbortSignal): Promise<readonly Run[]> {
  return ((await read("v1/runs?limit=50", signal)) as { readonly data: readonly Run[] }).data;
}

async function read(path: string, signal: AbortSignal): Promise<unknown> {
  const key = sessionStorage.getItem(keyName);
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(new URL(path, origin), {
      signal,
      headers: { accept: "application/json", ...(key && { authorization: `Bearer ${key}` }) },
    });
    body = await response.json();
  } catch (cause) {
    if (signal.aborted) throw cause;
    throw new ServerError("unreachable", "The server does not answer.");
  }
  if (response.ok) return body;
  const { error } = body as { readonly error?: ErrorBody };
  throw new ServerError(error?.code ?? "internal", error?.message ?? `The server answered ${response.status}.`);
}
