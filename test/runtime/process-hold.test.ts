/** What keeps a process alive: programs in a process of their own, with nothing else open while their run waits. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, onTestFinished, test } from "vitest";
import { chat, chatError, chats } from "../../src/testing/fault-chat.ts";
import { type FaultHandler, startFaultServer } from "../../src/testing/fault-server.ts";
import { endAll, newFolder, run, serve, start } from "../whole-path/served.ts";
import { within } from "../whole-path/until.ts";

afterEach(endAll);

const index = new URL("../../src/index.ts", import.meta.url).href;
const zod = import.meta.resolve("zod");

/** A folder with a configuration whose one agent is answered by `handler`, and what starts a program in it. */
async function world(handler: FaultHandler) {
  const provider = await startFaultServer(handler);
  onTestFinished(() => provider.close());
  const cwd = newFolder();
  writeFileSync(join(cwd, "package.json"), '{"type":"module"}');
  writeFileSync(
    join(cwd, "escapement.config.ts"),
    `import { agent, defineConfig, openai, tool } from ${JSON.stringify(index)};
    import { z } from ${JSON.stringify(zod)};
    const send = tool({ name: "send", description: "Sends.", input: z.object({}), class: "pure", approval: true, run: async () => "sent" });
    export default defineConfig({
      store: { path: ":memory:" },
      providers: { fault: openai({ baseURL: "${provider.url}/v1", apiKey: "k" }) },
      tiers: { strong: { provider: "fault", model: "m", price: { input_usd_per_mtok: 1, output_usd_per_mtok: 1 } } },
      tools: { outside: [send] },
      // More than the 5 s after which a wait leaves memory.
      agents: ["short", "long"].map((name) =>
        agent({ name, instructions: "Answer.", tiers: ["strong"], tools: ["outside"], backoff: name === "long" ? { first_ms: 5_500 } : {} })),
    });`,
  );
  const program = (source: string) => {
    writeFileSync(
      join(cwd, "program.ts"),
      `import { createRuntime } from ${JSON.stringify(index)};
      import config from "./escapement.config.ts";
      const runtime = await createRuntime(config);
      ${source}`,
    );
    return start({ cwd, args: [], program: [process.execPath, join(cwd, "program.ts")] });
  };
  return { cwd, provider, program };
}

/** Runs a program to its end. */
async function ended(started: ReturnType<typeof start>): Promise<{ code: number | null; stdout: string }> {
  const { code } = await within("the end of the program", started.exited);
  expect(started.stderr()).toBe("");
  return { code, stdout: started.stdout() };
}

const failsOnce = () => chats([chatError(503, "not now"), { text: "Here I am." }]);
const asksFirst = chat({ tools: [{ name: "send", input: {} }] });

test("a run of the command line is there after the wait before a retry", async () => {
  const { cwd } = await world(failsOnce());
  const { code, stdout } = await run({ cwd, args: ["run", "short", "hello"] });
  expect({ code, stdout }).toEqual({ code: 0, stdout: "Here I am.\n" });
});

test("a run of the command line that asks a person, with nobody there, says how to answer, and is kept for that", async () => {
  const { cwd } = await world(chats([{ tools: [{ name: "send", input: {} }] }, { text: "It is sent." }]));
  writeFileSync(join(cwd, "escapement.config.ts"), readFileSync(join(cwd, "escapement.config.ts"), "utf8").replace(/store: .*/, ""));
  const { code, stderr } = await run({ cwd, args: ["run", "short", "hello"] });
  expect(code).toBe(1);
  const [, id, question] = /`escapement answer (\S+) (\S+) --approve \(or --deny\)`/.exec(stderr) ?? [];
  const { url } = await serve({ cwd });
  const answered = await run({ cwd, args: ["answer", `${id}`, `${question}`, "--approve", "--url", url] });
  expect(answered.code).toBe(0);
  const { stdout } = await run({ cwd, args: ["tail", `${id}`, "--url", url] });
  expect(stdout).toBe("It is sent.\n");
});

test("who reads a run is told its end, also where the wait has left memory", async () => {
  const { program } = await world(failsOnce());
  const { code, stdout } = await ended(
    program(`const run = await runtime.start({ agent: "long", input: "hello" });
    for await (const event of run) if (event.type === "run.finished") console.log(event.output);
    await runtime.close();`),
  );
  expect({ code, stdout }).toEqual({ code: 0, stdout: "Here I am.\n" });
});

test("a run that nobody reads is not left in the wait before a retry", async () => {
  const { program, provider } = await world(failsOnce());
  const { code } = await ended(program('await runtime.start({ agent: "short", input: "hello" });'));
  expect(code).toBe(0);
  expect(provider.book.entries).toHaveLength(2);
});

test("a reader of a run that waits for a person keeps the process", async () => {
  const { program } = await world(asksFirst);
  const { code, stdout } = await ended(
    program(`const run = await runtime.start({ agent: "short", input: "hello" });
    for await (const event of run) {
      if (event.type === "input.requested") setTimeout(() => void run.cancel(), 1_000).unref();
      if (event.type === "run.finished") console.log(event.status);
    }
    await runtime.close();`),
  );
  expect({ code, stdout }).toEqual({ code: 0, stdout: "cancelled\n" });
});

test("without a reader, a run that waits for a person does not keep the process", async () => {
  const { program } = await world(asksFirst);
  const { code } = await ended(
    program(`const run = await runtime.start({ agent: "short", input: "hello" });
    const events = run.events();
    for await (const event of events) if (event.type === "input.requested") break;`),
  );
  expect(code).toBe(0);
});

test("a runtime that was closed keeps no process, whatever is still read", async () => {
  const { program } = await world(asksFirst);
  const { code, stdout } = await ended(
    program(`const run = await runtime.start({ agent: "short", input: "hello" });
    const asked = Promise.withResolvers();
    void (async () => {
      for await (const event of run) if (event.type === "input.requested") asked.resolve();
    })();
    await asked.promise;
    await runtime.close();
    console.log("closed");`),
  );
  expect({ code, stdout }).toEqual({ code: 0, stdout: "closed\n" });
});
