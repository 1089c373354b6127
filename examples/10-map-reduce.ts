// A text that is too long for one call: in chunks, a few at once, and one answer from theirs. A person may say no before it costs anything.
import { agent, createRuntime, mapReduce } from "escapement";

const summary = mapReduce({
  name: "summary",
  map: agent({ name: "reader", instructions: "You note what a part says.", machine: "single" }),
  reduce: agent({ name: "writer", instructions: "You make one text of notes.", machine: "single" }),
  chunk: { tokens: 200, overlap: 20 },
  map_prompt: "Part {{index}} of {{total}}:\n{{chunk}}",
  width: 3,
  confirm_above_chunks: 2,
});

const runtime = await createRuntime({
  store: { path: ":memory:" },
  agents: [summary],
  offline: {
    script: [
      { as: "you note", say: "A year went by." },
      { as: "one text", say: "Many years went by, one like the other." },
    ],
  },
});
const diary = Array.from({ length: 40 }, (_, year) => `In the year ${1900 + year} the garden was green and the river was slow.`).join(
  "\n\n",
);
const run = await runtime.start({ agent: "summary", input: diary });
for await (const event of run) {
  if (event.type === "input.requested") {
    console.log(event.message);
    await run.answer({ id: event.id, approve: true });
  }
  if (event.type === "progress") console.log(`${event.message} ${event.done}/${event.total}`);
  if (event.type === "run.finished") console.log(`${event.output} (${event.calls} calls)`);
}
await runtime.close();
