/**
 * Vectors in this process: compared one by one, which for the thousand vectors of a partition takes less than a millisecond. No
 * index of a library is as small, and none is needed before a partition has a hundred thousand.
 */
import { LRUCache } from "lru-cache";
import { cosine } from "../embeddings/embedder.ts";
import type { VectorItem, Vectors } from "./vectors.ts";

export type MemoryVectorsOptions = {
  /** What was not found for longest goes first; 10,000 (20 MB with 512 dimensions). */
  readonly maxVectors?: number;
};

export function memoryVectors({ maxVectors = 10_000 }: MemoryVectorsOptions = {}): Vectors {
  const partitions = new Map<string, Map<string, VectorItem>>();
  const leave = ({ partition, id }: VectorItem): void => {
    const items = partitions.get(partition);
    items?.delete(id);
    if (items?.size === 0) partitions.delete(partition);
  };
  const items = new LRUCache<string, VectorItem>({ max: maxVectors, dispose: leave });
  return {
    local: true,
    async upsert(added) {
      for (const item of added) {
        items.set(item.id, item);
        let own = partitions.get(item.partition);
        if (!own) {
          own = new Map();
          partitions.set(item.partition, own);
        }
        own.set(item.id, item);
      }
    },
    async search({ partition, vector, limit }) {
      const found = [...(partitions.get(partition)?.values() ?? [])]
        .map((item) => ({ id: item.id, score: cosine(vector, item.vector) }))
        .sort((a, b) => b.score - a.score)
        .slice(0, limit);
      for (const { id } of found) items.get(id);
      return found;
    },
    async delete(which) {
      if ("ids" in which) for (const id of which.ids) items.delete(id);
      else for (const [id, item] of [...items]) if (item.tags?.includes(which.tag)) items.delete(id);
    },
    async close() {
      items.clear();
    },
  };
}
