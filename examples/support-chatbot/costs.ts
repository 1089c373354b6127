/** The cost table of the README: every question once, each easy one a second time, by both designs. */
import { createRuntime } from "escapement";
import config from "./escapement.config.ts";
import { faq } from "./faq.ts";

const asked = [...faq, ...faq.filter(({ hard }) => !hard)];
const runtime = await createRuntime({ ...config, store: { path: ":memory:" } });
console.log(`| ${asked.length} questions | calls | input tokens | output tokens | micro-dollars |\n|---|---|---|---|---|`);
for (const [agent, name] of [
  ["support", "cache, classifier, two tiers"],
  ["naive", "the strong model, each time"],
] as const) {
  const sum = { calls: 0, input: 0, output: 0, cost: 0 };
  for (const { ask } of asked) {
    const { calls, usage, cost_microusd } = await (await runtime.start({ agent, input: ask })).result();
    sum.calls += calls;
    sum.input += usage.input_tokens;
    sum.output += usage.output_tokens;
    sum.cost += cost_microusd;
  }
  const figures = [sum.calls, sum.input, sum.output, Math.round(sum.cost)].map((figure) => figure.toLocaleString("en"));
  console.log(`| ${name} | ${figures.join(" | ")} |`);
}
await runtime.close();
