/** `npm run escapement -- eval examples/content-pipeline/pipeline.eval.ts --config examples/content-pipeline/escapement.config.ts` */
import { defineEval, regex } from "escapement/evals";

export default defineEval({
  agent: "pipeline",
  dataset: "cases.jsonl",
  scorers: [regex(undefined, { name: "short-title", min: 0.9 })], // each case's `expect` is a pattern
  approve: true, // the reviewer's yes
  budget_microusd: 3_000_000,
});
