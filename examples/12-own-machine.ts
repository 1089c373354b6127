// A machine of your own decides what is asked for and when; the runtime does it, under the same supervisor, journal and budget.
import { agent, createRuntime } from "escapement";
import { type AskOutput, ask } from "escapement/machines/work";
import { assign, setup } from "xstate";

const greet = setup({
  types: { context: {} as { name: unknown }, output: {} as { status: "done"; text: string } },
  actors: { ask },
  actions: { keep: assign({ name: (_, { output }: { output: AskOutput }) => output.value }) },
}).createMachine({
  id: "greet",
  version: "1", // runs that live are pinned to it
  context: { name: "stranger" },
  output: ({ context }) => ({ status: "done", text: `Hello, ${context.name}!` }),
  on: { cancel: ".over" },
  initial: "asking",
  states: {
    asking: {
      invoke: {
        src: "ask",
        input: { kind: "question", message: "What is your name?", expiresMs: 60_000 },
        onDone: { target: "over", actions: { type: "keep", params: ({ event }) => event } },
        onError: "over", // nobody answered in time
      },
    },
    over: { type: "final" },
  },
});

const agents = [agent({ name: "host", machine: "greet" })];
const runtime = await createRuntime({ store: { path: ":memory:" }, machines: { greet }, agents });
const run = await runtime.start({ agent: "host", input: "begin" });
for await (const event of run) {
  if (event.type === "input.requested") await run.answer({ id: event.id, value: "Ann" });
  if (event.type === "input.requested") console.log(event.message);
  if (event.type === "run.finished") console.log(event.output);
}
await runtime.close();
