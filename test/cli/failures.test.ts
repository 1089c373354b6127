/** What a command says when it cannot do what it was asked: one clear sentence on standard error, no stack, exit code 1. */
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { failureWords } from "../../src/cli/failure.ts";
import { endAll, newFolder, run, serve, start } from "../whole-path/served.ts";
import { until } from "../whole-path/until.ts";

afterEach(endAll);

/** A port where nothing listens. */
async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

type Options = { readonly cwd?: string; readonly env?: Record<string, string> };

/** The one line of a command that fails. */
async function failure(args: readonly string[], { cwd = newFolder(), env }: Options = {}): Promise<string> {
  const { code, stdout, stderr } = await run({ cwd, args, ...(env && { env }) });
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).not.toMatch(/^\s+at /m);
  const line = stderr.split("\n").filter((text) => text !== "" && !text.startsWith("No model is connected"));
  expect(line).toHaveLength(1);
  return line[0] as string;
}

test("a server that is not there fails a cancel at once, with what to do", async () => {
  const port = await freePort();
  const before = performance.now();
  expect(await failure(["cancel", "run_x", "--url", `http://127.0.0.1:${port}`])).toBe(
    `escapement: no Escapement server answers at http://127.0.0.1:${port}: start one with \`escapement serve\`, or name another with --url or ESCAPEMENT_URL (unavailable)`,
  );
  // Two seconds, and what a busy machine takes to start a process.
  expect(performance.now() - before).toBeLessThan(10_000);
});

test("another program at that address is no server of ours", async () => {
  const other = createServer((_, response) => response.end("<!doctype html>"));
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
  try {
    expect(await failure(["cancel", "run_x"], { env: { ESCAPEMENT_URL: url } })).toContain(`no Escapement server answers at ${url}`);
  } finally {
    other.close();
  }
});

test("a tail says that the server is missing, goes on trying, and follows it when it comes", async () => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const tail = start({ cwd: newFolder(), args: ["tail", "run_x", "--url", url] });
  await until("the line", () => tail.stderr().includes(`no Escapement server answers at ${url}`));
  expect(tail.stderr()).toContain("Trying again");
  await serve({ cwd: newFolder(), env: { PORT: String(port) } });
  expect((await tail.exited).code).toBe(1);
  expect(tail.stderr()).toContain(`${url} answers`);
  expect(tail.stderr()).toContain('escapement: there is no run "run_x" (not_found)');
  expect(tail.stderr()).not.toMatch(/^\s+at /m);
});

test("what is no address is refused before anything is tried", async () => {
  for (const command of ["tail", "cancel"])
    expect(await failure([command, "run_x", "--url", "localhost:8787"])).toBe(
      'escapement: "localhost:8787" is no address of a server: give one like http://127.0.0.1:8787 (invalid_request)',
    );
});

test("a run that the server does not know", async () => {
  const { url } = await serve({ cwd: newFolder() });
  for (const command of ["tail", "cancel"])
    expect(await failure([command, "run_x", "--url", url])).toBe('escapement: there is no run "run_x" (not_found)');
});

test("a port that is taken", async () => {
  const { port } = new URL((await serve({ cwd: newFolder() })).url);
  expect(await failure(["serve"], { env: { PORT: port } })).toContain(
    `port ${port} of 127.0.0.1 is taken: stop what listens there, or set PORT to another`,
  );
});

test("an address that is not this machine alone", async () => {
  expect(await failure(["serve"], { env: { HOST: "0.0.0.0" } })).toContain("leave HOST unset or set it to 127.0.0.1");
});

test("a data folder that cannot be used", async () => {
  const cwd = newFolder();
  writeFileSync(join(cwd, "file"), "");
  for (const command of [["serve"], ["run", "assistant", "hi"], ["replay", "run_x"]])
    expect(await failure(command, { cwd, env: { ESCAPEMENT_DATA: "file" } })).toContain(
      `runs cannot be kept in ${join(cwd, "file/escapement.db")}: there is a file where the folder should be (${join(cwd, "file")}). Mend that, or choose another folder with ESCAPEMENT_DATA`,
    );
});

// Nobody may make a folder there, not even root.
test.skipIf(process.platform !== "linux")("a data folder without permission", async () => {
  expect(await failure(["serve"], { env: { ESCAPEMENT_DATA: "/sys/escapement" } })).toMatch(
    /no permission to read and write there|read-only/,
  );
});

test("an input that is no JSON, where the agent takes an object", async () => {
  const cwd = newFolder();
  const zod = JSON.stringify(import.meta.resolve("zod"));
  writeFileSync(
    join(cwd, "escapement.config.mjs"),
    `import { z } from ${zod}; export default { agents: [{ name: "guide", input: z.object({ city: z.string() }) }] };`,
  );
  expect(await failure(["run", "guide", "Paris"], { cwd })).toContain('agent "guide" takes JSON, and the input is none');
});

test("a reader that leaves ends nothing", async () => {
  const { code, stderr } = await run({
    cwd: newFolder(),
    program: ["bash", "-c", 'set -o pipefail; "$0" "$@" | head -1'],
    args: ["run", "assistant", "What is 17 times 23?", "--json"],
  });
  expect({ code, stack: /^\s+at /m.test(stderr) }).toEqual({ code: 0, stack: false });
});

test("a mistake of ours keeps its stack", () => {
  expect(failureWords(new TypeError("oops"))).toMatch(/please report this:\nTypeError: oops\n\s+at /);
});
