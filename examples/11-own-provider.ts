// A provider of your own is one function that streams one answer and says how it ended. This one is no model: it says things backwards.
import { agent, createRuntime } from "escapement";
import type { Provider } from "escapement/providers/provider";

const backwards: Provider = {
  name: "backwards",
  endpoint: "here",
  selfHosted: true, // may be given sensitive runs
  tokenizer: { encoding: "bytes", margin: 0 }, // how input is counted before a call
  stream({ model, messages }, sink) {
    const asked = String(messages.at(-1)?.content);
    const words = asked.split(" ").reverse();
    const usage = { inputTokens: asked.length, cachedTokens: 0, cacheWriteTokens: 0, outputTokens: words.length };
    const timer = setTimeout(() => {
      for (const word of words) sink({ type: "text", text: `${word} ` });
      sink({ type: "end", finish: "stop", model, usage });
    });
    return () => clearTimeout(timer); // a cancel; nothing may come after it
  },
  close: async () => {},
};

const runtime = await createRuntime({
  store: { path: ":memory:" },
  providers: { backwards },
  tiers: { main: { provider: "backwards", model: "words", price: { input_usd_per_mtok: 0, output_usd_per_mtok: 1 } } },
  agents: [agent({ name: "mirror", machine: "single" })],
});
const run = await runtime.start({ agent: "mirror", input: "well done all is" });
const { output, usage, cost_microusd } = await run.result();
console.log(`${output} (${usage.output_tokens} tokens, ${cost_microusd} micro-dollars)`);
await runtime.close();
