/**
 * Spreads the calls of a tier over its routes (FEATURES C4): by weight, and a retry rather over another route than the one that failed.
 * Which of them may be called is said by whoever asks: breakers (health.ts) and providers' windows.
 *
 *  1. The first of an order is a route with the share of its weight; of those left the second, and so on.
 *  2. What is remembered of requests under way is bounded: of the oldest it is forgotten, and their retry goes anywhere.
 */
const maxRemembered = 10_000;

type Weighted = { readonly provider: string; readonly model: string; readonly weight?: number };

export class Spread {
  private readonly random: () => number;
  private readonly last = new Map<string, Weighted>();

  /** `random`: from 0 to below 1. */
  constructor(random: () => number) {
    this.random = random;
  }

  /** The routes in the order in which they are to be tried. `request`: whose call it is, the same for its retries. */
  order<R extends Weighted>(routes: readonly R[], request: string, isRetry: boolean): readonly R[] {
    if (routes.length < 2) return routes;
    const left = [...routes];
    const order: R[] = [];
    while (left.length > 0) {
      let drawn = this.random() * left.reduce((sum, { weight = 1 }) => sum + weight, 0);
      let index = 0;
      for (; index < left.length - 1; index++) {
        drawn -= left[index]?.weight ?? 1;
        if (drawn < 0) break;
      }
      order.push(...left.splice(index, 1));
    }
    const failed = isRetry ? this.lastOf(request) : undefined;
    return failed ? order.toSorted((a, b) => Number(isSame(a, failed)) - Number(isSame(b, failed))) : order;
  }

  /** The route that this request's last call took. */
  lastOf(request: string): Weighted | undefined {
    return this.last.get(request);
  }

  took({ provider, model }: Weighted, request: string): void {
    this.last.delete(request);
    this.last.set(request, { provider, model });
    if (this.last.size <= maxRemembered) return;
    for (const oldest of this.last.keys()) {
      this.last.delete(oldest);
      return;
    }
  }
}

const isSame = (a: Weighted, b: Weighted): boolean => a.provider === b.provider && a.model === b.model;
