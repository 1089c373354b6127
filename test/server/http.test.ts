import { request } from "node:http";
import { connect as connectTcp } from "node:net";
import { describe, expect, test } from "vitest";
import { createServer } from "../../src/server/server.ts";
import { ScriptedRuntime } from "./scripted-runtime.ts";
import { eventually, world } from "./world.ts";

const start = (url: string, body: unknown, headers: Record<string, string> = {}, signal?: AbortSignal) =>
  fetch(`${url}/v1/runs`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...(signal ? { signal } : {}),
  });
const hello = { agent: "assistant", input: "hi" };

/** Sends bytes as they are and gives what came back until the end. */
function raw(url: string, text: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connectTcp(Number(new URL(url).port), "127.0.0.1");
    socket.on("data", (data) => {
      answer += data;
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(answer));
    socket.write(text);
  });
}

/** A request with headers that `fetch` would not send. */
function plain(
  url: string,
  options: { method?: string; headers?: Record<string, string>; path?: string },
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { ...options, ...(options.path === undefined ? {} : { path: options.path }) }, (response) => {
      let body = "";
      response.on("data", (data) => {
        body += data;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    });
    outgoing.on("error", reject);
    outgoing.end();
  });
}

describe("starting", () => {
  test("waits for the end and answers the Run", async () => {
    const { url } = await world();
    const response = await start(url, hello);
    expect(response.status).toBe(200);
    expect(response.headers.get("location")).toBe("/v1/runs/run_1");
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    expect(await response.json()).toMatchObject({ id: "run_1", status: "done", output: "Hello" });
  });

  test("with wait=0 a run that goes on is 504 with its id, and goes on", async () => {
    const { url, runtime } = await world();
    runtime.script = () => {};
    const response = await start(url, hello, { prefer: "wait=0" });
    expect(response.status).toBe(504);
    expect(response.headers.get("location")).toBe("/v1/runs/run_1");
    expect(response.headers.get("preference-applied")).toBe("wait=0");
    expect(await response.json()).toMatchObject({ error: { code: "timeout", retryable: true, run: "run_1" } });
    expect(runtime.only().status).toBe("running");
  });

  test("without a preference it waits for the default time", async () => {
    const { url, runtime } = await world({ intervals: { waitMs: 5 } });
    runtime.script = () => {};
    const response = await start(url, hello);
    expect(response.status).toBe(504);
    expect(response.headers.get("preference-applied")).toBeNull();
  });

  test("respond-async answers 202 at once; with wait it first waits for the end", async () => {
    const { url, runtime } = await world();
    runtime.script = () => {};
    const at_once = await start(url, hello, { prefer: "respond-async" });
    expect(at_once.status).toBe(202);
    expect(at_once.headers.get("preference-applied")).toBe("respond-async");
    expect(at_once.headers.get("location")).toBe("/v1/runs/run_1");
    expect(await at_once.json()).toMatchObject({ id: "run_1", status: "running" });
    const waited = await start(url, hello, { prefer: 'respond-async; foo="a", wait="0"' });
    expect(waited.status).toBe(202);
    expect(waited.headers.get("preference-applied")).toBe("respond-async, wait=0");
    runtime.script = (run) => run.finish();
    const ended = await start(url, hello, { prefer: "respond-async, wait=10" });
    expect(ended.status).toBe(200);
    expect(ended.headers.get("preference-applied")).toBe("wait=10");
  });

  test("a run that turns waiting, or stays queued, is 202 at once", async () => {
    const { url, runtime } = await world({ intervals: { queuedMs: 5 } });
    runtime.script = (run) => {
      run.status = "waiting";
      run.fact({ type: "input.requested", id: "q1", kind: "approval", message: "?", expires_at: "2026-01-01T00:00:00.000Z" });
    };
    const waiting = await start(url, hello);
    expect([waiting.status, (await waiting.json()).status]).toEqual([202, "waiting"]);
    runtime.script = (run) => {
      run.status = "queued";
    };
    const queued = await start(url, hello);
    expect([queued.status, (await queued.json()).status]).toEqual([202, "queued"]);
    expect([...runtime.runs.values()].map((run) => run.readers)).toEqual([0, 0]);
  });

  test("text/event-stream gives the events from the start", async () => {
    const { url } = await world();
    const response = await start(url, hello, { accept: "text/event-stream" });
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(response.headers.get("location")).toBe("/v1/runs/run_1");
    const text = await response.text();
    expect(text).toMatch(/^retry: [123]\d{3}\n\nid: 1\ndata: {/);
    expect([...text.matchAll(/^id: (.*)$/gm)].map((match) => match[1])).toEqual(["1", "2", "3/c1=0", "3/c1=5", "4", "5"]);
    expect(text).not.toContain("event:");
  });

  test("the same key and body join the same run, marked as replayed; another body is 422", async () => {
    const { url, runtime } = await world();
    const first = await start(url, hello, { "idempotency-key": '"a \\"key\\""' });
    expect(first.headers.get("idempotent-replayed")).toBeNull();
    const second = await start(url, hello, { "idempotency-key": 'a "key"' });
    expect(second.headers.get("idempotent-replayed")).toBe("true");
    expect((await second.json()).id).toBe("run_1");
    expect(runtime.runs.size).toBe(1);
    const third = await start(url, { ...hello, input: "other" }, { "idempotency-key": 'a "key"' });
    expect([third.status, (await third.json()).error.code]).toEqual([422, "idempotency_mismatch"]);
    const long = await start(url, hello, { "idempotency-key": "k".repeat(201) });
    expect([long.status, (await long.json()).error.details.path]).toEqual([400, "Idempotency-Key"]);
  });

  test("a client that leaves cancels its run only where it asked for that", async () => {
    const { url, runtime } = await world();
    runtime.script = () => {};
    const cancelling = new AbortController();
    const asked = start(url, { ...hello, cancel_on_disconnect: true }, {}, cancelling.signal).catch(() => "left");
    await eventually(() => runtime.runs.get("run_1")?.readers).toBe(1);
    cancelling.abort();
    expect(await asked).toBe("left");
    await eventually(() => runtime.only().status).toBe("cancelled");
    const leaving = new AbortController();
    const other = start(url, hello, {}, leaving.signal).catch(() => "left");
    await eventually(() => runtime.runs.get("run_2")?.readers).toBe(1);
    leaving.abort();
    await other;
    await eventually(() => runtime.runs.get("run_2")?.readers).toBe(0);
    expect(runtime.runs.get("run_2")?.status).toBe("running");
    const stream = await start(url, { ...hello, cancel_on_disconnect: true }, { accept: "text/event-stream" });
    await stream.body?.cancel();
    await eventually(() => runtime.runs.get("run_3")?.status).toBe("cancelled");
  });

  test("a caller without the scope users may name no user", async () => {
    const { url, runtime } = await world({ caller: { tenant: "t", scopes: [] } });
    const response = await start(url, { ...hello, user: "someone" });
    expect([response.status, (await response.json()).error]).toMatchObject([403, { code: "forbidden", details: { path: "user" } }]);
    expect(runtime.runs.size).toBe(0);
  });

  test("overload says when to come back", async () => {
    const { url } = await world();
    const response = await start(url, { ...hello, agent: "busy" });
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "3"]);
    expect((await response.json()).error).toMatchObject({ code: "overloaded", retryable: true, retry_after_ms: 2_500 });
  });
});

