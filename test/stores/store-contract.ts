/**
 * What every store must do: `storeContract(name, make)` runs the contract's sentences and invariants on one implementation.
 * Give it a place that no test has used; each world opens its own.
 */
import { describe } from "vitest";
import type { Damage } from "./contract/damage.ts";
import { inboxContract } from "./contract/inbox.ts";
import { modelContract } from "./contract/model.ts";
import { moneyContract } from "./contract/money.ts";
import { overridesContract } from "./contract/overrides.ts";
import { ownershipContract } from "./contract/ownership.ts";
import { readsContract } from "./contract/reads.ts";
import { reconcileContract } from "./contract/reconcile.ts";
import { scoresContract } from "./contract/scores.ts";
import { sharedContract } from "./contract/shared.ts";
import { turnsContract } from "./contract/turns.ts";
import { usageContract } from "./contract/usage.ts";
import type { MakePlace } from "./contract/world.ts";

export type ContractOptions = {
  /** Whether data outlives its store, and several stores may open the same. */
  readonly shared: boolean;
  /** How many random histories to compare with the model. */
  readonly histories: number;
  /** Where tests can change rows behind the store's back. */
  readonly damage?: Damage;
};

export function storeContract(name: string, make: MakePlace, options: ContractOptions): void {
  describe(name, () => {
    turnsContract(make);
    moneyContract(make);
    ownershipContract(make);
    inboxContract(make);
    readsContract(make);
    usageContract(make);
    overridesContract(make, options.shared);
    scoresContract(make);
    reconcileContract(make, options.damage);
    modelContract(make, options.histories);
    if (options.shared) sharedContract(make);
  });
}
