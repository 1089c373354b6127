/**
 * Alerts to a webhook, signed by Standard Webhooks: one after the other, with retries under the same id.
 *
 *  1. At most {@link maxWaiting} wait; of what is more the oldest is dropped, which is told.
 *  2. No redirect is followed, nothing of an answer is read but its status, and each try has its time.
 *  3. 410 ends it: the receiver wants no more.
 */
import { randomUUID } from "node:crypto";
import { Webhook } from "standardwebhooks";
import type { Alert } from "../protocol/alert.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { Scheduler } from "../runtime/scheduler.ts";

export type AlertWebhookOptions = {
  readonly url: string;
  /** Base64, with or without `whsec_`. */
  readonly secret: string;
  readonly scheduler: Pick<Scheduler, "now" | "after" | "random">;
  readonly onError: (message: string) => void;
};

const maxWaiting = 100;
const timeoutMs = 15_000;
/** Before each further try, in ms; a quarter at random on top. */
const delaysMs = [1_000, 5_000, 30_000, 120_000, 600_000];

export class AlertWebhook {
  private readonly options: AlertWebhookOptions;
  private readonly webhook: Webhook;
  private readonly waiting: Alert[] = [];
  private readonly ending = new AbortController();
  private isSending = false;
  private isGone = false;

  /** Throws `invalid_request` when the secret cannot sign. */
  constructor(options: AlertWebhookOptions) {
    this.options = options;
    try {
      this.webhook = new Webhook(options.secret);
    } catch {
      throw new EscapementError("invalid_request", "alerts.webhook.secret must be base64, with or without whsec_ before it", {
        details: { path: "alerts.webhook.secret" },
      });
    }
  }

  send(alert: Alert): void {
    if (this.isGone || this.ending.signal.aborted) return;
    this.waiting.push(alert);
    if (this.waiting.length > maxWaiting) {
      this.waiting.shift();
      this.options.onError(`more than ${maxWaiting} alerts wait for the webhook at ${this.host}: the oldest was dropped`);
    }
    if (!this.isSending) void this.sendAll();
  }

  /** Ends it at once; what waits is not sent. */
  close(): void {
    this.ending.abort();
  }

  private async sendAll(): Promise<void> {
    this.isSending = true;
    for (let alert = this.waiting.shift(); alert && !this.isGone && !this.ending.signal.aborted; alert = this.waiting.shift())
      await this.sendOne(alert);
    this.isSending = false;
  }

  private async sendOne(alert: Alert): Promise<void> {
    const id = `msg_${randomUUID()}`;
    const payload = JSON.stringify({ type: "alert", timestamp: alert.at, data: alert });
    for (let attempt = 0; ; attempt++) {
      const problem = await this.attempt(id, payload);
      if (problem === null || this.ending.signal.aborted) return;
      if (this.isGone) return this.options.onError(`the webhook at ${this.host} answered 410: it gets no more alerts`);
      const delay = delaysMs[attempt];
      if (delay === undefined)
        return this.options.onError(`the webhook at ${this.host} took no alert in ${attempt + 1} tries (${problem})`);
      await this.pause(delay * (1 + this.options.scheduler.random() / 4));
    }
  }

  /** Null when it was taken; else why not. */
  private async attempt(id: string, payload: string): Promise<string | null> {
    const at = new Date(this.options.scheduler.now());
    try {
      const response = await fetch(this.options.url, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          "webhook-id": id,
          "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
          "webhook-signature": this.webhook.sign(id, at, payload),
        },
        body: payload,
        redirect: "manual",
        signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), this.ending.signal]),
      });
      void response.body?.cancel().catch(() => {});
      if (response.status === 410) this.isGone = true;
      return response.ok ? null : `status ${response.status}`;
    } catch (error) {
      // The message may hold the address, and the address a token.
      return (error as { cause?: { code?: string } }).cause?.code ?? (error as Error).name;
    }
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.options.scheduler.after(ms, resolve);
      this.ending.signal.addEventListener("abort", () => {
        cancel();
        resolve();
      });
    });
  }

  private get host(): string {
    return URL.parse(this.options.url)?.host ?? "its address";
  }
}
