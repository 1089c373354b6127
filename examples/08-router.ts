// A small model sorts, one of several agents answers. A run that names its task needs no sorting.
import { agent, createRuntime, router } from "escapement";

const clerk = (name: string, description: string) =>
  agent({ name, description, instructions: `You answer questions about ${name}.`, machine: "single" });

const runtime = await createRuntime({
  store: { path: ":memory:" },
  tiers: { small: { provider: "openai", model: "gpt-6-luna" } },
  agents: [
    router({
      name: "desk",
      routes: [clerk("orders", "orders and delivery"), clerk("repairs", "things that are broken")],
      classifier: { tier: "small" },
      default: "orders",
    }),
  ],
  offline: {
    script: [
      { as: "you sort questions", when: "broken", say: "repairs" },
      { as: "you sort questions", say: "orders" },
      { as: "about repairs", say: "Send it in, we mend it." },
      { as: "about orders", say: "It is on its way." },
    ],
  },
});
const questions = [
  { input: "My kettle is broken." },
  { input: "Where is my parcel?" },
  { input: "And now?", metadata: { task: "repairs" } },
];
for (const question of questions) {
  const run = await runtime.start({ agent: "desk", ...question });
  const { output, calls } = await run.result();
  console.log(`${question.input} → ${output} (${calls} ${calls === 1 ? "call" : "calls"})`);
}
await runtime.close();
