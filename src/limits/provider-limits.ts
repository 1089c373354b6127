/** The lanes of all providers: one each, for the whole process. Its settings and what it tells are theirs. */
import { EscapementError } from "../protocol/errors.ts";
import type { Rank } from "./call-queue.ts";
import type { LimitEvent } from "./events.ts";
import { type Entered, type Entrant, type LaneLimits, type LaneSettings, ProviderLane, type Timing } from "./provider-lane.ts";

export const laneDefaults: LaneSettings = { length: 1_000, waitMs: 10_000, agingMs: 5_000, minuteMs: 60_000, exhaustedMs: 300_000 };

export class ProviderLimits {
  private readonly lanes = new Map<string, ProviderLane>();
  private readonly limits: { readonly [provider: string]: LaneLimits };
  private readonly settings: LaneSettings;
  private readonly timing: Timing;
  private readonly onEvent: (event: LimitEvent) => void;

  constructor(
    limits: { readonly [provider: string]: LaneLimits },
    settings: Partial<LaneSettings>,
    timing: Timing,
    onEvent: (event: LimitEvent) => void = () => {},
  ) {
    this.limits = limits;
    this.settings = { ...laneDefaults, ...settings };
    this.timing = timing;
    this.onEvent = onEvent;
  }

  /** See {@link ProviderLane.enter}. */
  enter(provider: string, entrant: Entrant, tell: (entered: Entered) => void): () => void {
    return this.lane(provider).enter(entrant, tell);
  }

  /** Before a run is accepted: throws `overloaded` when each of the providers that could answer it has a queue that is too long. */
  checkRoom(providers: readonly string[], rank: Pick<Rank, "isPaid" | "isBatch">): void {
    let soonest = Number.POSITIVE_INFINITY;
    for (const provider of providers) {
      const lane = this.lanes.get(provider);
      if (!lane?.isCrowded(rank)) return;
      soonest = Math.min(soonest, lane.retryAfterMs);
    }
    if (soonest < Number.POSITIVE_INFINITY)
      throw new EscapementError("overloaded", "too many calls wait for the providers already; try again", { retry_after_ms: soonest });
  }

  /** Calls that wait for a provider. */
  waiting(provider: string): number {
    return this.lanes.get(provider)?.waiting ?? 0;
  }

  private lane(provider: string): ProviderLane {
    let lane = this.lanes.get(provider);
    if (!lane) {
      const limits = Object.hasOwn(this.limits, provider) ? this.limits[provider] : undefined;
      lane = new ProviderLane(provider, limits ?? {}, this.settings, this.timing, this.onEvent);
      this.lanes.set(provider, lane);
    }
    return lane;
  }
}
