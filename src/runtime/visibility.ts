/** Which runs a caller sees: the one rule, for a run and for a list. */
import type { RunInfo } from "../stores/store.ts";

/** Who asks. Made at the edge from a token; in process it is the program itself. */
export type Caller = {
  readonly tenant: string;
  readonly user?: string;
  /** Id of its API key. */
  readonly key?: string;
  /** What its user has subscribed to: limits and features go by it. */
  readonly plan?: string;
  readonly scopes: readonly string[];
};

/**
 * Of its own tenant, and without the scope `tenant` of its own user: a caller without a user sees the runs without one. As the filter of
 * a list; `user: null` is a run without a user.
 */
export const visibleTo = (caller: Caller): { readonly tenant: string; readonly user?: string | null } => ({
  tenant: caller.tenant,
  ...(!caller.scopes.includes("tenant") && { user: caller.user ?? null }),
});

export function isVisible(info: Pick<RunInfo, "tenant" | "user">, caller: Caller): boolean {
  const { tenant, user } = visibleTo(caller);
  return info.tenant === tenant && (user === undefined || user === (info.user ?? null));
}

/** Who runs the installation, and not only a tenant of it: may change what all tenants share. The one rule of it, for when there are many. */
export const isOperator = ({ tenant, scopes }: Caller): boolean => tenant === "local" && scopes.includes("admin");
