/** `/livez`, `/readyz`, `/metrics`. */
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
      const text = context.gauges.text({
        escapement_ready: ["Whether new runs are accepted.", ready ? 1 : 0],
        process_resident_memory_bytes: ["Resident memory size in bytes.", process.memoryUsage.rss()],
        process_start_time_seconds: ["Start time of the process since the epoch in seconds.", Math.round(performance.timeOrigin) / 1_000],
      });
      return new Response(text, { headers: { ...dataHeaders, "content-type": "text/plain; version=0.0.4; charset=utf-8" } });
    },
  },
];
