/** `escapement`: the command line. One file a command; this one owns the words of the help and how errors are told. */
import { enableCompileCache } from "node:module";
import { Command } from "commander";
import { failureWords } from "./failure.ts";

// What a command imports is compiled (and stripped of types) once a machine, not once a start.
enableCompileCache();

// Whoever reads the output may leave (`| head`): what is under way goes on to its end all the same.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

const program = new Command("escapement")
  .description("Agents as state machines: supervised, journaled, with a budget.")
  .version("0.1.0")
  .showHelpAfterError("(escapement --help shows what there is)");

const server = ["--url <url>", "a running server", process.env.ESCAPEMENT_URL || `http://127.0.0.1:${process.env.PORT || 8787}`] as const;

program
  .command("serve")
  .description("serve the page, HTTP and WebSocket; goes on with runs that were left behind")
  .option("--config <file>", "configuration file (default: ESCAPEMENT_CONFIG, else escapement.config.{ts,js,json})")
  .addHelpText(
    "after",
    "\nHOST and PORT choose the address (127.0.0.1:8787), ESCAPEMENT_DATA the data folder (.escapement).\nWithout a provider's key the answers are scripted: set OPENAI_API_KEY, ANTHROPIC_API_KEY, …",
  )
  .action(async (options) => (await import("./serve.ts")).serve(options));

program
  .command("run")
  .description("run an agent here, in this process, and show its progress")
  .argument("<agent>", "name of an agent, e.g. assistant")
  .argument("<input>", "what to ask; JSON where the agent's schema asks for an object; - reads standard input")
  .option("--config <file>", "configuration file")
  .option("--json", "print each event as a line of JSON")
  .option("--quiet", "print the answer alone")
  .action(async (agent, input, options) => (await import("./run.ts")).run(agent, input, options));

program
  .command("cancel")
  .description("cancel a run of a running server")
  .argument("<run>", "id of the run")
  .option("--reason <text>", "why")
  .option(...server)
  .action(async (run, options) => (await import("./remote.ts")).cancel(run, options));

program
  .command("answer")
  .description("answer what a run of a running server asks a person")
  .argument("<run>", "id of the run")
  .argument("<question>", "id of the question, e.g. q3")
  .option("--approve", "yes")
  .option("--deny", "no")
  .option("--reason <text>", "why")
  .option("--value <json>", "a value; what is no JSON is text")
  .option("--amount <dollars>", "this much more for the run's budget")
  .option(...server)
  .action(async (run, question, options) => (await import("./answer.ts")).answer(run, question, options));

program
  .command("tail")
  .description("follow a run of a running server, from its start")
  .argument("<run>", "id of the run")
  .option("--json", "print each event as a line of JSON")
  .option("--after <cursor>", "go on from here, e.g. 12 or 12/c3=140")
  .option(...server)
  .action(async (run, options) => (await import("./remote.ts")).tail(run, options));

program
  .command("replay")
  .description("replay a run from the journal on this machine and check that it goes the same way; calls nothing")
  .argument("<run>", "id of the run")
  .option("--config <file>", "configuration file")
  .option("--json", "print each turn as a line of JSON")
  .action(async (run, options) => (await import("./replay.ts")).replayRun(run, options));

program
  .command("cache")
  .description("cached answers of a running server")
  .command("purge")
  .description("purge those that fit everything that is said; they are given no more, by any process within a second")
  .option("--tag <tag>", "made with this tag")
  .option("--key <key>", "one answer, by the id that the look-up of a run's journal shows")
  .option("--agent <agent>", "of this agent")
  .option("--version <version>", "of this cache version")
  .option("--all", "all of them")
  .option(...server)
  .action(async (options) => (await import("./cache.ts")).purge(options));

program
  .command("knowledge")
  .description("folders of documents that agents search")
  .command("index")
  .description("index what is new or changed in a folder of the configuration, here, and purge the answers made from what changed")
  .argument("<folder>", "the folder, as it is configured")
  .option("--config <file>", "configuration file")
  .option("--json", "print the report as JSON")
  .action(async (folder, options) => (await import("./knowledge.ts")).indexFolder(folder, options));

program
  .command("decisions")
  .description("every yes and no about a run on this machine, with its reason and its numbers")
  .argument("<run>", "id of the run")
  .option("--config <file>", "configuration file")
  .option("--json", "print each decision as a line of JSON")
  .action(async (run, options) => (await import("./decisions.ts")).decisions(run, options));

