/** The cost table of the README: the same words as a pipeline, and asked of one strong model in one conversation. */
import { createRuntime } from "escapement";
import config from "./escapement.config.ts";

const runtime = await createRuntime({ ...config, store: { path: ":memory:" } });
const voice = "calm and plain";
const topic = "loose leaf tea for beginners";
const run = await runtime.start({ agent: "pipeline", input: { topic, keyword: "loose leaf tea", voice } });
for await (const event of run) if (event.type === "input.requested") await run.answer({ id: event.id, approve: true });
const ours = await run.result();

const questions = [
  `Outline it: ${topic}.`,
  `Write it, ${voice}.`,
  "Edit it.",
  "Fit it to the search word: loose leaf tea.",
  "Find a title.",
];
const naive = { calls: 0, input: 0, output: 0, cost: 0 };
for (const question of questions) {
  const { calls, usage, cost_microusd } = await (await runtime.start({ agent: "naive", input: question, session: "all" })).result();
  naive.calls += calls;
  naive.input += usage.input_tokens;
  naive.output += usage.output_tokens;
  naive.cost += cost_microusd;
}
await runtime.close();

const row = (name: string, calls: number, input: number, output: number, cost: number): string =>
  `| ${name} | ${calls} | ${input.toLocaleString("en")} | ${output.toLocaleString("en")} | ${Math.round(cost).toLocaleString("en")} |`;
console.log("| design | calls | input tokens | output tokens | micro-dollars |\n|---|---|---|---|---|");
console.log(row("pipeline", ours.calls, ours.usage.input_tokens, ours.usage.output_tokens, ours.cost_microusd));
console.log(row("one strong model, one conversation", naive.calls, naive.input, naive.output, naive.cost));
