import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { z } from "zod";
import { type Config, resolveConfig } from "../../src/config/config.ts";
import { agent } from "../../src/runtime/agent.ts";
import { type ToolContext, tool } from "../../src/runtime/tool.ts";

const load = (config: Config | Record<string, unknown>, cwd = "/nowhere", env = {}) => resolveConfig(config, { env, cwd, source: "test" });
const using = (...tools: string[]) => [agent({ name: "a", tools })];
const named = (groups: Awaited<ReturnType<typeof load>>["tools"]) =>
  Object.fromEntries(Object.entries(groups).map(([group, tools]) => [group, tools.map(({ name }) => name)]));
const context: ToolContext = { run: "run_1", key: "k", signal: new AbortController().signal, progress() {}, data() {} };

it("loads the groups that agents ask for, and those that have settings", async () => {
  expect(named((await load({ agents: using("compute") })).tools)).toEqual({ compute: ["calculator", "statistics"] });
  expect(named((await load({ agents: using("web") })).tools)).toEqual({ web: ["fetch_page"] });
  const config: Config = {
    agents: using("web", "files", "data"),
    tools: { web: { search: { searxng: "https://search.example.org" } }, files: { root: "docs", write: true }, data: { root: "tables" } },
  };
  expect(named((await load(config)).tools)).toEqual({
    web: ["fetch_page", "web_search"],
    files: ["list_files", "read_file", "search_files", "write_file"],
    data: ["query_data"],
  });
  expect(named((await load({ ...config, agents: [] })).tools)).toHaveProperty("files");
});

it("lets a program put its own tools in the place of a group", async () => {
  const own = tool({ name: "mine", description: "mine", class: "pure", input: z.strictObject({}), run: () => null });
  expect(
    named((await load({ agents: using("web", "clock"), tools: { web: [own], clock: [own].slice(1), outside: [own] } })).tools),
  ).toEqual({
    web: ["mine"],
    clock: [],
    outside: ["mine"],
  });
});

it("takes a root from the working folder, and a header's secret from where it is", async () => {
  const cwd = mkdtempSync(join(tmpdir(), "escapement-tools-"));
  mkdirSync(join(cwd, "docs"));
  writeFileSync(join(cwd, "docs/a.txt"), "hello");
  let key = "";
  const server = createServer((request, response) => {
    key = String(request.headers["x-key"]);
    response.writeHead(200, { "content-type": "application/json" }).end("[]");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const search = {
    url: `${origin}/?q={query}`,
    headers: { "x-key": { env: "SEARCH_KEY" } },
    mapping: { results: "", title: "t", url: "u" },
  };
  const { tools, redaction } = await load({ agents: using("files"), tools: { files: { root: "docs" }, web: { search } } }, cwd, {
    SEARCH_KEY: "s3cret",
  });
  expect(await tools.files?.find(({ name }) => name === "read_file")?.run({ path: "a.txt" }, context)).toBe("hello");
  expect(await tools.web?.[1]?.run({ query: "x" }, context)).toEqual({ results: [] });
  expect(key).toBe("s3cret");
  expect(redaction.secrets).toContain("s3cret");
  server.close();
  rmSync(cwd, { recursive: true });
});

it("opens the door of web as egress says, and no further", async () => {
  const server = createServer((_, response) => response.writeHead(200, { "content-type": "text/plain" }).end("inside"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const page = async (config: Config) =>
    (await load({ agents: using("web"), ...config })).tools.web?.[0]?.run({ url: `http://${host}/` }, context);
  expect(await page({ egress: { allow: [host] } })).toContain("inside");
  await expect(page({ egress: { ports: [80, Number(host.split(":")[1])] } })).rejects.toThrow("a loopback address");
  await expect(page({})).rejects.toThrow(/port \d+ of 127.0.0.1 is not open/);
  server.close();
});

it.each([
  [{ agents: using("files") }, 'an agent uses the tool group "files", which needs a folder: give tools.files.root'],
  [{ agents: using("data") }, "give tools.data.root"],
  [{ tools: { files: { path: "x" } } }, /tools\.files\.path is not a key/],
  [{ tools: { web: { serach: {} } } }, 'tools.web.serach is not a key: did you mean "search"?'],
  [{ tools: { web: { search: { url: 7 } } } }, /tools\.web\.search/],
  [{ tools: { web: { search: { searxng: "search.example.org" } } } }, "with {query} where the query belongs"],
  [{ tools: { other: { root: "x" } } }, /tools\.other must be a list/],
  [{ egress: { allow: ["http://a"] }, agents: using("web") }, /^egress\.allow\.0 is a host/],
  [{ egress: { alow: [] } }, 'egress.alow is not a key: did you mean "allow"?'],
  [{ egress: { ports: [0] } }, /egress\.ports\.0 must be/],
])("says what is wrong: %j", async (config, message) => {
  const error = await load(config).catch((thrown: Error) => thrown);
  if (!(error instanceof Error)) throw new Error("nothing was wrong");
  const said = error.message.replace(/^test: /, "");
  if (typeof message === "string") expect(said).toContain(message);
  else expect(said).toMatch(message);
});
