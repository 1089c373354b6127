/**
 * The configuration of the servers in these tests, as a user would write one. Where the provider listens and where the tools keep their
 * book comes from the environment, which each test sets for its child.
 */
import { z } from "zod";
import { defineConfig, tool } from "../../src/index.ts";
import type { ToolContext } from "../../src/runtime/tool.ts";
import { enter } from "./tool-book.ts";

const { WHOLE_PATH_PROVIDER = "", WHOLE_PATH_BOOK = "" } = process.env;

const text = z.strictObject({ text: z.string() });
type Context = Pick<ToolContext, "run" | "key" | "signal">;
const line = (name: string, { run, key }: Context, said: string) => ({ tool: name, run, key, text: said });

/** Works until it is told to stop, as a download or a long query would. */
async function workUntilStopped(name: string, said: string, context: Context): Promise<never> {
  enter(WHOLE_PATH_BOOK, { ...line(name, context, said), what: "begun" });
  await new Promise<void>((resolve) => context.signal.addEventListener("abort", () => resolve(), { once: true }));
  enter(WHOLE_PATH_BOOK, { ...line(name, context, said), what: "aborted" });
  throw new Error("stopped");
}

const note = tool({
  name: "note",
  description: "Notes a text.",
  class: "idempotent",
  input: text,
  run: async ({ text: said }, context) => {
    enter(WHOLE_PATH_BOOK, { ...line("note", context, said), what: "begun" });
    await new Promise((resolve) => setImmediate(resolve));
    enter(WHOLE_PATH_BOOK, { ...line("note", context, said), what: "over" });
    return `noted ${said}`;
  },
});
const long = tool({
  name: "long",
  description: "Takes its time.",
  class: "pure",
  input: text,
  run: ({ text: said }, context) => workUntilStopped("long", said, context),
});
const tardy = tool({
  name: "tardy",
  description: "Takes longer than it may.",
  class: "pure",
  timeoutMs: 150,
  input: text,
  run: ({ text: said }, context) => workUntilStopped("tardy", said, context),
});
const wire = tool({
  name: "wire",
  description: "Sends money, in a time that may not suffice.",
  class: "once",
  timeoutMs: 150,
  input: text,
  run: ({ text: said }, context) => workUntilStopped("wire", said, context),
});
const pay = tool({
  name: "pay",
  description: "Pays, slowly.",
  class: "once",
  input: text,
  run: ({ text: said }, context) => workUntilStopped("pay", said, context),
});
const deploy = tool({
  name: "deploy",
  description: "Deploys, once a person has agreed.",
  class: "once",
  approval: true,
  input: text,
  run: ({ text: said }, context) => {
    enter(WHOLE_PATH_BOOK, { ...line("deploy", context, said), what: "begun" });
    enter(WHOLE_PATH_BOOK, { ...line("deploy", context, said), what: "over" });
    return `deployed ${said}`;
  },
});

const price = { input_usd_per_mtok: 0.4, output_usd_per_mtok: 1.6 };
/** A model a fault, so that the breaker of one is not opened by another. */
const faulty = (model: string) => ({ provider: "fault", model, price, context_tokens: 1_000_000, max_output_tokens: 200 });

export const config = defineConfig({
  providers: { fault: { preset: "openai", wire: "chat", base_url: `${WHOLE_PATH_PROVIDER}/v1` } },
  tiers: {
    main: faulty("main"),
    limited: faulty("limited"),
    failing: faulty("failing"),
    second: faulty("second"),
    "cut-end": faulty("cut-end"),
    "cut-reset": faulty("cut-reset"),
    "cut-error": faulty("cut-error"),
    "cut-twice": faulty("cut-twice"),
  },
  tools: { hands: [note, long, tardy, wire, pay, deploy] },
  agents: [
    { name: "worker", tiers: ["main"], tools: ["hands"], limits: { max_steps: 6 } },
    { name: "single", tiers: ["main"], machine: "single" },
    { name: "typed", tiers: ["main"], machine: "single", input: z.strictObject({ question: z.string(), count: z.number().int() }) },
    { name: "asking", tiers: ["main"], machine: "single", on_budget: "ask" },
    { name: "limited", tiers: ["limited"], machine: "single" },
    { name: "falling", tiers: ["failing", "second"], machine: "single" },
    ...["cut-end", "cut-reset", "cut-error", "cut-twice"].map((name) => ({ name, tiers: [name], machine: "single" })),
  ],
  budgets: { system: { per_hour_microusd: 1_000_000_000 } },
  log: { level: "warn" },
});

export default config;
