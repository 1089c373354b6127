/**
 * What is being alerted to, so that it is told once: one alert a cause and cooldown, however often it comes, and one word when it is over.
 * A cause that comes and goes is told again, and its end too, only after its cooldown.
 */

type Cause = { isFiring: boolean; toldAt: number; isTold: boolean; repeats: number };

/** Causes that are kept; those that are over go first. */
const maxCauses = 1_000;

export class Causes {
  private readonly causes = new Map<string, Cause>();
  private readonly cooldownMs: number;

  constructor(cooldownMs: number) {
    this.cooldownMs = cooldownMs;
  }

  /** It is there. Whether it is to be told, and how often it came since it was told last. */
  fire(name: string, now: number): { readonly repeats: number } | null {
    const cause = this.causes.get(name);
    if (!cause) {
      this.makeRoom();
      this.causes.set(name, { isFiring: true, toldAt: now, isTold: true, repeats: 0 });
      return { repeats: 0 };
    }
    if (now - cause.toldAt < this.cooldownMs) {
      cause.isFiring = true;
      cause.repeats++;
      return null;
    }
    const { repeats } = cause;
    Object.assign(cause, { isFiring: true, toldAt: now, isTold: true, repeats: 0 });
    return { repeats };
  }

  /** It is not there. Whether that is to be told. */
  end(name: string): boolean {
    const cause = this.causes.get(name);
    if (!cause?.isFiring) return false;
    cause.isFiring = false;
    const { isTold } = cause;
    cause.isTold = false;
    return isTold;
  }

  /** Names of those that are there. */
  firing(): string[] {
    return [...this.causes].filter(([, { isFiring }]) => isFiring).map(([name]) => name);
  }

  private makeRoom(): void {
    if (this.causes.size < maxCauses) return;
    const over = [...this.causes].find(([, { isFiring }]) => !isFiring)?.[0] ?? (this.causes.keys().next().value as string);
    this.causes.delete(over);
  }
}
