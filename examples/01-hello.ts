// A runtime, a run, its result. Without a provider's key the answer is scripted, and says so.
import { createRuntime } from "escapement";

const runtime = await createRuntime({ store: { path: ":memory:" } });
const run = await runtime.start({ agent: "assistant", input: "What is 12.5% of 8460?" });

const { output, status, calls, tool_calls, cost_microusd } = await run.result();
console.log(output);
console.log(`${status}: ${calls} calls, ${tool_calls} use of a tool, ${cost_microusd} micro-dollars`);
await runtime.close();
