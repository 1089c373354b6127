// A run is an iterable of events: facts as they are written down, and text as it comes.
import { createRuntime } from "escapement";

const runtime = await createRuntime({ store: { path: ":memory:" } });
const run = await runtime.start({ agent: "assistant", input: "What is 17 times 23?" });

for await (const event of run) {
  if (event.type === "tool.started") console.log(`${event.tool}(${JSON.stringify(event.input)})`);
  if (event.type === "text.delta") process.stdout.write(event.text);
  if (event.type === "run.finished") console.log(`\n${event.status} after ${event.steps} steps`);
}
await runtime.close();
