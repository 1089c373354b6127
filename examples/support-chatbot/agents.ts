/** Cache → a classifier that picks the tier → the answer → a check that every number is the handbook's. Nothing is shown before the check. */
import { agent } from "escapement";
import { fromHandbook, handbook } from "./handbook.ts";

const instructions = `You answer customers of a tea shop from the handbook alone, in at most two sentences.\n\n${handbook}`;

export const support = agent({
  name: "support",
  instructions,
  machine: "single",
  tiers: ["cheap", "strong"],
  route: {
    classifier: {
      tier: "cheap",
      labels: {
        easy: { description: "one fact of the handbook answers it", tier: "cheap" },
        hard: { description: "several rules meet, or the customer is angry", tier: "strong" },
      },
    },
    default: "strong",
  },
  cache: { exact: { ttl_ms: 24 * 3_600_000 }, scope: "tenant", tags: ["handbook"], single_flight: true },
  validators: [fromHandbook],
  stream: "checked",
});