describe("bad input is a typed error and the server lives on", () => {
  test.for([
    ["not JSON", "{", 400, "invalid_request", ""],
    ["no object", "1", 400, "invalid_request", ""],
    ["nothing", "", 400, "invalid_request", ""],
    ["an unknown key", { ...hello, sensetive: true }, 400, "invalid_request", "sensetive"],
    ["a missing agent", { input: "x" }, 400, "invalid_request", "agent"],
    ["a missing input", { agent: "assistant" }, 400, "invalid_request", "input"],
    ["an unknown limit", { ...hello, limits: { max_cost: 1 } }, 400, "invalid_request", "limits.max_cost"],
    ["a negative limit", { ...hello, limits: { deadline_ms: -1 } }, 400, "invalid_request", "limits.deadline_ms"],
    ["sensitive of another type", { ...hello, sensitive: "yes" }, 400, "invalid_request", "sensitive"],
    ["an unknown agent", { ...hello, agent: "nobody" }, 404, "not_found", undefined],
    ["depth 100", `{"agent":"assistant","input":${"[".repeat(100)}${"]".repeat(100)}}`, 400, "invalid_request", ""],
    ["5 MB of depth", "[".repeat(5_000_000), 400, "invalid_request", ""],
    ["9 MB", { ...hello, input: "x".repeat(9_000_000) }, 413, "too_large", undefined],
    ["__proto__", '{"agent":"assistant","input":{"a":[{"__proto__":{}}]}}', 400, "invalid_request", "input.a.0.__proto__"],
    ["constructor", '{"agent":"assistant","input":{"constructor":1}}', 400, "invalid_request", "input.constructor"],
    ["prototype", '{"agent":"assistant","input":1,"metadata":{"prototype":1}}', 400, "invalid_request", "metadata.prototype"],
    ["a list as metadata", { ...hello, metadata: [1] }, 400, "invalid_request", "metadata"],
    ["metadata over 64 KiB", { ...hello, metadata: { a: "x".repeat(70_000) } }, 400, "invalid_request", "metadata"],
    ["a defect", { ...hello, agent: "broken" }, 500, "internal", undefined],
  ] as const)("%s", async ([, body, status, code, path]) => {
    const { url } = await world();
    const response = await start(url, body);
    const { error } = await response.json();
    expect([response.status, error.code, error.details?.path]).toEqual([status, code, path]);
    expect(Object.keys(error)).toEqual(expect.arrayContaining(["code", "message", "retryable"]));
    expect((await start(url, hello)).status).toBe(200);
  });

  test.for([
    [{ ...hello, limits: { max_steps: 1e30 } }, "limits.max_steps must be at most 9,007,199,254,740,991"],
    [{ ...hello, agent: 5 }, "agent must be text"],
    [{ input: "x" }, '"agent" is missing: it must be text'],
    ["1", "the body must be an object"],
  ] as const)("%j is refused in our own words", async ([body, message]) => {
    const { url } = await world();
    expect((await (await start(url, body)).json()).error.message).toBe(message);
  });

  test("a body at the limits is taken", async () => {
    const { url } = await world();
    const input = "x".repeat(8 * 1024 * 1024 - JSON.stringify({ agent: "assistant", input: "" }).length);
    expect((await start(url, { agent: "assistant", input })).status).toBe(200);
    expect((await start(url, `{"agent":"assistant","input":${"[".repeat(63)}${"]".repeat(63)}}`)).status).toBe(200);
    expect((await start(url, `{"agent":"assistant","input":${"[".repeat(64)}${"]".repeat(64)}}`)).status).toBe(400);
    expect((await start(url, { ...hello, input: '\\"[{[{'.repeat(100) })).status).toBe(200);
  });

  test("a chunked body over the limit is 413", async () => {
    const { url } = await world();
    let sent = 0;
    const body = new ReadableStream({
      pull(controller) {
        sent += 1_000_000;
        if (sent > 9_000_000) controller.close();
        else controller.enqueue(new Uint8Array(1_000_000).fill(120));
      },
    });
    const response = await fetch(`${url}/v1/runs`, { method: "POST", body, duplex: "half" } as RequestInit);
    expect([response.status, (await response.json()).error.code]).toEqual([413, "too_large"]);
  });

  test("compressed, multipart and non-UTF-8 bodies are refused", async () => {
    const { url } = await world();
    const path = async (headers: Record<string, string>, body: BodyInit) =>
      (await (await fetch(`${url}/v1/runs`, { method: "POST", headers, body })).json()).error.details.path;
    expect(await path({ "content-encoding": "gzip" }, "x")).toBe("Content-Encoding");
    expect(await path({ "content-type": "multipart/form-data; boundary=x" }, "x")).toBe("Content-Type");
    expect(await path({ "content-type": "application/json" }, new Uint8Array([0x22, 0xff, 0x22]))).toBe("");
  });

  test("what curl sends without being told is JSON all the same", async () => {
    const { url } = await world();
    for (const type of ["application/x-www-form-urlencoded", "text/plain;charset=UTF-8", "application/vnd.api+json"]) {
      expect((await start(url, hello, { "content-type": type })).status).toBe(200);
    }
  });

  test.for([
    ["GET", "/v1/nothing", 404, "not_found"],
    ["POST", "/v1/estimate", 404, "not_found"],
    ["POST", "/v1/chat/completions", 404, "not_found"],
    ["GET", "/openapi.json", 404, "not_found"],
    ["GET", "/v1/runs/run_9", 404, "not_found"],
    ["GET", "/v1/runs/a%0d%0ab", 404, "not_found"],
    ["GET", `/v1/runs/${"x".repeat(5_000)}`, 404, "not_found"],
    ["GET", "/v1/agents/nobody", 404, "not_found"],
    ["GET", "/v1/runs?status=sleeping", 400, "invalid_request"],
    ["GET", "/v1/runs?statuss=done", 400, "invalid_request"],
    ["GET", "/v1/runs?limit=0", 400, "invalid_request"],
    ["DELETE", "/v1/runs", 405, "invalid_request"],
    ["GET", "/v1/runs/run_1/cancel", 405, "invalid_request"],
    ["POST", "/livez", 405, "invalid_request"],
    ["POST", "/", 405, "invalid_request"],
    ["GET", "/v1/ws", 426, "invalid_request"],
  ] as const)("%s %s is %i %s", async ([method, path, status, code]) => {
    const { url } = await world();
    const response = await fetch(url + path, { method });
    expect([response.status, (await response.json()).error.code]).toEqual([status, code]);
    expect(response.headers.has("allow")).toBe(status === 405);
  });
});

