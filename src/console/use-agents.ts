/** The agents that can be asked: read once, and again when the server comes back. */
import { useEffect, useState } from "react";
import { type AgentInfo, listAgents, ServerError } from "./server.ts";

export type Agents = {
  /** Null before the first answer. */
  readonly agents: readonly AgentInfo[] | null;
  readonly error: { readonly code: string; readonly message: string } | null;
};

export function useAgents(away: boolean): Agents {
  const [state, setState] = useState<Agents>({ agents: null, error: null });
  useEffect(() => {
    if (away) return;
    const request = new AbortController();
    listAgents(request.signal).then(
      (agents) => setState({ agents, error: null }),
      (cause: unknown) => {
        if (request.signal.aborted) return;
        const error = cause instanceof ServerError ? cause : new ServerError("internal", String(cause));
        setState((before) => ({ ...before, error: { code: error.code, message: error.message } }));
      },
    );
    return () => request.abort();
  }, [away]);
  return state;
}
