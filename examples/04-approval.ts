// A tool that needs a person's yes. The yes is for these arguments alone, and is used up by this one use.
import { agent, createRuntime, tool } from "escapement";
import { z } from "zod";

const refund = tool({
  name: "refund",
  description: "Pays an order back.",
  input: z.object({ order: z.string(), euros: z.number() }),
  class: "once", // never done a second time by itself
  approval: true,
  run: ({ order, euros }) => `paid ${euros} euros back for ${order}`,
});

const runtime = await createRuntime({
  store: { path: ":memory:" },
  tools: { money: [refund] },
  agents: [agent({ name: "clerk", instructions: "You help customers.", tools: ["money"] })],
  offline: {
    script: [
      { when: "broken", use: { tool: "refund", input: { order: "A-17", euros: 40 } } },
      { after: "refund", say: "The shop {{result}}." },
    ],
  },
});
const run = await runtime.start({ agent: "clerk", input: "My order A-17 came broken." });
for await (const event of run) {
  if (event.type === "input.requested") {
    console.log(`${event.kind}: ${event.tool}(${JSON.stringify(event.input)})?`);
    await run.answer({ id: event.id, approve: true }); // this may also come days later, from another process
  }
  if (event.type === "run.finished") console.log(event.output);
}
await runtime.close();
