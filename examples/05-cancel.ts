// A cancel closes the provider's socket at once. What was streamed until then is there, and is what is charged.
import { agent, createRuntime } from "escapement";

const runtime = await createRuntime({
  store: { path: ":memory:" },
  agents: [agent({ name: "teller", machine: "single" })],
  offline: { script: [{ say: "Once upon a time there was a story that had no end, because nobody listened to all of it." }], pace_ms: 50 },
});
const run = await runtime.start({ agent: "teller", input: "Tell me a story." });

let heard = "";
for await (const event of run) {
  if (event.type !== "text.delta") continue;
  heard += event.text;
  if (heard.includes("story")) await run.cancel("that is enough");
}
const { status, error, output } = await run.result();
console.log(`${status}: ${error?.message}`);
console.log(`kept: ${JSON.stringify(output)}`);
await runtime.close();
