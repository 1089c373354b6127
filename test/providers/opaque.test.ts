/** What a provider wants back unread comes with its answer and goes back with the message, unchanged. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Message } from "../../src/protocol/messages.ts";
import { anthropic } from "../../src/providers/anthropic.ts";
import { google } from "../../src/providers/google.ts";
import { openai } from "../../src/providers/openai.ts";
import type { ProviderEnd } from "../../src/providers/provider.ts";
import { event, json, stream } from "../../src/testing/fault-script.ts";
import { type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";
import { collect } from "./collect.ts";
import { wires } from "./wires.ts";

let server: FaultServer;
beforeEach(async () => {
  server = await startFaultServer(() => []);
});
afterEach(() => server.close());

const asMessage = (text: string, { tools, opaque }: ProviderEnd): Message => ({
  role: "assistant",
  content: text,
  ...(tools && { tools }),
  ...(opaque && { opaque }),
});

test.each([[true], [false]])("Anthropic's thinking (streamed: %s)", async (streamed) => {
  const provider = anthropic({ baseURL: `${server.url}/v1` });
  const wire = wires.find(({ name }) => name === "anthropic")!;
  const answer = { reasoning: "Hm.", text: ["I look."], tools: [{ id: "a", name: "look", input: '{"x":1}' }] };
  server.use(() => (streamed ? stream(wire.stream(answer).events) : json(200, wire.whole(answer))));
  const { text, end } = await collect(provider, { stream: streamed });
  expect(end.opaque?.provider).toBe("anthropic");
  await collect(provider, { messages: [asMessage(text, end)] });
  expect(server.book.entries[1]!.request.json().messages[0].content).toEqual([
    { type: "thinking", thinking: "Hm.", signature: "c2ln" },
    { type: "text", text: "I look." },
    { type: "tool_use", id: "a", name: "look", input: { x: 1 } },
  ]);
  await provider.close();
});

test("an answer without thinking has nothing to give back", async () => {
  const provider = anthropic({ baseURL: `${server.url}/v1` });
  const wire = wires.find(({ name }) => name === "anthropic")!;
  server.use(() => stream(wire.stream({ text: ["Hi"] }).events));
  expect((await collect(provider)).end).not.toHaveProperty("opaque");
  await provider.close();
});

test("Gemini's signatures", async () => {
  const provider = google({ baseURL: server.url });
  const parts = [
    { text: "I look." },
    { functionCall: { name: "look", args: {} }, thoughtSignature: "s1" },
    { functionCall: { name: "look", args: {} } },
    { text: "", thoughtSignature: "s0" },
  ];
  server.use(() => stream([event({ candidates: [{ content: { parts }, finishReason: "STOP" }] })]));
  const { text, end } = await collect(provider);
  expect(new Set(end.tools!.map(({ id }) => id)).size).toBe(2);
  await collect(provider, { messages: [asMessage(text, end)] });
  expect(server.book.entries[1]!.request.json().contents[0].parts).toEqual([
    { text: "I look.", thoughtSignature: "s0" },
    { functionCall: { name: "look", args: {} }, thoughtSignature: "s1" },
    { functionCall: { name: "look", args: {} } },
  ]);
  await provider.close();
});

test("OpenAI's encrypted reasoning", async () => {
  const provider = openai({ baseURL: `${server.url}/v1`, wire: "responses" });
  const item = { type: "reasoning", id: "rs_1", summary: [], encrypted_content: "abc" };
  const data = [
    { type: "response.output_item.done", output_index: 0, item },
    { type: "response.output_text.delta", output_index: 1, delta: "Hi" },
    { type: "response.completed", response: { status: "completed", output: [] } },
  ];
  server.use(() => stream(data.map((value) => event(value, value.type))));
  const { text, end } = await collect(provider);
  await collect(provider, { messages: [asMessage(text, end)] });
  expect(server.book.entries[1]!.request.json().input).toEqual([item, { role: "assistant", content: "Hi" }]);
  await provider.close();
});
