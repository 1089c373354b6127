/** The last things that happened to the process, such as breakers that opened: they belong to no run, so no journal has them. */
import type { ProcessEvent } from "./observer.ts";

export type RecentEvent = ProcessEvent & { readonly at: string };

const size = 256;

export class Recent {
  private readonly ring: RecentEvent[] = [];

  /** `now`: ms since the epoch. */
  add(event: ProcessEvent, now: number): void {
    this.ring.push({ ...event, at: new Date(now).toISOString() });
    if (this.ring.length > size) this.ring.shift();
  }

  /** Oldest first. */
  list(): readonly RecentEvent[] {
    return [...this.ring];
  }
}
