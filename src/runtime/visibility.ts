/** Which runs a caller sees: the one rule, for a run and for a list. */
import type { RunInfo } from "../stores/store.ts";

/** Who asks. Made at the edge from a token; in process it is the program itself. */
export type Caller = {
  readonly tenant: string;
  readonly user?: string;
  /** Name of the key that it came with. */
  readonly key?: string;
  /** Of the configuration's `rate_limits.plans`; its default plan. */
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
