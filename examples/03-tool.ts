// A tool of your own: a name and a sentence for the model, a zod schema, a class, a function.
import { agent, createRuntime, tool } from "escapement";
import { z } from "zod";

const stock = tool({
  name: "stock",
  description: "How many pieces of an article are in stock.",
  input: z.object({ article: z.string() }),
  class: "pure", // may be done again after a crash
  run: ({ article }) => ({ article, pieces: article === "kettle" ? 12 : 0 }),
});

const runtime = await createRuntime({
  store: { path: ":memory:" },
  tools: { shop: [stock] },
  agents: [agent({ name: "clerk", instructions: "You tell customers what is there.", tools: ["shop"] })],
  offline: {
    script: [
      { when: "kettle", use: { tool: "stock", input: { article: "kettle" } } },
      { after: "stock", say: "In stock: {{result}}" },
    ],
  },
});
const run = await runtime.start({ agent: "clerk", input: "Do you have the kettle?" });
for await (const event of run) {
  if (event.type === "tool.returned") console.log(`${event.tool} returned ${JSON.stringify(event.output)}`);
  if (event.type === "run.finished") console.log(`${event.output} (${event.tier})`);
}
await runtime.close();
