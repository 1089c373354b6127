/**
 * The provider's own invoice: what a fake provider would bill for each request, from what it handed to the system.
 * An error status bills nothing; an answer with usage bills that; one that broke off before bills its input and the tokens of text that were sent.
 */
import { type ChatAnswer, chatScript } from "../../src/testing/fault-chat.ts";
import type { Script } from "../../src/testing/fault-script.ts";
import type { FaultEntry, FaultHandler, FaultRequest } from "../../src/testing/fault-server.ts";

/** What the fake provider counts as input of every request (`fault-chat.ts`). */
const inputTokens = 10;

export class Invoices {
  /** Nano-dollars a token, as the world prices both of its models. */
  flat = { inputNano: 400, outputNano: 1_600 };
  /** What other models than the world's cost of that. */
  readonly factors: Record<string, number> = {};
  private readonly scripts = new WeakMap<FaultRequest, Script>();
  readonly by = new WeakMap<FaultRequest, string>();

  /** A handler whose answers are kept for the invoice. */
  of(who: string, answer: (request: FaultRequest) => Promise<ChatAnswer | Script> | ChatAnswer | Script): FaultHandler {
    return async (request) => {
      this.by.set(request, who);
      const given = await answer(request);
      const script = Array.isArray(given) ? (given as Script) : chatScript(request, given as ChatAnswer);
      this.scripts.set(request, script);
      return script;
    };
  }

  nano(entry: FaultEntry): number {
    const sent = this.sent(entry);
    if (!/^HTTP\/1\.1 2\d\d /.test(sent)) return 0;
    const factor = this.factors[/"model":"([^"]+)"/.exec(sent)?.[1] ?? ""] ?? 1;
    const [inputNano, outputNano] = [this.flat.inputNano * factor, this.flat.outputNano * factor];
    const usage = /"prompt_tokens":(\d+),"completion_tokens":(\d+)/.exec(sent);
    if (usage) return Number(usage[1]) * inputNano + Number(usage[2]) * outputNano;
    // What is sent beyond the tokens that were asked for cannot be billed.
    const most = Number(entry.request.json().max_tokens ?? Number.POSITIVE_INFINITY);
    return inputTokens * inputNano + Math.min(entry.textTokensSent, most) * outputNano;
  }

  /** The bytes that were handed to the system. */
  private sent(entry: FaultEntry): string {
    let left = entry.bytesSent;
    const pieces: Buffer[] = [];
    for (const step of this.scripts.get(entry.request) ?? []) {
      if (!("send" in step) || left <= 0) continue;
      const bytes = Buffer.from(step.send as string);
      pieces.push(bytes.subarray(0, left));
      left -= bytes.length;
    }
    return Buffer.concat(pieces).toString("utf8");
  }
}
