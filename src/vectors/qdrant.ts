/**
 * Vectors in Qdrant, over its REST API. The collection is made by the first write that finds none.
 *
 * Searching is `points/query`; servers before 1.10 know only `points/search`, which newer ones have dropped, so it is found out by asking.
 * Qdrant's ids are UUIDs: ours is made one by its hash and kept in the payload.
 */
import { hash } from "node:crypto";
import { EscapementError } from "../protocol/errors.ts";
import type { VectorHit, Vectors } from "./vectors.ts";

export type QdrantOptions = {
  readonly apiKey?: string;
  /** One for each embedder: its vectors have one length. */
  readonly collection: string;
  readonly dimensions: number;
  /** Milliseconds for one request; 1,000. */
  readonly timeoutMs?: number;
};

type Point = { readonly score: number; readonly payload?: { readonly key?: string } };

export function qdrant(url: string, { apiKey, collection, dimensions, timeoutMs = 1_000 }: QdrantOptions): Vectors {
  const base = `${url.replace(/\/+$/, "")}/collections/${encodeURIComponent(collection)}`;
  const headers = { "content-type": "application/json", ...(apiKey && { "api-key": apiKey }) };
  /** Which of the two ways to search this server has shown to know. */
  let known: "query" | "search" | undefined;

  const send = async (method: string, path: string, body: object): Promise<{ status: number; result: unknown }> => {
    try {
      const response = await fetch(`${base}${path}`, {
        method,
        headers,
        body: JSON.stringify(body),
        redirect: "error",
        signal: AbortSignal.timeout(timeoutMs),
      });
      const answer = (await response.json().catch(() => null)) as { result?: unknown } | null;
      return { status: response.status, result: answer?.result };
    } catch (error) {
      throw new EscapementError("unavailable", `Qdrant does not answer: ${error instanceof Error ? error.name : "failed"}`);
    }
  };
  const expect = ({ status, result }: { status: number; result: unknown }): unknown => {
    if (status >= 200 && status < 300) return result;
    throw new EscapementError("unavailable", `Qdrant answered with HTTP ${status}`);
  };

  return {
    local: false,
    async upsert(items) {
      const points = items.map(({ id, partition, vector, tags = [] }) => ({
        id: uuidOf(id),
        vector: [...vector],
        payload: { key: id, partition, tags },
      }));
      const write = () => send("PUT", "/points?wait=true", { points });
      const first = await write();
      if (first.status !== 404) return void expect(first);
      // Another process may have made it meanwhile (409).
      const made = await send("PUT", "", { vectors: { size: dimensions, distance: "Cosine" } });
      if (made.status !== 409) expect(made);
      expect(await write());
    },
    async search({ partition, vector, limit }) {
      const filter = { must: [{ key: "partition", match: { value: partition } }] };
      const rest = { filter, limit, with_payload: true };
      const ask = async (path: "query" | "search"): Promise<{ status: number; result: unknown }> => {
        const answer = await send("POST", `/points/${path}`, { [path === "query" ? "query" : "vector"]: [...vector], ...rest });
        if (answer.status === 200) known = path;
        return answer;
      };
      let answer = await ask(known ?? "query");
      if (answer.status === 404 && !known) answer = await ask("search");
      // No collection: nothing was kept yet.
      if (answer.status === 404) return [];
      return pointsOf(expect(answer)).flatMap(({ score, payload }): VectorHit[] => (payload?.key ? [{ id: payload.key, score }] : []));
    },
    async delete(which) {
      const selected =
        "ids" in which ? { points: which.ids.map(uuidOf) } : { filter: { must: [{ key: "tags", match: { value: which.tag } }] } };
      const answer = await send("POST", "/points/delete?wait=true", selected);
      if (answer.status !== 404) expect(answer);
    },
    close: async () => {},
  };
}

/** `query` gives the points in an object, `search` gave them as a list. */
function pointsOf(result: unknown): readonly Point[] {
  const points = Array.isArray(result) ? result : (result as { points?: unknown } | null)?.points;
  return Array.isArray(points) ? (points as Point[]) : [];
}

/** The first 128 bits of SHA-256 in the form of a UUID (version 8: the maker's own). */
function uuidOf(id: string): string {
  const hex = hash("sha256", id);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