describe("runs that exist", () => {
  test("are read, listed, cancelled and answered", async () => {
    const { url, runtime } = await world();
    runtime.script = () => {};
    await start(url, hello, { prefer: "respond-async" });
    const json = async (path: string, init?: RequestInit) => {
      const response = await fetch(url + path, init);
      return [response.status, await response.json(), response.headers.get("idempotent-replayed")];
    };
    const post = (body?: unknown, key?: string): RequestInit => ({
      method: "POST",
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      headers: key === undefined ? {} : { "idempotency-key": key },
    });
    expect(await json("/v1/runs/run_1")).toMatchObject([200, { id: "run_1" }, null]);
    expect(await json("/v1/runs?status=running&limit=5")).toMatchObject([200, { data: [{ id: "run_1" }], next: null }, null]);
    expect(await json("/v1/runs/run_1/decisions")).toMatchObject([200, { data: [], next: null }, null]);
    expect(await json("/v1/runs/run_1/journal")).toMatchObject([200, { data: [{ position: 1 }], next: null }, null]);
    expect(await json("/v1/runs/run_1/answers", post({ id: "q1", approve: true }))).toMatchObject([202, { id: "run_1" }, null]);
    expect(await json("/v1/runs/run_1/answers", post({ id: "q1", approve: true }))).toMatchObject([
      409,
      { error: { code: "conflict" } },
      null,
    ]);
    expect(await json("/v1/runs/run_1/answers", post({ id: "q2", value: 1 }, "again"))).toMatchObject([202, {}, "true"]);
    expect(await json("/v1/runs/run_1/answers", post({ id: "q3", aprove: true }))).toMatchObject([
      400,
      { error: { message: 'unknown key "aprove"; did you mean "approve"?' } },
      null,
    ]);
    expect(await json("/v1/runs/run_1/cancel", post({ why: "x" }))).toMatchObject([400, { error: { details: { path: "why" } } }, null]);
    expect(await json("/v1/runs/run_1/cancel", post({ reason: "enough" }))).toMatchObject([202, { status: "cancelled" }, null]);
    expect(await json("/v1/runs/run_1/cancel", post())).toMatchObject([200, { status: "cancelled" }, null]);
    expect(runtime.only().cancelReasons).toEqual(["enough"]);
    expect(await json("/v1/sessions/a%20b")).toMatchObject([200, { id: "a b", runs: [] }, null]);
  });

  test("agents are described", async () => {
    const { url } = await world();
    const json = async (path: string) => (await fetch(url + path)).json();
    expect(await json("/v1/agents")).toMatchObject({ data: [{ name: "assistant", tool_groups: [] }] });
    expect(await json("/v1/agents/assistant")).toMatchObject({ name: "assistant" });
    expect(await json("/v1/agents/assistant/machine")).toEqual({ id: "assistant" });
    expect(await json("/v1/agents/assistant/bounds")).toMatchObject({ calls: 1 });
  });
});

