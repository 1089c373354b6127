/** What goes out to an anonymised tier, and what comes back (FEATURES C12): over a real wire, streamed in pieces. */
import { expect, test } from "vitest";
import { z } from "zod";
import { type AgentOptions, type Event, tool } from "../../src/index.ts";
import { countText } from "../../src/money/tokens.ts";
import { foreign } from "../../src/providers/openai.ts";
import { type Model, world } from "./world.ts";

const price = { input_usd_per_mtok: 0, output_usd_per_mtok: 1 };
const tiers = {
  outside: { provider: "self", model: "m", max_output_tokens: 200, price, anonymise: true },
  inside: { provider: "self", model: "own", max_output_tokens: 200, price },
};
/** Nothing of it may leave. */
const corpus = {
  mails: ["ada.lovelace@example.org", "g.hopper+navy@mail.example.co.uk", "größe@müller.de"],
  numbers: ["+49 (0)170 123 45 67", "0170/9876543", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "9988776655"],
  names: ["Ada Lovelace", "Grace Hopper", "Zuse"],
};
const canaries = Object.values(corpus).flat();
const question = `My name is Ada Lovelace, and Zuse knows Grace Hopper. ${[...corpus.mails, ...corpus.numbers].join("; ")}.`;

async function play(model: Model, more: Partial<AgentOptions> = {}, input: unknown = question, tools = {}) {
  const { runtime, provider } = await world(model, {
    tiers,
    tools,
    agents: [
      {
        name: "a",
        machine: "single",
        tiers: ["outside"],
        retries: 1,
        instructions: `You answer for Zuse. Mail ${corpus.mails[0]}.`,
        anonymise: { names: ["Zuse", "Grace Hopper"] },
        ...more,
      },
    ],
  });
  const run = await runtime.start({ agent: "a", input: input as string });
  const events: Event[] = [];
  for await (const event of run) events.push(event);
  const of = <T extends Event["type"]>(type: T) => events.filter((event): event is Event & { type: T } => event.type === type);
  const sent = provider.book.entries.map(({ request }) => request);
  const leaked = sent.flatMap(({ body }) => canaries.filter((canary) => body.includes(canary)));
  return { ended: await run.result(), of, sent, leaked };
}
/** The last thing that was said to the model. */
const lastOf = (request: { json(): { messages: { content: string }[] } }): string => request.json().messages.at(-1)?.content ?? "";

test("no canary leaves, and the answer has them all, whatever the pieces", async () => {
  for (const size of [1, 3, 7]) {
    const { ended, of, sent, leaked } = await play((request) => ({ text: lastOf(request).match(new RegExp(`.{1,${size}}`, "gsu")) ?? [] }));
    expect(leaked).toEqual([]);
    expect(lastOf(sent[0] as never)).toMatch(
      /^My name is \[NAME_\d\], and \[NAME_\d\] knows \[NAME_\d\]\. \[MAIL_1\]; \[MAIL_2\]; \[MAIL_3\]; \[PHONE_1\]/,
    );
    expect(ended).toMatchObject({ status: "done", output: question });
    expect(
      of("text.delta")
        .map(({ text }) => text)
        .join(""),
    ).toBe(question);
    expect(of("call.finished")[0]?.text).toBe(question);
  }
});

test("uses of tools and what they give back: nothing leaves, and the tool gets what was said", async () => {
  const got: unknown[] = [];
  const look = tool({
    name: "look",
    description: "looks a person up",
    input: z.object({ mail: z.string(), account: z.string() }),
    class: "pure",
    run: (input) => {
      got.push(input);
      return { phone: corpus.numbers[0], account: 9_988_776_655 };
    },
  });
  const model: Model = (request) => {
    const { messages } = request.json();
    if (messages.length > 2) return { text: `It is ${/\[PHONE_\d\]/.exec(lastOf(request))?.[0]}.` };
    return { tools: [{ name: "look", input: { mail: "[MAIL_1]", account: "[NUMBER_1]" } }] };
  };
  const told = `${corpus.mails[0]} has 9988776655`;
  const asked = { messages: [{ role: "user", content: told }] };
  const { ended, leaked, sent } = await play(model, { machine: "agent", tools: ["people"] }, asked, { people: [look] });
  expect(leaked).toEqual([]);
  expect(sent).toHaveLength(2);
  expect(got).toEqual([{ mail: corpus.mails[0], account: "9988776655" }]);
  expect(ended).toMatchObject({ status: "done", output: `It is ${corpus.numbers[0]}.` });
});

test("an object comes back whole", async () => {
  const output = z.object({ mail: z.string(), name: z.string() });
  const { ended, leaked } = await play(() => ({ text: ['{"mail":"[MA', 'IL_1]","name":"[NA', 'ME_1]"}'] }), { output });
  expect(leaked).toEqual([]);
  expect(ended).toMatchObject({ status: "done", output: { mail: corpus.mails[0], name: "Zuse" } });
});

test("a bad answer is asked for again without a word that leaves", async () => {
  const output = z.object({ mail: z.string() });
  let calls = 0;
  const { ended, leaked, sent } = await play(() => ({ text: calls++ === 0 ? '{"post":"[MAIL_1]"}' : '{"mail":"[MAIL_2]"}' }), { output });
  expect(leaked).toEqual([]);
  expect(sent[1]?.body).toContain("[MAIL_1]");
  expect(ended).toMatchObject({ status: "done", output: { mail: corpus.mails[1] }, calls: 2 });
});

test("what a cut stream is charged is what the provider sent", async () => {
  const text = Array.from({ length: 40 }, () => "[MAIL_2] ");
  const { of } = await play(() => ({ text, usage: { input: 10, output: 5 }, cut: { after: 40, by: "reset" } }), { retries: 0 });
  const [finished] = of("call.finished");
  expect(finished).toMatchObject({ finish: "error", usage: { estimated: true } });
  // Not what is shown, whose mails are longer.
  expect(finished?.usage.output_tokens).toBe(countText(text.join(""), foreign));
});

test("an image does not go out to an anonymised tier, and to another it does", async () => {
  const image = { role: "user", content: [{ type: "image", url: "data:image/png;base64,AAAA" }] };
  const { ended, sent } = await play(() => ({ text: "A cat." }), { tiers: ["outside", "inside"] }, { messages: [image] });
  expect(ended).toMatchObject({ status: "done", tier: "inside" });
  expect(sent).toHaveLength(1);
});

test("a tier that is not anonymised gets the words as they are", async () => {
  const { sent } = await play(() => ({ text: "Yes." }), { tiers: ["inside"] });
  for (const canary of canaries) expect(sent[0]?.body).toContain(canary);
});
