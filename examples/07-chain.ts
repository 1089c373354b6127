// Stages one after another, each its own agent: a person is asked before the last one.
import { agent, chain, createRuntime } from "escapement";

const writer = (name: string, instructions: string) => agent({ name, instructions, machine: "single" });
const article = chain({
  name: "article",
  stages: [
    writer("outline", "You outline articles."),
    { agent: writer("draft", "You write articles."), prompt: "Write about {{input}} along these lines:\n{{outline}}" },
    { agent: writer("title", "You find titles."), prompt: "A title for: {{draft}}", review: true },
  ],
});

const runtime = await createRuntime({
  store: { path: ":memory:" },
  agents: [article],
  offline: {
    script: [
      { as: "outline", say: "Leaf, water, patience" },
      { as: "write", when: "patience", say: "Good tea needs little: a leaf, hot water, and three minutes." },
      { as: "titles", say: "Three Minutes" },
    ],
  },
});
const run = await runtime.start({ agent: "article", input: "tea" });
for await (const event of run) {
  if (event.type === "progress") console.log(`${event.done}/${event.total} ${event.message}`);
  if (event.type === "input.requested") {
    console.log(event.message, JSON.stringify(event.input));
    await run.answer({ id: event.id, approve: true }); // a no with a reason has the stage before done again
  }
  if (event.type === "run.finished") console.log(`${event.output} (${event.calls} calls)`);
}
await runtime.close();
