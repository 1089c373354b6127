/** One article: `npm run example examples/content-pipeline/main.ts`. The person's yes comes from here; elsewhere it may come days later. */
import { createRuntime } from "escapement";
import config from "./escapement.config.ts";
import { density } from "./keyword-density.ts";

const runtime = await createRuntime({ ...config, store: { path: ":memory:" } });
const input = { topic: "loose leaf tea for beginners", keyword: "loose leaf tea", voice: "calm and plain" };
const run = await runtime.start({ agent: "pipeline", input });
for await (const event of run) {
  if (event.type === "progress") console.log(`${event.done}/${event.total} ${event.message}`);
  if (event.type === "tool.returned") console.log(`    ${event.tool}: ${JSON.stringify(event.output)}`);
  if (event.type === "call.finished") console.log(`    ${event.model}: ${event.cost_microusd} micro-dollars`);
  if (event.type === "input.requested") {
    const { output } = event.input as { output: string };
    console.log(`${event.message} (${JSON.stringify(density(output, input.keyword))})`);
    await run.answer({ id: event.id, approve: true });
  }
}
const { status, output, calls, cost_microusd } = await run.result();
console.log(`${status}: "${output}", ${calls} calls, ${cost_microusd} micro-dollars`);
await runtime.close();
