/** `/livez`, `/readyz`, `/metrics`. */

import type { CacheCounts } from "../../protocol/cache-counts.ts";
import { errorBody } from "../../protocol/errors.ts";
import { errorReply, jsonReply } from "../reply.ts";
import type { Route } from "../route.ts";
import { dataHeaders } from "../security-headers.ts";
import { draining } from "../start.ts";

const sentences = {
  draining: "this server is going down",
  store: "the store does not take writes",
  storage_full: "the store's disk is full",
  limiter: "rate limits cannot be counted",
} as const;

export const healthRoutes: readonly Route[] = [
  { method: "GET", path: "/livez", access: "open", serve: () => jsonReply(200, { alive: true }) },
  {
    method: "GET",
    path: "/readyz",
    access: "open",
    serve: ({ context }) => {
      if (context.drain.draining.aborted) return errorReply(draining(context).body);
      const health = context.runtime.health();
      if (health.ready) return jsonReply(200, { ready: true });
      const reason = health.reason ?? "store";
      return errorReply(errorBody("unavailable", sentences[reason], { details: { reason } }));
    },
  },
  {
    method: "GET",
    path: "/metrics",
    access: "caller",
    serve: ({ context }) => {
      const ready = !context.drain.draining.aborted && context.runtime.health().ready;
      const counts = context.runtime.cacheCounts();
      const text = context.gauges.text({
        ...(counts && cacheMetrics(counts)),
        escapement_ready: ["Whether new runs are accepted.", ready ? 1 : 0],
        process_resident_memory_bytes: ["Resident memory size in bytes.", process.memoryUsage.rss()],
        process_start_time_seconds: ["Start time of the process since the epoch in seconds.", Math.round(performance.timeOrigin) / 1_000],
      });
      return new Response(text, { headers: { ...dataHeaders, "content-type": "text/plain; version=0.0.4; charset=utf-8" } });
    },
  },
];

const cacheMetrics = ({ exact, semantic, stale, missed, kept, shared, shadow, embedder }: CacheCounts) =>
  ({
    escapement_cache_exact_hits: ["Answers given from the exact cache.", exact],
    escapement_cache_semantic_hits: ["Answers given from the semantic cache.", semantic],
    escapement_cache_stale_hits: ["Old answers given because no model answered.", stale],
    escapement_cache_misses: ["Questions that were not in the caches.", missed],
    escapement_cache_kept: ["Answers kept.", kept],
    escapement_cache_shared_calls: ["Calls that shared another one's answer.", shared],
    escapement_cache_shadow_hits: ["What the semantic cache would have served in shadow mode.", shadow.hits],
    escapement_cache_shadow_right: ["Of those, the ones whose own answer agreed.", shadow.right],
    escapement_cache_shadow_wrong: ["Of those, the ones whose own answer did not: false hits.", shadow.wrong],
    escapement_embedding_tokens: ["Tokens that the embedder counted.", embedder.tokens],
    escapement_embedding_cost_microusd: ["What the embedder cost, which no run was charged.", embedder.cost_microusd],
    escapement_embedding_failures: ["Texts that could not be embedded or compared.", embedder.failures],
  }) as const;
