/** Features that are closed to some plans (FEATURES B3): said before anything is stored or spent. */

import type { Caller } from "../protocol/caller.ts";
import { EscapementError } from "../protocol/errors.ts";

/** By name. A feature that is not named here, or without `plans`, is open to everybody. */
export type Features = { readonly [name: string]: { readonly plans?: readonly string[] | undefined } };

/** Throws `forbidden`. A caller without a plan is an operator's own program, for whom nothing is closed. */
export function checkFeature(features: Features, feature: string | undefined, { plan }: Caller): void {
  const plans = feature !== undefined && Object.hasOwn(features, feature) ? features[feature]?.plans : undefined;
  if (!plans || plan === undefined || plans.includes(plan)) return;
  throw new EscapementError("forbidden", `the feature "${feature}" is not part of the plan "${plan}"; it is part of ${plans.join(", ")}`, {
    details: { path: "feature" },
  });
}
