/**
 * One agent run with a retry, a fallback and a tool against a provider that repeats whatever it was given, read at every sink.
 *
 * What is asserted where (FAULTS O7):
 * - secrets of the configuration: nowhere, not even in the journal, although the provider says its own key in an answer and a tool returns it;
 * - secrets that only have a shape, and personal data: in no log line, no error (events, journal, replies), no alert, no webhook, no onError.
 *   What the user wrote, the model answered and the tool returned is the record, and is stored and told as it was said: that is policy,
 *   and the last test sets it otherwise (`redaction.record`).
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Webhook } from "standardwebhooks";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { type Alert, agent, createRuntime, type Runtime, tool } from "../../src/index.ts";
import { createServer } from "../../src/server/server.ts";
import { chatError, chatScript } from "../../src/testing/fault-chat.ts";
import { startFaultServer } from "../../src/testing/fault-server.ts";

/** Known to the configuration. */
const known = {
  key: 'canary/key with "quotes" 0001',
  header: "canary-header-value-0002",
  database: "canary-pass-0003",
  webhook: `whsec_${Buffer.from("canary-webhook-secret-4").toString("base64")}`,
  client: "canary-client-key-0005",
};
/** Told by their shape alone. */
const shaped = { other: "sk-proj-canary0000000000000000006", bearer: "Bearer canary0000000000000000000007" };
const personal = {
  mail: "canary.person@example.com",
  phone: "+49 30 901820 0008",
  card: "4111 1111 1111 1111",
  iban: "DE89 3704 0044 0532 0130 00",
};
const everything = Object.values({ ...known, ...shaped, ...personal });

const answerSchema = z.strictObject({ answer: z.string() });

type World = {
  runtime: Runtime;
  url: string;
  lines: () => Line[];
  raw: () => string;
  alerts: Alert[];
  posts: string[];
  told: string[];
  file: string;
};
type Line = { readonly type: string; readonly [field: string]: unknown };

