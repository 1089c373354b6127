/** Which runs a caller sees: the one rule, for a run and for a list. */
import type { Caller } from "../protocol/caller.ts";
import type { RunInfo } from "../stores/store.ts";

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
