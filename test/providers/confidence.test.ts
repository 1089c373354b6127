/** How sure a model was, on every wire that tells it: asked for only where it is wanted, and no text is lost over it. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fireworks, groq, litellm, llamaCpp, ollama, tgi, together, vllm } from "../../src/index.ts";
import type { Provider, ProviderRequest } from "../../src/providers/provider.ts";
import { json, type Script, split } from "../../src/testing/fault-script.ts";
import { type FaultRequest, type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";
import { collect } from "./collect.ts";
import { wires } from "./wires.ts";

// Two events whose JSON differs in nothing but their text, one with signs that cannot be skimmed, one of two tokens.
const pieces = ["Yes", "No!", ' "it\n', "is so"];
const logprobs = [[-0.1], [-0.1], [-0.5], [-0.2, -1]];
const sure = Math.exp((-0.1 - 0.1 - 0.5 - 0.2 - 1) / 5);

/** Answers as their wires write them. */
type Data = ReturnType<FaultRequest["json"]>;
const tokens = (index: number, key: string): Data[] => (logprobs[index] ?? []).map((value) => ({ token: "t", [key]: value }));

/** Each wire's words for it, in an event with the text of `index` and in a whole answer. */
const told: { [wire: string]: { event(value: Data, index: number): void; whole(value: Data): void; asked(body: Data): unknown } } = {
  "openai chat": {
    event: (value, index) => {
      value.choices[0].logprobs = { content: tokens(index, "logprob"), refusal: null };
    },
    whole: (value) => {
      value.choices[0].logprobs = { content: logprobs.flatMap((_, index) => tokens(index, "logprob")) };
    },
    asked: (body) => body.logprobs,
  },
  "openai responses": {
    event: (value, index) => {
      value.logprobs = tokens(index, "logprob");
    },
    whole: (value) => {
      value.output[0].content[0].logprobs = logprobs.flatMap((_, index) => tokens(index, "logprob"));
    },
    asked: (body) => body.include,
  },
  google: {
    event: (value, index) => {
      value.candidates[0].logprobsResult = { chosenCandidates: tokens(index, "logProbability") };
    },
    whole: (value) => {
      value.candidates[0].logprobsResult = { chosenCandidates: logprobs.flatMap((_, index) => tokens(index, "logProbability")) };
    },
    asked: (body) => body.generationConfig.responseLogprobs,
  },
};

describe.each(wires)("$name", (wire) => {
  let server: FaultServer;
  let provider: Provider;
  beforeEach(async () => {
    server = await startFaultServer(() => [{ hang: true }]);
    provider = wire.make(server.url, { apiKey: "sk-canary-0123456789" });
  });
  afterEach(async () => {
    await server.close();
    await provider.close();
  });
  const answer = (script: Script, more: Partial<ProviderRequest>) => {
    server.use(() => script);
    return collect(provider, more);
  };
  const words = told[wire.name];
  const asked = (): unknown => words?.asked(server.book.entries.at(-1)?.request.json());

  /** The wire's stream of `pieces`, each with its tokens. */
  function streamed(): Buffer {
    let next = 0;
    const events = wire.stream({ text: pieces }).events.map((event) => {
      const value = /^data: (\{.*\})$/m.exec(event)?.[1];
      const piece = pieces[next];
      if (value === undefined || piece === undefined || !value.includes(JSON.stringify(piece))) return event;
      const data = JSON.parse(value);
      words?.event(data, next++);
      return event.replace(value, () => JSON.stringify(data));
    });
    return Buffer.from(events.join(""));
  }

  if (!words) {
    test("cannot tell it, and is not asked", async () => {
      expect(provider.logprobs).toBe(false);
      const { end } = await answer(json(200, wire.whole({ text: pieces })), { logprobs: true });
      expect(end).not.toHaveProperty("confidence");
      expect(server.book.entries[0]?.request.body).not.toContain("logprobs");
    });
    return;
  }

  test("says it at the end, sent in one piece and byte by byte", async () => {
    const bytes = streamed();
    const each = Array.from({ length: bytes.length - 1 }, (_, index) => index + 1);
    for (const offsets of [[], each]) {
      const { text, end } = await answer(split(bytes, offsets), { logprobs: true });
      expect(text).toBe(pieces.join(""));
      expect(end.confidence).toBeCloseTo(sure, 12);
    }
    expect(asked()).toEqual(wire.name === "openai responses" ? ["message.output_text.logprobs"] : true);
  });

  test("says it of an unstreamed answer", async () => {
    const value = wire.whole({ text: pieces }) as Data;
    words.whole(value);
    const { text, end } = await answer(json(200, value), { logprobs: true, stream: false });
    expect(text).toBe(pieces.join(""));
    expect(end.confidence).toBeCloseTo(sure, 12);
  });

  test("neither asks for it nor reads it where nobody wants it", async () => {
    const { text, end } = await answer(split(streamed(), []), {});
    expect(text).toBe(pieces.join(""));
    expect(end).not.toHaveProperty("confidence");
    expect(asked()).toBeUndefined();
  });

  test("says none where the server tells none, or what is no number", async () => {
    expect(
      (await answer(split(Buffer.from(wire.stream({ text: pieces }).events.join("")), []), { logprobs: true })).end,
    ).not.toHaveProperty("confidence");
    const value = wire.whole({ text: pieces }) as Data;
    words.whole(value);
    const broken = JSON.parse(JSON.stringify(value).replaceAll(/:-[\d.]+/g, ":null"));
    expect((await answer(json(200, broken), { logprobs: true, stream: false })).end).not.toHaveProperty("confidence");
  });
});

test("what is to be included by a parameter still is", async () => {
  const server = await startFaultServer(() => json(200, wires[1]?.whole({ text: ["Yes"] })));
  const provider = wires[1]?.make(server.url) as Provider;
  await collect(provider, { logprobs: true, stream: false, parameters: { reasoning: { effort: "low" } } });
  await collect(provider, { logprobs: true, stream: false, parameters: { include: ["file_search_call.results"] } });
  expect(server.book.entries.map(({ request }) => request.json().include)).toEqual([
    ["reasoning.encrypted_content", "message.output_text.logprobs"],
    ["file_search_call.results", "message.output_text.logprobs"],
  ]);
  await provider.close();
  await server.close();
});

test("presets know whether their server can", () => {
  const can = (make: (options: { apiKey: string }) => Provider): unknown => make({ apiKey: "k" }).logprobs;
  expect([vllm, tgi, llamaCpp, ollama, fireworks].map(can)).toEqual([true, true, true, true, true]);
  expect([groq, together, litellm].map(can)).toEqual([false, false, false]);
});