describe("events over HTTP", () => {
  const events = (url: string, query = "", headers: Record<string, string> = {}) =>
    fetch(`${url}/v1/runs/run_1/events${query}`, { headers: { accept: "text/event-stream", ...headers } });
  const ids = async (response: Response) => [...(await response.text()).matchAll(/^id: (.*)$/gm)].map((match) => match[1]);

  test("resume by ?after= and by Last-Event-ID, which is the newer of the two", async () => {
    const { url } = await world();
    await start(url, hello);
    expect(await ids(await events(url))).toEqual(["1", "2", "3/c1=0", "3/c1=5", "4", "5"]);
    expect(await ids(await events(url, "?after=4"))).toEqual(["5"]);
    expect(await ids(await events(url, "?after=2", { "last-event-id": "4" }))).toEqual(["5"]);
    expect((await events(url, "?after=nonsense")).status).toBe(400);
    expect((await events(url, "?after=99")).status).toBe(400);
    expect((await events(url, "?afte=1")).status).toBe(400);
  });

  test("asked again at the end it answers 204", async () => {
    const { url, runtime } = await world();
    await start(url, hello);
    const response = await events(url, "?after=5");
    expect([response.status, await response.text()]).toEqual([204, ""]);
    expect(runtime.only().readers).toBe(0);
  });

  test("as JSON they are the facts, and HEAD opens nothing", async () => {
    const { url, runtime } = await world();
    await start(url, hello);
    const page = await (await events(url, "?after=3", { accept: "application/json" })).json();
    expect(page.data.map((fact: { type: string }) => fact.type)).toEqual(["call.finished", "run.finished"]);
    expect(page.next).toBeNull();
    const head = await fetch(`${url}/v1/runs/run_1/events`, { method: "HEAD" });
    expect([head.status, head.headers.get("content-type")]).toEqual([200, "text/event-stream; charset=utf-8"]);
    expect(runtime.only().readers).toBe(0);
  });

  test("a comment comes while nothing happens, and the stream ends when the server drains", async () => {
    const { url, runtime, listening } = await world({ intervals: { commentMs: 5 } });
    runtime.script = () => {};
    await start(url, hello, { prefer: "respond-async" });
    const stream = (await events(url)).body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("\n:\n\n:\n\n")) text += (await stream.read()).value ?? "";
    const closing = listening.close(2_000);
    while (!(await stream.read()).done) {
      // until the end
    }
    await closing;
    expect(runtime.only().status).toBe("running");
  });

  test("an event is one line, whatever is in it", async () => {
    const { url, runtime } = await world();
    runtime.script = (run) => {
      run.fact({ type: "progress", message: "a\r\nb\u2028c\u2029d\u001b[31me" });
      run.finish();
    };
    const text = await (await start(url, hello, { accept: "text/event-stream" })).text();
    const line = text.split(/\r|\n|\u2028|\u2029/).find((candidate) => candidate.includes("progress"))!;
    expect(JSON.parse(line.replace("data: ", "")).message).toBe("a\r\nb\u2028c\u2029d\u001b[31me");
  });

  test("a client that stops reading is cut after a while, holds little, and loses nothing", async () => {
    const { url, runtime } = await world({ intervals: { commentMs: 10, slowMs: 60 } });
    runtime.script = (run) => {
      for (let index = 0; index < 400; index++) run.fact({ type: "progress", message: "x".repeat(64 * 1024), done: index });
    };
    await start(url, hello, { prefer: "respond-async" });
    const socket = connectTcp(Number(new URL(url).port), "127.0.0.1");
    socket.on("error", () => {});
    socket.pause();
    socket.write("GET /v1/runs/run_1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
    await eventually(() => runtime.only().readers).toBe(1);
    await eventually(() => runtime.only().readers).toBe(0);
    socket.destroy();
    runtime.only().finish();
    const patient = await world({}, runtime);
    expect(await ids(await events(patient.url, "?after=10"))).toHaveLength(392);
  });
});

