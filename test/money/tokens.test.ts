import fc from "fast-check";
import { countTokens as countEarlier } from "gpt-tokenizer/encoding/cl100k_base";
import { countTokens } from "gpt-tokenizer/encoding/o200k_base";
import { beforeAll, describe, expect, it } from "vitest";
import {
  countInput,
  countText,
  IMAGE_TOKENS,
  loadTokenizer,
  MESSAGE_TOKENS,
  REQUEST_TOKENS,
  TOOLS_TOKENS,
  type Tokenizer,
} from "../../src/money/tokens.ts";
import type { Message } from "../../src/protocol/messages.ts";

const bytes: Tokenizer = { encoding: "bytes", margin: 0 };
const openai: Tokenizer = { encoding: "o200k_base", margin: 0 };
const other: Tokenizer = { encoding: "o200k_base", margin: 0.3 };
const exact = (text: string) => countTokens(text, { disallowedSpecial: new Set() });
const user = (content: string): Message => ({ role: "user", content });

describe("before the tokenizer is loaded", () => {
  it("counts by bytes, and the same message by tokens afterwards", async () => {
    const message = user("The quick brown fox jumps over the lazy dog.");
    const before = countInput({ messages: [message] }, openai);
    expect(before).toBe(REQUEST_TOKENS + MESSAGE_TOKENS + 44);
    await loadTokenizer();
    expect(countInput({ messages: [message] }, openai)).toBe(REQUEST_TOKENS + MESSAGE_TOKENS + 10);
  });
});

describe("countText", () => {
  beforeAll(loadTokenizer);

  it("is the tokenizer's own count without a margin", () => {
    expect(countText("hello world", openai)).toBe(2);
    expect(countText("", openai)).toBe(0);
    expect(countText("привет, мир! 你好,世界。", openai)).toBe(exact("привет, мир! 你好,世界。"));
  });

  const texts: readonly [string, string][] = [
    ["English", "The quick brown fox jumps over the lazy dog, and nobody minds. "],
    ["Hindi", "मुझे अपने बैंक खाते की शेष राशि के बारे में जानकारी चाहिए। "],
    ["Georgian", "გამარჯობა, მინდა ვიცოდე ჩემი ანგარიშის ნაშთი. "],
    ["Tamil", "எனது வங்கி கணக்கின் இருப்பு பற்றி அறிய விரும்புகிறேன். "],
    ["Indonesian", "Saya ingin mengetahui saldo rekening bank saya, terima kasih banyak. "],
    ["Swahili", "Ningependa kujua salio la akaunti yangu ya benki tafadhali. "],
    ["German", "Überweisungen werden am nächsten Bankarbeitstag ausgeführt. "],
    ["code", "for (const item of list) {\n\t\tif (!item) continue;\n  total += item.price * 1.19;\n}\n"],
    ["emoji", "👩‍👩‍👧 ok 🇩🇪 "],
  ];
  it.each(texts)("of an earlier or unknown model bounds both vocabularies: %s", (_, text) => {
    const long = text.repeat(20);
    for (const model of ["gpt-4-turbo", "gpt-4", "gpt-4-0613", "gpt-3.5-turbo", "some-model"]) {
      const bound = countText(long, openai, model);
      expect(bound).toBeGreaterThanOrEqual(Math.max(exact(long), countEarlier(long)));
      const input = { messages: [user(long)], model };
      expect(countInput(input, openai)).toBe(REQUEST_TOKENS + MESSAGE_TOKENS + bound);
    }
    for (const model of ["gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-5.1", "o3", "ft:gpt-4o-mini:acme"])
      expect(countText(long, openai, model)).toBe(exact(long));
  });

  it("takes text that looks like a special token as text", () => {
    expect(countText("<|endoftext|>", openai)).toBeGreaterThan(1);
  });

  it("adds the margin, never beyond the bytes", () => {
    expect(countText("hello world, how are you today?", other)).toBe(Math.ceil(exact("hello world, how are you today?") * 1.3));
    expect(countText("a", { encoding: "o200k_base", margin: 5 })).toBe(1);
  });

  it("is never less than the tokenizer says and never more than the bytes", () => {
    // Every UTF-16 unit, halves of pairs included.
    const anyUnit = fc.nat({ max: 0xffff }).map((unit) => String.fromCharCode(unit));
    const text = fc.oneof(fc.string({ unit: "grapheme", maxLength: 300 }), fc.string({ unit: anyUnit, maxLength: 300 }));
    fc.assert(
      fc.property(text, (value) => {
        const count = countText(value, openai);
        expect(count).toBeGreaterThanOrEqual(exact(value));
        expect(count).toBeLessThanOrEqual(Buffer.byteLength(value));
        expect(countText(value, bytes)).toBe(Buffer.byteLength(value));
      }),
      { numRuns: 60 },
    );
  });

  it("is quick on runs that the tokenizer merges in quadratic time, and still a bound", () => {
    const cpu = process.cpuUsage();
    expect(countText("a".repeat(400_000), openai)).toBe(400_000);
    expect(countText(`${"字".repeat(100_000)} ok ${"=".repeat(100_000)}${" ".repeat(100_000)}`, openai)).toBeGreaterThan(100_000);
    const { user, system } = process.cpuUsage(cpu);
    // Uncut it is minutes; this is some milliseconds. The limit only has to tell them apart.
    expect(user + system).toBeLessThan(2_000_000);
    for (const long of ["ab".repeat(400), "字あ".repeat(80), "!?".repeat(300), "\n ".repeat(400), "é".repeat(600)]) {
      expect(countText(`x ${long} y`, openai)).toBeGreaterThanOrEqual(exact(`x ${long} y`));
    }
  });

  it("gives no more than its allowance to the tokenizer: what is beyond counts by its bytes, and later by tokens", () => {
    const english = "the quick brown fox jumps ".repeat(100_000);
    const count = countText(english, openai);
    expect(count).toBeGreaterThan(countText(english.slice(0, 900_000), openai) + 1_500_000);
    expect(count).toBeLessThan(english.length);
    const messages = Array.from({ length: 3 }, (_, i) => user(`${i} ${english.slice(0, 900_000)}`));
    const first = countInput({ messages }, openai);
    const second = countInput({ messages }, openai);
    const third = countInput({ messages }, openai);
    expect(second).toBeLessThan(first);
    expect(third).toBeLessThan(second);
    expect(countInput({ messages }, openai)).toBe(third);
  });

  it("keeps halves of a surrogate pair countable", () => {
    expect(countText("a\ud83d", openai)).toBeGreaterThanOrEqual(2);
  });
});

