/**
 * The page's one door to the server: runs through the client library, lists over plain HTTP. It owns the key that a server with
 * keys asks for (kept for this tab only) and nothing else; who retries is decided by the callers.
 */
import { type Client, connect } from "../client/index.ts";
import type { ErrorBody } from "../protocol/errors.ts";
import type { Limits } from "../protocol/limits.ts";
import type { Run } from "../protocol/run.ts";
import type { RunHandle } from "../protocol/runs.ts";

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

export function keepKey(key: string): void {
  sessionStorage.setItem(keyName, key);
  location.reload();
}

let client: Client | null = null;
/** Handles on their way from the start to the page that opens the run: one, or none. */
const started = new Map<string, RunHandle>();

let lostSince: number | null = null;
const changed = new EventTarget();

/** Since when the events' connection is lost (milliseconds of the page's clock), null while nothing is missing. */
export const connection = {
  snapshot: (): number | null => lostSince,
  subscribe(listener: () => void): () => void {
    changed.addEventListener("change", listener);
    return () => changed.removeEventListener("change", listener);
  },
};

function runs(): Client {
  const key = sessionStorage.getItem(keyName);
  client ??= connect(origin.href, {
    ...(key !== null && { token: key }),
    // Somebody is looking: come back soon.
    backoffMs: [250, 3_000],
    onState(state) {
      const since = state === "waiting" || (state === "connecting" && lostSince !== null) ? (lostSince ?? Date.now()) : null;
      if (since === lostSince) return;
      lostSince = since;
      changed.dispatchEvent(new Event("change"));
    },
  });
  return client;
}

/** Starts a run; the second time with the same key joins it. */
export async function start(agent: string, input: unknown, idempotencyKey: string): Promise<string> {
  // The server checks the input against the agent's schema; here it is whatever JSON the person wrote.
  const handle = await runs().start({ agent, input: input as string }, { idempotencyKey });
  started.set(handle.id, handle);
  return handle.id;
}

/**
 * `isFresh`: the handle that started the run, given once; it already holds the run's first events, and all of them happen before the
 * reader's eyes. Otherwise a new handle, whose first events are history.
 */
export function handleOf(id: string): { readonly handle: RunHandle; readonly isFresh: boolean } {
  const handle = started.get(id);
  started.delete(id);
  return { handle: handle ?? runs().run(id), isFresh: handle !== undefined };
}

export async function listAgents(signal: AbortSignal): Promise<readonly AgentInfo[]> {
  return ((await read("v1/agents", signal)) as { readonly data: readonly AgentInfo[] }).data;
}

export async function listRuns(signal: AbortSignal): Promise<readonly Run[]> {
  return ((await read("v1/runs?limit=50", signal)) as { readonly data: readonly Run[] }).data;
}

/** What the run was started with; undefined while it has not begun. */
export async function readInput(run: string, signal: AbortSignal): Promise<unknown> {
  const { data } = (await read(`v1/runs/${encodeURIComponent(run)}/journal?limit=1`, signal)) as {
    readonly data: readonly { readonly kind: string; readonly value: unknown }[];
  };
  return data[0]?.kind === "start" ? data[0].value : undefined;
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
