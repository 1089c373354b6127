/** `search_knowledge` in a real runtime: what the model is given, what people are shown, configuration, closing, and the answer cache. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, onTestFinished, test } from "vitest";
import { resolveConfig } from "../../../src/config/config.ts";
import { agent, type Event, type Runtime } from "../../../src/index.ts";
import type { FaultRequest } from "../../../src/testing/fault-server.ts";
import { knowledge } from "../../../tools/knowledge/index.ts";
import { type Model, world } from "../../runtime/world.ts";
import { endAll, newFolder, run } from "../../whole-path/served.ts";

afterEach(endAll);

function documents(files: { readonly [name: string]: string }): string {
  const folder = mkdtempSync(join(tmpdir(), "documents-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

type ChatMessage = { readonly role: string; readonly content: string };
const messagesOf = (request: FaultRequest): readonly ChatMessage[] => (request.json() as { messages: ChatMessage[] }).messages;

/** Searches for what it was asked, then answers with what it was given. */
const librarian: Model = (request) => {
  const last = messagesOf(request).at(-1) as ChatMessage;
  if (last.role !== "tool") return { tools: [{ name: "search_knowledge", input: { query: last.content } }] };
  return { text: `Read: ${/price is \d+/.exec(last.content)?.[0] ?? "nothing"}` };
};

async function asked(runtime: Runtime, input: string): Promise<{ text: unknown; events: Event[] }> {
  const handle = await runtime.start({ agent: "librarian", input });
  const events: Event[] = [];
  for await (const event of handle.events()) events.push(event);
  return { text: (await handle.result()).output, events };
}

test("the model gets numbered passages between marks, people get citations; the group is closed with the runtime", async () => {
  const folder = documents({
    "prices.md": "# Prices\n\n## Lamps\n\nFor a lamp the price is 40 euros.",
    "other.md": "Nothing of the kind.",
  });
  const group = knowledge({ folder, about: "the shop", baseURL: "https://docs.example.com/shop/" });
  const { runtime, provider } = await world(librarian, {
    tools: { knowledge: group },
    agents: [agent({ name: "librarian", tools: ["knowledge"] })],
  });
  const { text, events } = await asked(runtime, "lamp price");
  expect(text).toBe("Read: price is 40");
  expect(events.filter((event) => event.type === "data" && event.name === "source")).toMatchObject([
    {
      name: "source",
      data: {
        id: "prices.md#0",
        title: "Prices",
        document: "prices.md",
        url: "https://docs.example.com/shop/prices.md",
        quote: "For a lamp the price is 40 euros.",
      },
    },
  ]);
  const result = messagesOf(provider.book.entries.at(-1)?.request as FaultRequest).at(-1)?.content;
  expect(result).toContain('<passage n="1" document="prices.md" title="Prices" section="Prices > Lamps" line="5">\nFor a lamp');
  expect(group.tools[0]).toMatchObject({ class: "pure", untrusted: true, consequential: false });
  await runtime.close();
  await expect(group.reindex()).rejects.toMatchObject({ code: "unavailable" });
});

test("a changed document purges the cached answers that were made from it, and no others", async () => {
  const folder = documents({ "lamp.md": "The lamp: its price is 40.", "table.md": "The table: its price is 90." });
  const group = knowledge({ folder });
  const { runtime, provider } = await world(librarian, {
    cwd: newFolder(),
    tools: { knowledge: group },
    agents: [agent({ name: "librarian", tools: ["knowledge"], cache: { exact: {} } })],
  });
  const kept = async (): Promise<[number | undefined, number]> => {
    const before = provider.book.entries.length;
    const answers = [await asked(runtime, "lamp"), await asked(runtime, "table")];
    expect(answers.map(({ text }) => text)).toEqual([expect.stringContaining("Read: price"), "Read: price is 90"]);
    return [runtime.cacheCounts()?.exact, provider.book.entries.length - before];
  };
  // Asking for a tool is not kept; the answer is.
  expect(await kept()).toEqual([0, 4]);
  expect(await kept()).toEqual([2, 2]);
  writeFileSync(join(folder, "lamp.md"), "The lamp: its price is 41.");
  expect(await group.reindex()).toMatchObject({ changed: ["lamp.md"], unchanged: 1 });
  expect(await runtime.purgeCache({ tag: "doc:lamp.md" })).toBe(0);
  // The old answer is not there even for the old question with the old passages.
  writeFileSync(join(folder, "lamp.md"), "The lamp: its price is 40.");
  await group.reindex();
  expect(await kept()).toEqual([3, 3]);
  expect(await runtime.purgeCache({ tag: "doc:table.md" })).toBe(1);
});

test("configuration: the index is beside the runs, secrets are read, and mistakes are told", async () => {
  const folder = documents({ "a.md": "one" });
  const cwd = newFolder();
  const resolved = await resolveConfig(
    {
      tools: { knowledge: { folder, rerank: {}, embedder: { dimensions: 4, base_url: "http://127.0.0.1:9/v1" }, chunk: { tokens: 128 } } },
    },
    { cwd, env: { COHERE_API_KEY: "k" } },
  );
  expect(resolved.openGroups).toMatchObject([{ folder, name: "knowledge" }]);
  expect(resolved.tools.knowledge).toMatchObject([{ name: "search_knowledge" }]);
  const wrong = (settings: object) => resolveConfig({ tools: { knowledge: settings } }, { cwd, env: {} });
  await expect(wrong({ folder, chunks: {} })).rejects.toThrow(/tools.knowledge.chunks is not a key: did you mean "chunk"/);
  await expect(wrong({ folder, chunk: { tokens: 8 } })).rejects.toThrow(/tools.knowledge.chunk.tokens/);
  await expect(wrong({ folder, rerank: { api_key: { env: "NONE" } } })).rejects.toThrow(/NONE is not set/);
  expect(() => knowledge({ folder, name: "a b" })).toThrow(/the name of an index/);
});

test("a folder that is not there is told, and the runtime works on", async () => {
  const told: string[] = [];
  const { runtime } = await world(() => ({ tools: [], text: "fine" }), {
    tools: { knowledge: { folder: "/nowhere/at/all" } },
    agents: [agent({ name: "librarian", tools: ["knowledge"] })],
    onError: (message) => told.push(message),
  });
  expect((await asked(runtime, "x")).text).toBe("fine");
  await expect
    .poll(() => told)
    .toEqual(['knowledge "knowledge" is not indexed: there is no folder /nowhere/at/all to index: correct `folder`']);
});

test("`escapement knowledge index` indexes, and tells what it could not read", async () => {
  const folder = documents({ "a.md": "one", "b.docx": "broken" });
  const cwd = newFolder();
  writeFileSync(join(cwd, "escapement.config.json"), JSON.stringify({ tools: { knowledge: { folder } } }));
  const command = (...args: string[]) => run({ cwd, args: ["knowledge", "index", ...args] });
  expect(await command(folder)).toMatchObject({
    code: 0,
    stdout:
      "1 added, 0 changed, 0 removed, 0 unchanged, 1 not indexed\n  b.docx: it is not what its name says: no zip\n1 documents, 1 chunks, 1 tokens\n",
  });
  expect(await command("elsewhere")).toMatchObject({ code: 1, stderr: expect.stringContaining(`there are: ${folder}`) });
});
