/**
 * One key, many processes (FAULTS C06 to C09): four servers over one file, each a process of its own, and a provider that keeps a book.
 * They are started once, since that takes longer than all that is asked of them.
 */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { chatScript } from "../../src/testing/fault-chat.ts";
import { type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";
import { endAll, newFolder, type Served, serve } from "./served.ts";
import { until } from "./until.ts";

let provider: FaultServer;
let servers: readonly Served[];

beforeAll(async () => {
  provider = await startFaultServer((request) => chatScript(request, { text: "once" }));
  const cwd = newFolder();
  const env = { OPENAI_BASE_URL: `${provider.url}/v1`, ESCAPEMENT_DATA: join(cwd, "data") };
  // The first makes the file.
  const first = await serve({ cwd, env });
  servers = [first, ...(await Promise.all([1, 2, 3].map(() => serve({ cwd, env }))))];
}, 240_000);
afterAll(async () => {
  await endAll();
  await provider.close();
}, 60_000);

const at = (process: number): string => servers[process]?.url ?? "";

async function start(process: number, key: string, input: string) {
  const response = await fetch(`${at(process)}/v1/runs`, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": key, prefer: "respond-async" },
    body: JSON.stringify({ agent: "single", input }),
  });
  return { status: response.status, body: (await response.json()) as { id: string; error?: { code: string } } };
}

const runOf = async (process: number, id: string) =>
  (await (await fetch(`${at(process)}/v1/runs/${id}`)).json()) as { status: string; output: unknown; calls: number };

test("100 starts under one key, at four processes at once, are one run with one call; another body is refused", async () => {
  const started = await Promise.all(Array.from({ length: 100 }, (_, i) => start(i % 4, "a", "Well?")));
  expect(new Set(started.map(({ status, body }) => `${status} ${body.id}`)).size).toBe(1);
  const id = started[0]?.body.id ?? "";
  await until("its end", async () => (await runOf(0, id)).status === "done");
  for (let i = 0; i < 4; i++) expect(await runOf(i, id)).toMatchObject({ status: "done", output: "once", calls: 1 });
  expect(provider.book.entries).toHaveLength(1);
  for (let i = 0; i < 4; i++)
    expect(await start(i, "a", "Other?")).toMatchObject({ status: 422, body: { error: { code: "idempotency_mismatch" } } });
}, 120_000);

test("a start that is repeated after its owner was killed joins the same run, which another process ends", async () => {
  const before = provider.book.entries.length;
  let calls = 0;
  provider.use((request) => (++calls === 1 ? [{ hang: true }] : chatScript(request, { text: "after all" })));
  const { id } = (await start(3, "b", "Well?")).body;
  await provider.book.entry(before);
  await servers[3]?.end("SIGKILL");
  expect((await start(0, "b", "Well?")).body.id).toBe(id);
  await until("its end", async () => (await runOf(0, id)).status === "done");
  expect(await runOf(1, id)).toMatchObject({ output: "after all", calls: 2 });
  expect((await start(2, "b", "Well?")).body.id).toBe(id);
  expect(provider.book.entries).toHaveLength(before + 2);
}, 120_000);
