import { createRuntime } from "escapement";

const runtime = await createRuntime({ store: { path: ":memory:" } });
const run = await runtime.start({ agent: "assistant", input: "What is 12.5% of 8460?" });

for await (const event of run) {
  if (event.type === "tool.started") console.log(`${event.tool}(${JSON.stringify(event.input)})`);
  if (event.type === "text.delta") process.stdout.write(event.text);
}

const { status, calls, cost_microusd } = await run.result();
console.log(`\n${status}: ${calls} calls, ${cost_microusd} micro-dollars`);
await runtime.close();
