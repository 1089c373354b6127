/** Brief → outline → draft → edit → search words → a person → title. Only the draft, where quality is made, is written by the strong model. */
import { agent, chain } from "escapement";
import { z } from "zod";

const single = (name: string, instructions: string, max_output_tokens: number) =>
  agent({ name, instructions, machine: "single", tiers: [name === "draft" ? "strong" : "cheap"], limits: { max_output_tokens } });

const seo = agent({
  name: "seo",
  instructions:
    "You fit articles to a search word: measure its density first, then bring it to 1 to 3 percent. Answer with the article alone.",
  tiers: ["cheap"],
  tools: ["seo"],
  limits: { max_steps: 3, max_output_tokens: 1_200 },
});

export const pipeline = chain({
  name: "pipeline",
  input: z.object({ topic: z.string(), keyword: z.string(), voice: z.string() }),
  stages: [
    { agent: single("outline", "You outline articles in five lines.", 300), prompt: "Topic: {{topic}}\nSearch word: {{keyword}}" },
    { agent: single("draft", "You write articles.", 1_200), prompt: "Write on {{topic}}, {{voice}}, along these lines:\n{{outline}}" },
    { agent: single("edit", "You edit: shorter, clearer, in the same voice.", 1_200), prompt: "Voice: {{voice}}\n\n{{draft}}" },
    { agent: seo, prompt: "Search word: {{keyword}}\n\n{{edit}}" },
    { agent: single("title", "You find a title of at most ten words.", 60), prompt: "{{seo}}", review: true },
  ],
  limits: { max_cost_microusd: 100_000, deadline_ms: 3 * 24 * 3_600_000 }, // a person may take days
});
