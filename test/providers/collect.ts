/** Runs one call and collects what it says; checks what every call must keep: one end, last, and nothing before `stream` returned. */
import { expect } from "vitest";
import type { Provider, ProviderElement, ProviderEnd, ProviderRequest, Timeouts } from "../../src/providers/provider.ts";

/** Longer than the defaults: what is not about timers must not fail on a busy machine. */
export const timeouts: Timeouts = { connect: 30_000, headers: 30_000, firstToken: 30_000, idle: 30_000, total: 60_000 };

export const plain: ProviderRequest = {
  model: "model-1",
  messages: [{ role: "user", content: "Hello" }],
  maxOutputTokens: 100,
  stream: true,
  timeouts,
};

export type Collected = { text: string; reasoning: string; end: ProviderEnd; elements: ProviderElement[] };

export async function collect(provider: Provider, more: Partial<ProviderRequest> = {}): Promise<Collected> {
  const elements: ProviderElement[] = [];
  let isReturned = false;
  const end = await new Promise<ProviderEnd>((resolve) => {
    provider.stream({ ...plain, ...more }, (element) => {
      expect(isReturned).toBe(true);
      elements.push(element);
      if (element.type === "end") resolve(element);
    });
    isReturned = true;
  });
  // A second end or late text would come with the ticks that follow.
  await new Promise((resolve) => setImmediate(resolve));
  expect(elements.filter(({ type }) => type === "end")).toHaveLength(1);
  expect(elements.at(-1)).toBe(end);
  const said = (type: "text" | "reasoning"): string => elements.map((element) => (element.type === type ? element.text : "")).join("");
  return { text: said("text"), reasoning: said("reasoning"), end, elements };
}
