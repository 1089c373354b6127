/**
 * Keeps the frames of one socket within what the server takes (2,000 at once, 200 a second after that), a little below it, since the
 * two clocks are not one. Frames over it wait here in order.
 */
export class Pace {
  readonly #burst: number;
  readonly #perSecond: number;
  #send: (text: string) => void;
  #tokens: number;
  #at = performance.now();
  #waiting: string[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(send: (text: string) => void, burst = 1_900, perSecond = 190) {
    this.#send = send;
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#tokens = burst;
  }

  push(text: string): void {
    this.#waiting.push(text);
    if (this.#timer === undefined) this.#flush();
  }

  /** Forgets what waits; the socket is gone. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#waiting = [];
    this.#send = () => {};
  }

  #flush(): void {
    this.#timer = undefined;
    const now = performance.now();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) / 1_000) * this.#perSecond);
    this.#at = now;
    const count = Math.min(this.#waiting.length, Math.floor(this.#tokens));
    this.#tokens -= count;
    for (const text of this.#waiting.splice(0, count)) this.#send(text);
    if (this.#waiting.length > 0) this.#timer = setTimeout(() => this.#flush(), Math.ceil(1_000 / this.#perSecond));
  }
}
