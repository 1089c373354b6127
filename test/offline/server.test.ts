import { expect, test } from "vitest";
import { offline, startOffline } from "../../src/offline/offline.ts";
import type { Message } from "../../src/protocol/messages.ts";
import type { ProviderElement, ProviderEnd, ProviderRequest } from "../../src/providers/provider.ts";

const timeouts = { connect: 3_000, headers: 10_000, firstToken: 10_000, idle: 10_000, total: 30_000 };
const calculator = { name: "calculator", description: "Calculates.", schema: { type: "object" } };

async function ask(
  more: Partial<ProviderRequest> & { messages: readonly Message[] },
): Promise<{ text: string; end: ProviderEnd; pieces: number }> {
  const server = await startOffline({ paceMs: 0 });
  const provider = offline(server);
  try {
    return await new Promise((resolve) => {
      let text = "";
      let pieces = 0;
      const sink = (element: ProviderElement): void => {
        if (element.type === "end") resolve({ text, end: element, pieces });
        else {
          text += element.text;
          pieces++;
        }
      };
      provider.stream({ model: "scripted", maxOutputTokens: 100, stream: true, timeouts, ...more }, sink);
    });
  } finally {
    await provider.close();
    await server.close();
  }
}

test.each([[true], [false]])("holds a conversation with a tool (streamed: %s)", async (stream) => {
  const question: Message = { role: "user", content: "What is 12.5% of 8460?" };
  const first = await ask({ messages: [question], tools: [calculator], stream });
  expect(first.end).toMatchObject({
    finish: "tools",
    model: "scripted",
    tools: [{ name: "calculator", input: { expression: "12.5 / 100 * 8460" } }],
  });
  const tools = first.end.tools!;
  const second = await ask({
    messages: [
      question,
      { role: "assistant", content: "", tools },
      { role: "tool", id: tools[0]!.id, name: "calculator", content: "1057.5" },
    ],
    tools: [calculator],
    stream,
  });
  expect(second.text).toBe("12.5% of 8460 is 1057.5.");
  expect(second.end).toMatchObject({ finish: "stop", model: "scripted", usage: { outputTokens: 5 } });
  expect(second.end.usage!.inputTokens).toBeGreaterThan(0);
});

test("tells a failed tool as failed", async () => {
  const { text } = await ask({
    messages: [
      { role: "user", content: "2+2" },
      { role: "assistant", content: "", tools: [{ id: "a", name: "calculator", input: { expression: "2+2" } }] },
      { role: "tool", id: "a", name: "calculator", content: "it is closed today", error: true },
    ],
  });
  expect(text).toBe("The tool calculator could not answer: it is closed today.");
});

test("refuses a schema that no script fits, and fills one of a single text", async () => {
  const messages: Message[] = [{ role: "user", content: "Sort this ticket" }];
  const strict = { type: "object", properties: { kind: { enum: ["a", "b"] } }, required: ["kind"] };
  expect((await ask({ messages, schema: { name: "ticket", schema: strict } })).end.finish).toBe("refused");
  const plain = { type: "object", properties: { answer: { type: "string" } }, required: ["answer"] };
  expect(JSON.parse((await ask({ messages, schema: { name: "plain", schema: plain } })).text)).toEqual({
    answer: expect.stringContaining("scripted"),
  });
});

test("stops when the client leaves, and closes with a stream open", async () => {
  const server = await startOffline({ paceMs: 60_000 });
  const provider = offline(server);
  await new Promise<void>((resolve) => {
    const abort = provider.stream({ model: "scripted", messages: [], maxOutputTokens: 9, stream: true, timeouts }, (element) => {
      expect(element.type).toBe("text");
      abort();
      resolve();
    });
  });
  await provider.close();
  await server.close();
});

test("answers what it does not know with an error in OpenAI's form", async () => {
  const server = await startOffline();
  const post = (body: string) => fetch(`${server.url}/chat/completions`, { method: "POST", body });
  expect((await post("{")).status).toBe(400);
  expect((await post('{"messages":[null]}')).status).toBe(400);
  expect((await fetch(`${server.url}/embeddings`, { method: "POST", body: "{}" })).status).toBe(404);
  expect(await (await fetch(`${server.url}/models`)).json()).toMatchObject({ data: [{ id: "scripted" }] });
  await server.close();
});