describe("who may talk to it", () => {
  test.for(["https://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:8787.evil.example", "http://localhost:1"])(
    "a page of %s may not, on any route",
    async (origin) => {
      const { url, runtime } = await world();
      for (const path of ["/v1/runs", "/v1/agents", "/livez", "/metrics", "/", "/v1/runs/run_1/events"]) {
        expect((await plain(url + path, { headers: { origin } })).status).toBe(403);
      }
      expect((await start(url, hello, { origin })).status).toBe(403);
      expect(runtime.runs.size).toBe(0);
    },
  );

  test("our own page and an allowed one may", async () => {
    const { url } = await world({ origins: ["https://app.example"] });
    expect((await start(url, hello, { origin: url })).headers.get("access-control-allow-origin")).toBeNull();
    const response = await start(url, hello, { origin: "https://app.example" });
    expect([response.status, response.headers.get("access-control-allow-origin"), response.headers.get("vary")]).toEqual([
      200,
      "https://app.example",
      "Origin",
    ]);
    const preflight = await fetch(`${url}/v1/runs`, {
      method: "OPTIONS",
      headers: { origin: "https://app.example", "access-control-request-method": "POST" },
    });
    expect([preflight.status, preflight.headers.get("access-control-allow-headers")]).toEqual([
      204,
      "Authorization, Content-Type, Idempotency-Key, Prefer, Last-Event-ID",
    ]);
  });

  test.for(["rebound.example", "127.0.0.1.evil.example:80", "localhost.", "[::2]", "127.0.0.1@evil"])(
    "a Host of %s is refused",
    async (host) => {
      const { url } = await world();
      expect((await plain(`${url}/v1/runs`, { headers: { host } })).status).toBe(403);
    },
  );

  test.for(["localhost", "localhost:4000", "127.0.0.1", "[::1]:8787"])("a Host of %s is taken", async (host) => {
    const { url } = await world();
    expect((await plain(`${url}/v1/runs`, { headers: { host } })).status).toBe(200);
  });

  test("it does not listen beyond this machine as long as there is no auth", async () => {
    const server = createServer(new ScriptedRuntime());
    for (const host of ["0.0.0.0", "::", "192.168.1.1", "example.com"]) {
      await expect(server.listen({ host, port: 0 })).rejects.toThrow("loopback only");
    }
  });
});

