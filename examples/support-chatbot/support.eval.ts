/** `npm run escapement -- eval examples/support-chatbot/support.eval.ts --config examples/support-chatbot/escapement.config.ts` */
import { defineEval, regex } from "escapement/evals";

export default defineEval({
  agent: "support",
  dataset: "cases.jsonl",
  scorers: [regex(undefined, { name: "fact", min: 0.9 })], // each case's `expect` is a pattern
  budget_microusd: 2_000_000,
});
