/** `escapement decisions` on a run of this machine, and what `escapement serve` writes to its log. */
import { afterEach, expect, test } from "vitest";
import { endAll, newFolder, run, serve } from "../whole-path/served.ts";

afterEach(endAll);

test("reads the decisions of a run that a server made, which it had logged", { timeout: 60_000 }, async () => {
  const cwd = newFolder();
  const server = await serve({ cwd });
  const response = await fetch(`${server.url}/v1/runs`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ agent: "assistant", input: "What is 17 times 23? I am anna@example.com" }),
  });
  const { id, status } = (await response.json()) as { id: string; status: string };
  expect(status).toBe("done");
  const served = (await (await fetch(`${server.url}/v1/runs/${id}/decisions`)).json()) as { data: { decision: string }[] };
  await server.end("SIGTERM");
  const { stdout, code } = await run({ cwd, args: ["decisions", id] });
  expect(code).toBe(0);
  const lines = stdout.trimEnd().split("\n");
  expect(lines).toHaveLength(served.data.length);
  expect(lines[0]).toMatch(/accepted {3}at worst \d+ calls/);
  expect(lines.at(-1)).toMatch(/ended {6}done$/);
  const log = server
    .stderr()
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { type?: string; run?: string });
  const types = log.filter((line) => line.run === id).map(({ type }) => type);
  for (const type of ["call", "step", "decision", "run"]) expect(types).toContain(type);
  expect(server.stderr()).not.toContain("anna@");
});

test("a run that is not there is said in one sentence", { timeout: 30_000 }, async () => {
  const { code, stderr } = await run({ cwd: newFolder(), args: ["decisions", "run_x"] });
  expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining('there is no run "run_x"') });
});
