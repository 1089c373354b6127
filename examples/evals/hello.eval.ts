/** An eval of the default agent on sums. Offline too: npm run escapement -- eval examples/evals/hello.eval.ts */
import { defineEval, regex } from "escapement/evals";

export default defineEval({
  agent: "assistant",
  dataset: "hello.jsonl",
  scorers: [
    regex(undefined, { name: "result", min: 0.9 }), // each case's `expect` is a pattern
    regex("(?i)as an ai", { name: "no-talk", absent: true, min: 1 }),
  ],
  budget_microusd: 50_000,
});