program
  .command("verify")
  .description("walk every path of an agent's machine and print its worst case in calls, tokens, money and time")
  .argument("[agent]", "one agent; all without it")
  .option("--config <file>", "configuration file")
  .action(async (agent, options) => (await import("./verify.ts")).verify(agent, options));

program
  .command("prompts")
  .description("what prompts are made of")
  .command("audit")
  .description(
    "tokens and money of each part of the prompts by day, and tools and examples that were never used; from the runs on this machine",
  )
  .argument("[agent]", "one agent; all without it")
  .option("--days <n>", "the last days, today included", "7")
  .option("--config <file>", "configuration file")
  .option("--json", "print it as JSON")
  .action(async (agent, options) => (await import("./prompts.ts")).audit(agent, options));

program
  .command("eval")
  .description("run an eval here, in memory, and compare its scores with its baseline; 1: a score fell or is too low, 2: the eval is wrong")
  .argument("<file>", "an eval file, e.g. hello.eval.ts")
  .option("--config <file>", "configuration file")
  .option("--matrix <tiers>", "judge the agent on each of these tiers alone, e.g. strong,cheap")
  .option("--baseline <file>", "the baseline (default: beside the eval, hello.baseline.json)")
  .option("--update-baseline", "keep these scores as the baseline")
  .option("--json", "print the report as JSON, with each answer and its scores")
  .action(async (file, options) => (await import("./eval.ts")).evalFile(file, options));

program
  .command("usage")
  .description("what calls have cost and how they went, in groups; from the runs that are kept here, while they are at work or not")
  .option("--by <what>", "feature, user, key, model, provider, agent, prompt, tier, hour or day", "model")
  .option("--from <time>", "from this time or day (UTC) on, e.g. 2026-11-01 or 2026-11-01T08:00:00Z (default: a day before --to)")
  .option("--to <time>", "before this time or day (default: now)")
  .option("--config <file>", "configuration file")
  .option("--json", "print it as JSON")
  .action(async (options) => (await import("./usage.ts")).usage(options));

const budgets = program
  .command("budgets")
  .description("the budgets of users, keys, features and the system: how they stand, and their limits");

budgets
  .command("list", { isDefault: true })
  .description("limit, what is spent and what is held of each, in the window of time that holds now")
  .option("--config <file>", "configuration file")
  .option("--json", "print each budget as a line of JSON")
  .action(async (options) => (await import("./budgets.ts")).list(options));

budgets
  .command("set")
  .description("set limits, from the next call on, also of running processes (within seconds); replaces what was set before")
  .argument("<level>", "user, key, feature or system")
  .argument("<subject>", "the user, key or feature; - for the system and for runs without a user")
  .option("--money <usd>", "dollars")
  .option("--tokens <n>", "tokens, in and out")
  .option("--calls <n>", "calls")
  .option("--reset", "take back what was set: the configuration's limit holds again")
  .option("--config <file>", "configuration file")
  .option("--json", "print the budget as JSON")
  .action(async (level, subject, options) => (await import("./budgets.ts")).set(level, subject, options));

program
  .command("reconcile")
  .description("compare what runs and budgets hold with what open calls hold, correct what differs, and print it; ends nothing")
  .option("--config <file>", "configuration file")
  .option("--json", "print each correction as a line of JSON")
  .action(async (options) => (await import("./reconcile.ts")).reconcile(options));

const mcp = program
  .command("mcp")
  .description("this machine's agents as the tools of an MCP server, over standard input and output")
  .option("--agent <name...>", "these agents; all without it")
  .option("--http", "over HTTP, on 127.0.0.1 alone")
  .option("--port <port>", "where --http listens", "8788")
  .option("--config <file>", "configuration file")
  .action(async (options) => (await import("./mcp.ts")).serveMcp(options));

mcp
  .command("pin")
  .description("accept the tools of a configured MCP server as it describes them now, and say what has changed")
  .argument("<server>", "its name in the configuration")
  .action(async (server, _, command) => (await import("./mcp.ts")).pinMcp(server, command.optsWithGlobals()));

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`escapement: ${failureWords(error)}\n`);
  process.exitCode = 1;
}
