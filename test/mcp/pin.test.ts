/** `escapement mcp pin` as an operator uses it. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { definition, scripted } from "../tools/mcp/scripted.ts";
import { endAll, run } from "../whole-path/served.ts";

afterEach(endAll);

test("a changed tool stops a command with what changed, and is used again once it was accepted", async () => {
  const there = scripted([definition("echo")]);
  const cwd = there.folder;
  const config = { mcp: { scripted: there.settings() }, agents: [{ name: "asker", tools: ["scripted"] }] };
  writeFileSync(join(cwd, "escapement.config.json"), JSON.stringify(config));
  await there.open();

  there.tools([definition("echo", { description: "does more" }), definition("late")]);
  const refused = await run({ cwd, args: ["run", "asker", "hello", "--quiet"] });
  expect(refused).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/changed its tool "echo".*"does echo" → "does more".*escapement mcp pin scripted/),
  });

  const pinned = await run({ cwd, args: ["mcp", "pin", "scripted"] });
  expect(pinned).toMatchObject({ code: 0 });
  expect(pinned.stdout).toBe(`echo: description: "does echo" → "does more"\nlate: new\nAccepted, in ${join(cwd, "escapement.mcp.json")}\n`);
  expect((await there.open()).tools.map(({ name }) => name)).toEqual(["scripted_echo", "scripted_late"]);

  const unknown = await run({ cwd, args: ["mcp", "pin", "other"] });
  expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining('there is no MCP server "other"; there are scripted') });
});
