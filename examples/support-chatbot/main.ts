/** Four questions, one of them twice: `npm run example examples/support-chatbot/main.ts`. */
import { createRuntime } from "escapement";
import config from "./escapement.config.ts";
import { faq } from "./faq.ts";

const runtime = await createRuntime({ ...config, store: { path: ":memory:" } });
for (const id of ["free", "sencha", "opened", "free"]) {
  const run = await runtime.start({ agent: "support", input: faq.find((line) => line.id === id)?.ask ?? "" });
  for await (const event of run)
    if (event.type === "call.finished")
      console.log(
        `  ${event.actor}: ${event.model}${event.cached ? " (cached)" : ""}, ${event.usage.input_tokens} + ${event.usage.output_tokens} tokens, ${event.cost_microusd} micro-dollars`,
      );
  const { status, output, tier, cost_microusd } = await run.result();
  console.log(`${status} by ${tier}: ${output} (${cost_microusd} micro-dollars)`);
}
await runtime.close();
