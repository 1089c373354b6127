/** One suite for every vector store. Qdrant is aimock's, whose answers to a search are given to it, and a plain server of its newer API. */
import { VectorMock } from "@copilotkit/aimock";
import { describe, expect, onTestFinished, test } from "vitest";
import { cosine, normalised } from "../../src/embeddings/embedder.ts";
import { json } from "../../src/testing/fault-script.ts";
import { startFaultServer } from "../../src/testing/fault-server.ts";
import { memoryVectors } from "../../src/vectors/memory.ts";
import { qdrant } from "../../src/vectors/qdrant.ts";
import type { Vectors } from "../../src/vectors/vectors.ts";

const vector = (...values: number[]): Float32Array => normalised(values);

type Stored = { id: string; vector: number[]; payload: { key: string; partition: string; tags: string[] } };

/** As Qdrant 1.19 answers: it searches by `points/query` alone, and a collection must be made before the first write. */
async function newQdrant(): Promise<{ url: string; requests: () => string[] }> {
  const points = new Map<string, Stored>();
  let exists = false;
  const server = await startFaultServer((request) => {
    const body = request.json();
    const missing = json(404, { status: { error: "Not found: Collection `answers` doesn't exist!" } });
    switch (`${request.method} ${request.path}`) {
      case "PUT /collections/answers":
        exists = true;
        return json(200, { result: true });
      case "PUT /collections/answers/points?wait=true":
        if (!exists) return missing;
        for (const point of body.points as Stored[]) points.set(point.id, point);
        return json(200, { result: {} });
      case "POST /collections/answers/points/query": {
        if (!exists) return missing;
        const wanted = body.filter.must[0].match.value;
        const found = [...points.values()]
          .filter(({ payload }) => payload.partition === wanted)
          .map((point) => ({ ...point, score: cosine(Float32Array.from(body.query), Float32Array.from(point.vector)) }))
          .sort((a, b) => b.score - a.score);
        return json(200, { result: { points: found.slice(0, body.limit) } });
      }
      case "POST /collections/answers/points/delete?wait=true":
        for (const [id, { payload }] of points)
          if (body.points?.includes(id) || (body.filter && payload.tags.includes(body.filter.must[0].match.value))) points.delete(id);
        return json(200, { result: {} });
      default:
        return json(404, {});
    }
  });
  onTestFinished(() => server.close());
  return { url: server.url, requests: () => server.book.entries.map(({ request }) => `${request.method} ${request.path}`) };
}

const stores: { name: string; open: () => Promise<Vectors> }[] = [
  { name: "memory", open: async () => memoryVectors() },
  { name: "qdrant", open: async () => qdrant((await newQdrant()).url, { collection: "answers", dimensions: 2 }) },
];

describe.each(stores)("$name", ({ open }) => {
  test("finds the nearest first, in its partition alone", async () => {
    const vectors = await open();
    expect(await vectors.search({ partition: "p", vector: vector(1, 0), limit: 5 })).toEqual([]);
    await vectors.upsert([
      { id: "far", partition: "p", vector: vector(0, 1) },
      { id: "near", partition: "p", vector: vector(1, 0.1) },
      { id: "other", partition: "q", vector: vector(1, 0) },
    ]);
    const found = await vectors.search({ partition: "p", vector: vector(1, 0), limit: 5 });
    expect(found.map(({ id }) => id)).toEqual(["near", "far"]);
    expect(found[0]?.score).toBeCloseTo(0.995, 3);
    expect(await vectors.search({ partition: "p", vector: vector(1, 0), limit: 1 })).toHaveLength(1);
  });

  test("an id written again is one vector; deleted by id and by tag it is gone", async () => {
    const vectors = await open();
    await vectors.upsert([{ id: "a", partition: "p", vector: vector(0, 1), tags: ["x"] }]);
    await vectors.upsert([
      { id: "a", partition: "p", vector: vector(1, 0), tags: ["x"] },
      { id: "b", partition: "p", vector: vector(1, 1), tags: ["y"] },
    ]);
    const ids = async () => (await vectors.search({ partition: "p", vector: vector(1, 0), limit: 5 })).map(({ id }) => id);
    expect(await ids()).toEqual(["a", "b"]);
    await vectors.delete({ tag: "x" });
    expect(await ids()).toEqual(["b"]);
    await vectors.delete({ ids: ["b", "unknown"] });
    expect(await ids()).toEqual([]);
  });
});

test("memory forgets what was not found for longest", async () => {
  const vectors = memoryVectors({ maxVectors: 2 });
  await vectors.upsert([{ id: "a", partition: "p", vector: vector(1, 0) }]);
  await vectors.upsert([{ id: "b", partition: "q", vector: vector(1, 0) }]);
  await vectors.search({ partition: "p", vector: vector(1, 0), limit: 1 });
  await vectors.upsert([{ id: "c", partition: "q", vector: vector(1, 0) }]);
  expect(await vectors.search({ partition: "p", vector: vector(1, 0), limit: 1 })).toHaveLength(1);
  expect((await vectors.search({ partition: "q", vector: vector(1, 0), limit: 5 })).map(({ id }) => id)).toEqual(["c"]);
});

test("Qdrant's collection is made by the first write", async () => {
  const { url, requests } = await newQdrant();
  const vectors = qdrant(url, { collection: "answers", dimensions: 2 });
  await vectors.upsert([{ id: "a", partition: "p", vector: vector(1, 0) }]);
  await vectors.upsert([{ id: "b", partition: "p", vector: vector(1, 0) }]);
  const write = "PUT /collections/answers/points?wait=true";
  expect(requests()).toEqual([write, "PUT /collections/answers", write, write]);
});

test("an older Qdrant, as aimock plays it, is searched by its older way", async () => {
  const mock = new VectorMock();
  const url = await mock.start();
  onTestFinished(() => mock.stop());
  const vectors = qdrant(url, { collection: "answers", dimensions: 2, apiKey: "secret" });
  expect(await vectors.search({ partition: "p", vector: vector(1, 0), limit: 5 })).toEqual([]);
  await vectors.upsert([{ id: "a", partition: "p", vector: vector(1, 0) }]);
  mock.onQuery("answers", ({ filter }) => {
    expect(filter).toEqual({ must: [{ key: "partition", match: { value: "p" } }] });
    return [{ id: "0", score: 0.97, metadata: { key: "a" } }];
  });
  expect(await vectors.search({ partition: "p", vector: vector(1, 0), limit: 5 })).toEqual([{ id: "a", score: 0.97 }]);
  await vectors.delete({ ids: ["a"] });
});

test("a Qdrant that is gone, slow or unwell rejects within its limit, without its key in the words", async () => {
  const hanging = await startFaultServer(() => [{ hang: true }]);
  const unwell = await startFaultServer(() => json(500, {}));
  onTestFinished(async () => void (await Promise.all([hanging.close(), unwell.close()])));
  for (const url of ["http://127.0.0.1:1", hanging.url, unwell.url]) {
    const vectors = qdrant(url, { collection: "answers", dimensions: 2, apiKey: "top-secret-key", timeoutMs: 50 });
    const error = await vectors.search({ partition: "p", vector: vector(1, 0), limit: 1 }).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: "unavailable" });
    expect(String(error)).not.toContain("top-secret");
    await expect(vectors.upsert([{ id: "a", partition: "p", vector: vector(1, 0) }])).rejects.toMatchObject({ code: "unavailable" });
  }
});