describe("connections", () => {
  test("slow headers and slow bodies are ended, and others are served meanwhile", async () => {
    const { url } = await world({ intervals: { headersMs: 60, bodyMs: 120 } });
    const silent = raw(url, "");
    const headers = raw(url, "GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: ");
    const body = raw(url, "POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{");
    expect((await start(url, hello)).status).toBe(200);
    const answers = await Promise.all([silent, headers, body]);
    for (const answer of answers) expect(answer).toMatch(/^(HTTP\/1.1 408 |$)/);
    expect(answers[1]).toContain('"code":"timeout"');
  });

  test.for([
    ["two lengths", "POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400],
    [
      "length and chunks",
      "POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      400,
    ],
    ["a bad chunk", "POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400],
    ["no HTTP", "\u0016\u0003\u0001", 400],
    ["huge headers", `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(100_000)}\r\n\r\n`, 431],
  ] as const)("%s is answered and the connection closed", async ([, text, status]) => {
    const { url } = await world();
    expect(await raw(url, text)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect((await fetch(`${url}/livez`)).status).toBe(200);
  });

  test("an offer of h2c is ignored and the request served", async () => {
    const { url } = await world();
    const answer = await raw(url, "GET /livez HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\n\r\n");
    expect(answer).toMatch(/^HTTP\/1.1 200 /);
  });

  test("while draining readyz is 503, starts are refused, and who waits is told at once that the run goes on", async () => {
    const { url, runtime, listening } = await world();
    runtime.script = () => {};
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    const waiting = start(url, hello);
    await eventually(() => runtime.runs.get("run_1")?.readers).toBe(1);
    // A request that has not arrived yet is let end.
    const slow = connectTcp(Number(new URL(url).port), "127.0.0.1");
    slow.on("error", () => {});
    slow.write("POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{");
    await eventually(async () => (await fetch(`${url}/metrics`)).text()).toContain("escapement_http_requests_in_flight 3");
    let closed = false;
    const closing = listening.close(1_500).then(() => {
      closed = true;
    });
    const told = await waiting;
    expect([told.status, (await told.json()).error]).toMatchObject([
      503,
      { code: "unavailable", run: "run_1", details: { reason: "draining" } },
    ]);
    expect(closed).toBe(false);
    const ready = await fetch(`${url}/readyz`);
    expect([ready.status, (await ready.json()).error]).toMatchObject([503, { code: "unavailable", details: { reason: "draining" } }]);
    expect(Number(ready.headers.get("retry-after"))).toBeGreaterThan(0);
    expect((await start(url, hello)).status).toBe(503);
    await closing;
    await expect(fetch(`${url}/livez`)).rejects.toThrow();
    expect(runtime.only().status).toBe("running");
  });

  test("a server that only waits for runs is closed at once", async () => {
    const { url, runtime, listening } = await world();
    runtime.script = () => {};
    const waiting = start(url, hello);
    await eventually(() => runtime.runs.get("run_1")?.readers).toBe(1);
    const from = performance.now();
    await listening.close(5_000);
    expect(performance.now() - from).toBeLessThan(1_000);
    expect((await waiting).status).toBe(503);
  });

  test("readyz tells why the runtime is not ready", async () => {
    const { url, runtime } = await world();
    runtime.now = { ready: false, reason: "storage_full" };
    const response = await fetch(`${url}/readyz`);
    expect([response.status, (await response.json()).error.details]).toEqual([503, { reason: "storage_full" }]);
    expect((await fetch(`${url}/livez`)).status).toBe(200);
  });

  test("a port that is taken is an error", async () => {
    const { url } = await world();
    await expect(createServer(new ScriptedRuntime()).listen({ port: Number(new URL(url).port) })).rejects.toThrow("EADDRINUSE");
  });
});

test("the app answers without a listener, for embedding", async () => {
  const app = createServer(new ScriptedRuntime());
  const response = await app.fetch(
    new Request("https://api.example/v1/runs", { method: "POST", body: JSON.stringify(hello), headers: { origin: "https://api.example" } }),
  );
  expect([response.status, (await response.json()).output]).toEqual([200, "Hello"]);
  const stream = await app.fetch(new Request("https://api.example/v1/runs/run_1/events"));
  expect(await stream.text()).toContain("run.finished");
});
