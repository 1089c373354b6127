import { expect, test } from "vitest";
import { reply } from "../../src/offline/conversation.ts";

const user = (content: string) => ({ role: "user", content });
const asked = (name: string, args: string) => ({
  role: "assistant",
  content: null,
  tool_calls: [{ id: "a", type: "function", function: { name, arguments: args } }],
});
const result = (content: string) => ({ role: "tool", tool_call_id: "a", content });
const percent = "What is 12.5% of 8460?";

test("asks for the calculator, then answers from its result", () => {
  const tools = ["calculator"];
  expect(reply({ messages: [user(percent)], tools })).toEqual({
    tools: [{ name: "calculator", input: { expression: "12.5 / 100 * 8460" } }],
  });
  const after = [user(percent), asked("calculator", '{"expression":"12.5 / 100 * 8460"}')];
  for (const content of ["1057.5", '"1057.5"', '{"result":1057.5}', '{"expression":"…","value":1057.5}'])
    expect(reply({ messages: [...after, result(content)], tools })).toEqual({ text: "12.5% of 8460 is 1057.5." });
});

test("answers each question from its own results in a longer conversation", () => {
  const messages = [user(percent), asked("calculator", "{}"), result("1057.5"), { role: "assistant", content: "12.5% of 8460 is 1057.5." }];
  expect(reply({ messages: [...messages, user("and how much is 17 times 23?")], tools: ["calculator"] })).toEqual({
    tools: [{ name: "calculator", input: { expression: "17 * 23" } }],
  });
});

test("asks for the clock, then answers from its result", () => {
  expect(reply({ messages: [user("What time is it?")], tools: ["clock"] })).toEqual({ tools: [{ name: "clock", input: {} }] });
  const after = [user("What time is it?"), asked("clock", "{}")];
  expect(reply({ messages: [...after, result('{"iso":"2026-11-21T10:00:00.000Z"}')], tools: ["clock"] })).toEqual({
    text: "The clock says 2026-11-21 10:00:00 UTC.",
  });
  expect(reply({ messages: [...after, result("Saturday, ten o'clock")], tools: ["clock"] })).toEqual({
    text: "The clock says Saturday, ten o'clock.",
  });
});

test("asks for the clock of the place that is named", () => {
  expect(reply({ messages: [user("What time is it in Tokyo?")], tools: ["clock"] })).toEqual({
    tools: [{ name: "clock", input: { time_zone: "Asia/Tokyo" } }],
  });
});

test("asks for both tools at once when both are needed, and tells both results", () => {
  const both = { messages: [user("What time is it, and what is 2+2?")], tools: ["clock", "calculator"] };
  expect(reply(both)).toEqual({
    tools: [
      { name: "calculator", input: { expression: "2+2" } },
      { name: "clock", input: {} },
    ],
  });
});

test("tells a tool's failure instead of a result", () => {
  const after = [user(percent), asked("calculator", "{}")];
  for (const content of ["Error: out of range", '{"error":"out of range"}', '{"error":{"code":"tool_failed","message":"out of range"}}'])
    expect(reply({ messages: [...after, result(content)], tools: ["calculator"] })).toEqual({
      text: "The tool calculator could not answer: out of range.",
    });
});

test("says without tools that it cannot calculate, and that no model is connected", () => {
  const said = reply({ messages: [user(percent)], tools: [] });
  expect(said).toMatchObject({ text: expect.stringContaining("no tool named calculator is offered") });
  expect(said).toMatchObject({ text: expect.stringContaining("Answers here are scripted: no model is connected.") });
});

test("says for anything else that answers are scripted and how a model is connected", () => {
  for (const messages of [[user("Write a poem")], [], [user("")], [{ role: "user", content: [{ type: "text", text: "Hello" }] }]])
    expect(reply({ messages, tools: ["calculator", "clock"] })).toMatchObject({
      text: expect.stringMatching(/scripted.*no model.*OPENAI_API_KEY/),
    });
});

test("reads a result whose request is not in the conversation as a conversation without results", () => {
  expect(reply({ messages: [result("5")], tools: [] })).toMatchObject({ text: expect.stringContaining("scripted") });
});