async function world(more: { record?: ("secrets" | "pii")[]; content?: boolean } = {}): Promise<World> {
  const posts: string[] = [];
  const receiver = createHttpServer((request, response) => {
    let body = "";
    request.on("data", (data) => {
      body += data;
    });
    request.on("end", () => {
      new Webhook(known.webhook).verify(body, request.headers as Record<string, string>);
      posts.push(JSON.stringify(request.headers) + body);
      response.end();
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  let calls = 0;
  const provider = await startFaultServer((request) => {
    const { model } = request.json();
    const said = `${request.headers.authorization} ${request.headers["x-team"]} ${Object.values(shaped).join(" ")} ${request.body}`;
    // It repeats the headers, the body and an URL with a user, in the error and in a header of it.
    if (model === "primary")
      return chatError(503, `postgres://app:${known.database}@db/x said ${said}`, { headers: { "x-request-id": `id-${known.header}` } });
    return chatScript(
      request,
      calls++ === 0
        ? { tools: [{ name: "look", input: { query: `who is ${personal.mail}` } }] }
        : calls === 2
          ? { text: `not what was asked, but ${personal.mail} and ${known.key}` }
          : { text: JSON.stringify({ answer: `${personal.mail} ${known.key} ${shaped.other}` }) },
    );
  });
  const folder = mkdtempSync(join(tmpdir(), "observe-"));
  const file = join(folder, "runs.db");
  const log: string[] = [];
  const alerts: Alert[] = [];
  const told: string[] = [];
  const look = tool({
    name: "look",
    description: "Looks somebody up.",
    class: "pure",
    input: z.strictObject({ query: z.string() }),
    run: ({ query }, { progress }) => {
      progress(`looking with ${known.key}`);
      return { found: [personal.phone, personal.iban], query, env: { OPENAI_API_KEY: known.key, other: shaped.other } };
    },
  });
  const fail = tool({
    name: "fail",
    description: "Fails.",
    class: "pure",
    input: z.strictObject({}),
    run: () => {
      throw new Error("unused");
    },
  });
  const tier = (model: string) => ({ provider: "it", model, price: { input_usd_per_mtok: 1_000, output_usd_per_mtok: 1_000 } });
  const runtime = await createRuntime({
    store: { path: file },
    env: { KEY: known.key, DATABASE_URL: `postgres://app:${known.database}@db/x`, ESCAPEMENT_API_KEYS: known.client },
    providers: {
      it: { preset: "openai", wire: "chat", base_url: `${provider.url}/v1`, api_key: { env: "KEY" }, headers: { "x-team": known.header } },
    },
    tiers: { first: tier("primary"), second: tier("secondary") },
    tools: { people: [look, fail] },
    agents: [
      agent({
        name: "finder",
        tiers: ["first", "second"],
        tools: ["people"],
        output: answerSchema,
        retries: 1,
        limits: { max_cost_microusd: 50_000_000 },
      }),
    ],
    budgets: { user: { per_day_microusd: 900_000_000 } },
    log: { level: "info", destination: { write: (line) => void log.push(line) }, content: more.content ?? true },
    redaction: { record: more.record ?? [] },
    alerts: {
      webhook: { url: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`, secret: known.webhook },
      rules: { run_cost: { usd: 0.000001 } },
    },
    onAlert: (alert) => void alerts.push(alert),
    onError: (message) => void told.push(message),
  });
  const server = createServer(runtime, { redaction: runtime.redaction, onDefect: (message, cause) => told.push(`${message} ${cause}`) });
  const listening = await server.listen({ port: 0 });
  onTestFinished(async () => {
    await listening.close(0);
    await runtime.close();
    await provider.close();
    receiver.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const raw = (): string => log.join("");
  return { runtime, url: listening.url, raw, lines: () => log.map((line) => JSON.parse(line) as Line), alerts, posts, told, file };
}

const prompt = `Find ${personal.mail}, tel. ${personal.phone}, card ${personal.card}; my key is ${shaped.other} and ${shaped.bearer}`;

/** What of it shows, as it is or as JSON or an URL writes it. */
const showing = (text: string, canaries: readonly string[]): string[] =>
  canaries.filter((canary) =>
    [canary, JSON.stringify(canary).slice(1, -1), encodeURIComponent(canary)].some((form) => text.includes(form)),
  );

async function runOnce({ runtime, posts }: World) {
  const run = await runtime.start({ agent: "finder", input: prompt, user: "user-7", feature: "search" });
  const deltas: string[] = [];
  let text = "";
  for await (const event of run) {
    deltas.push(JSON.stringify(event));
    if (event.type === "text.delta") text += event.text;
  }
  const result = await run.result();
  await expect.poll(() => posts.length, { timeout: 10_000 }).toBeGreaterThan(0);
  return { run, result, events: `${deltas.join("\n")}\n${text}` };
}

/** The rows of the file, as text. */
function rows(file: string): string {
  const db = new DatabaseSync(file, { readOnly: true });
  const tables = db.prepare("select name from sqlite_master where type = 'table'").all() as { name: string }[];
  const text = tables
    .map(({ name }) =>
      JSON.stringify(db.prepare(`select * from "${name}"`).all(), (_, value) =>
        value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value,
      ),
    )
    .join("\n");
  db.close();
  return text.replaceAll('\\"', '"').replaceAll('\\"', '"');
}

test("a run with a retry, a fallback, a tool and a checked answer has every field in its log, and no canary anywhere", {
  timeout: 30_000,
}, async () => {
  const it = await world();
  const { run, result, events } = await runOnce(it);
  expect(result).toMatchObject({ status: "done", tier: "second" });
  const lines = it.lines();

  const calls = lines.filter(({ type }) => type === "call");
  for (const call of calls) {
    expect(Object.keys(call)).toEqual(
      expect.arrayContaining([
        ...["request_id", "user_id", "prompt", "response", "tokens_in", "tokens_out", "latency_ms", "ttft_ms", "model", "provider", "tier"],
        ...[
          "retries",
          "fallback_triggered",
          "cost_usd",
          "cached",
          "estimated",
          "finish",
          "error_code",
          "run",
          "agent",
          "feature",
          "session",
        ],
      ]),
    );
    expect(call).toMatchObject({ user_id: "user-7", feature: "search", provider: "it", run: run.id, cached: false });
  }
  expect(
    calls.map(({ model, retries, fallback_triggered, finish, error_code }) => [model, retries, fallback_triggered, finish, error_code]),
  ).toEqual([
    ["primary", 0, false, "error", "provider_unavailable"],
    ["primary", 1, false, "error", "provider_unavailable"],
    ["secondary", 2, true, "tools", null],
    ["primary", 0, false, "error", "provider_unavailable"],
    ["primary", 1, false, "error", "provider_unavailable"],
    ["secondary", 2, true, "stop", null],
    ["secondary", 3, true, "stop", null],
  ]);
  // O10: every failure says what, whether to try again, which provider, run and attempt.
  expect(calls[0]).toMatchObject({ error: expect.stringContaining("it answered 503"), retryable: true, error_details: { status: 503 } });
  expect(calls.at(-1)).toMatchObject({
    tokens_in: 10,
    tokens_out: expect.any(Number),
    cost_usd: expect.any(Number),
    ttft_ms: expect.any(Number),
  });

  const steps = lines.filter(({ type }) => type === "step");
  for (const step of steps) {
    expect(Object.keys(step)).toEqual(
      expect.arrayContaining([
        ...[
          "step_index",
          "step_type",
          "tool_name",
          "tool_input",
          "tool_output",
          "intermediate_output",
          "total_cost_usd",
          "terminated_early",
        ],
        ...["loop_count", "parent_request_id", "request_id", "user_id"],
      ]),
    );
    expect(step).toMatchObject({ parent_request_id: run.id, terminated_early: false });
  }
  expect(steps.map(({ step_type }) => step_type)).toEqual([
    ...["llm_call", "llm_call", "llm_call", "validate", "tool_call"],
    ...["llm_call", "llm_call", "llm_call", "validate", "llm_call", "validate"],
  ]);
  expect(steps.filter(({ step_type }) => step_type === "validate").map(({ valid }) => valid)).toEqual([true, false, true]);
  expect(steps.find(({ step_type }) => step_type === "tool_call")).toMatchObject({
    tool_name: "look",
    tool_input: { query: "who is [redacted:mail]" },
    loop_count: 1,
  });
  expect(lines.filter(({ type }) => type === "run")).toMatchObject([
    { status: "done", total_cost_usd: result.cost_microusd / 1e6, loop_count: 2, parent_request_id: null },
  ]);
  expect(new Set(lines.filter(({ type }) => type === "decision").map(({ decision }) => decision))).toEqual(
    new Set(["granted", "retried", "fell_back", "ended"]),
  );

  // Every sink. The log: one event a line, with nothing in it.
  expect(it.raw().split("\n").length - 1).toBe(lines.length);
  expect(showing(it.raw(), everything)).toEqual([]);
  expect(it.raw()).toContain("[redacted:mail]");
  // Alerts, their webhook (signed: the receiver has verified it), what operators are told.
  expect(it.alerts.map(({ kind }) => kind)).toContain("run_cost");
  expect(showing(JSON.stringify(it.alerts) + it.posts.join() + it.told.join(), everything)).toEqual([]);
  // Errors in events and in the journal.
  const facts = (await it.runtime.facts(run.id)).data;
  const errors = facts.filter((fact) => "error" in fact).map((fact) => JSON.stringify(fact));
  expect(errors.length).toBe(4);
  expect(showing(errors.join(), everything)).toEqual([]);
  const journal = (await it.runtime.journal(run.id)).data as { ok?: boolean; value: unknown }[];
  expect(showing(JSON.stringify(journal.filter(({ ok }) => ok === false)), everything)).toEqual([]);
  // The record: no secret of the configuration; what people, the model and the tool said is in it.
  const record = `${events}\n${JSON.stringify(facts)}\n${JSON.stringify(journal)}\n${JSON.stringify(result)}\n${rows(it.file)}`;
  expect(showing(record, Object.values(known))).toEqual([]);
  expect(showing(record, Object.values(personal))).toContain(personal.mail);
  // Decisions say the provider's words.
  const { data } = await it.runtime.decisions(run.id);
  expect(showing(JSON.stringify(data), everything)).toEqual([]);
});

test("error replies repeat nothing of what was sent", { timeout: 30_000 }, async () => {
  const { url } = await world();
  const ask = async (path: string, body?: unknown): Promise<string> => {
    const response = await fetch(
      url + path,
      body === undefined ? {} : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) },
    );
    expect(response.status).toBeGreaterThanOrEqual(400);
    return response.text();
  };
  for (const canary of everything) {
    const path = encodeURIComponent(canary);
    const replies = [
      await ask(`/nothing/${path}`),
      await ask(`/v1/agents/${path}`),
      await ask(`/v1/runs/${path}`),
      await ask("/v1/runs", { agent: canary, input: "x" }),
      await ask("/v1/runs", { agent: "finder", input: "x", [canary]: 1 }),
      await ask("/v1/runs", { agent: "finder", input: { [canary]: canary } }),
    ];
    expect(showing(replies.join("\n"), [canary])).toEqual([]);
  }
});

test("content can be kept out of the log, and out of the record", { timeout: 30_000 }, async () => {
  const it = await world({ content: false, record: ["secrets", "pii"] });
  const { run, result, events } = await runOnce(it);
  expect(result.status).toBe("done");
  for (const line of it.lines())
    for (const field of ["prompt", "response", "tool_input", "tool_output", "intermediate_output"]) expect(line[field] ?? null).toBeNull();
  expect(it.raw()).not.toContain("not what was asked");
  const facts = (await it.runtime.facts(run.id)).data;
  expect(showing(events + JSON.stringify([facts, result]), everything)).toEqual([]);
  // What the user wrote is the input of the run, and stays it.
  const journal = (await it.runtime.journal(run.id)).data as { kind: string }[];
  expect(showing(JSON.stringify(journal.filter(({ kind }) => kind !== "start")), everything)).toEqual([]);
});

test("what observes or logs and fails hurts no run", { timeout: 30_000 }, async () => {
  const provider = await startFaultServer((request) => chatScript(request, { text: "fine" }));
  const told: string[] = [];
  const runtime = await createRuntime({
    store: { path: ":memory:" },
    env: {},
    providers: { it: { preset: "vllm", base_url: `${provider.url}/v1` } },
    tiers: { main: { provider: "it", model: "m" } },
    agents: [agent({ name: "single", machine: "single" })],
    log: {
      destination: {
        write() {
          throw new Error("EPIPE");
        },
      },
    },
    observers: [
      {
        turn() {
          throw new Error("an observer broke");
        },
      },
    ],
    onError: (message) => told.push(message),
  });
  onTestFinished(async () => {
    await runtime.close();
    await provider.close();
  });
  for (let i = 0; i < 3; i++)
    expect(await (await runtime.start({ agent: "single", input: "hello" })).result()).toMatchObject({ status: "done", output: "fine" });
  expect(told.filter((message) => message.includes("an observer broke"))).toHaveLength(1);
});