describe("countInput", () => {
  beforeAll(loadTokenizer);
  const tools = [
    {
      name: "get_current_weather",
      description: "Get the current weather in a given location",
      schema: {
        type: "object",
        properties: {
          location: { type: "string", description: "The city and state, e.g. San Francisco, CA" },
          unit: { type: "string", description: "The unit of temperature to return", enum: ["celsius", "fahrenheit"] },
        },
        required: ["location"],
      },
    },
  ];

  it("is at least what OpenAI counted for the cookbook's examples", () => {
    // How to count tokens with tiktoken: gpt-4o counts 124 prompt tokens for these messages and 101 for the call with a tool.
    const messages: Message[] = [
      {
        role: "system",
        content: "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
      },
      { role: "system", content: "New synergies will help drive top-line growth." },
      { role: "system", content: "Things working well together will increase revenue." },
      {
        role: "system",
        content: "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
      },
      { role: "system", content: "Let's talk later when we're less busy about how to do better." },
      { role: "user", content: "This late pivot means we don't have time to boil the ocean for the client deliverable." },
    ];
    const plain = countInput({ messages }, openai);
    expect(plain).toBeGreaterThanOrEqual(124);
    expect(plain).toBeLessThan(124 * 1.25);
    const withTool = countInput(
      {
        messages: [
          { role: "system", content: "You are a helpful assistant that can answer to questions about the weather." },
          { role: "user", content: "What's the weather like in San Francisco?" },
        ],
        tools,
      },
      openai,
    );
    expect(withTool).toBeGreaterThanOrEqual(101);
    expect(withTool).toBeLessThan(101 * 2);
  });

  it("counts everything that travels: instructions, tools, schema, requests for tools and what must be sent back unread", () => {
    const base = countInput({ messages: [user("hi")] }, bytes);
    const more = (input: Partial<Parameters<typeof countInput>[0]>) => countInput({ messages: [user("hi")], ...input }, bytes) - base;
    expect(more({ instructions: "0123456789" })).toBe(10 + MESSAGE_TOKENS);
    expect(more({ tools })).toBeGreaterThan(JSON.stringify(tools).length + TOOLS_TOKENS - 20);
    expect(more({ tools: [] })).toBe(0);
    expect(more({ schema: { name: "answer", schema: { type: "object" } } })).toBeGreaterThan(30);
    const plain: Message = { role: "assistant", content: "" };
    const busy: Message = {
      role: "assistant",
      content: "",
      tools: [{ id: "call_1", name: "clock", input: { time_zone: "UTC" } }],
      opaque: { provider: "anthropic", value: [{ type: "thinking", signature: "x".repeat(500) }] },
    };
    expect(more({ messages: [user("hi"), busy] }) - more({ messages: [user("hi"), plain] })).toBeGreaterThan(530);
    const result: Message = { role: "tool", id: "call_1", name: "clock", content: "12:00" };
    expect(more({ messages: [user("hi"), result] })).toBe(MESSAGE_TOKENS + 16);
  });

  it("counts images by a bound of their own, not by the length of their data", () => {
    const image = { type: "image" as const, url: `data:image/png;base64,${"A".repeat(100_000)}` };
    const messages: Message[] = [{ role: "user", content: [{ type: "text", text: "what is this" }, image, image] }];
    const text: Message[] = [{ role: "user", content: [{ type: "text", text: "what is this" }] }];
    expect(countInput({ messages }, openai) - countInput({ messages: text }, openai)).toBe(2 * IMAGE_TOKENS);
    expect(countInput({ messages, model: "gpt-4o-mini" }, openai)).toBeGreaterThan(2 * 48_000);
  });

  it("counts a message once: later steps cost their new messages only", () => {
    const history = Array.from({ length: 100 }, (_, i) => user(`message ${i}: ${"lorem ipsum dolor sit amet ".repeat(200)}`));
    const cpu = process.cpuUsage();
    const first = countInput({ messages: history }, openai);
    const cold = process.cpuUsage(cpu).user;
    const again = process.cpuUsage();
    for (let i = 0; i < 20; i++) expect(countInput({ messages: history }, openai)).toBe(first);
    expect(process.cpuUsage(again).user / 20).toBeLessThan(cold / 3);
    // The margin is not part of what is kept: another provider's count of the same messages is its own.
    expect(countInput({ messages: history }, other)).toBeGreaterThan(first * 1.2);
  });
});
