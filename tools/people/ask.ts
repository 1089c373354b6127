/** `ask_person`: the model asks whoever started the run, and goes on with the answer. The run waits for it, out of memory. */
import { z } from "zod";
import { type Tool, tool } from "../../src/runtime/tool.ts";

const asked: Tool = tool({
  name: "ask_person",
  description:
    "Asks the person for something that only they know or may decide. Use it when the answer changes what you do; never for what you can find out yourself.",
  input: z.object({ question: z.string().min(1).max(2_000).describe("One question, complete in itself.") }),
  class: "pure",
  // The run's machine asks; nothing is performed here.
  run: () => null,
});

export const askPerson: Tool = { ...asked, isQuestion: true };
