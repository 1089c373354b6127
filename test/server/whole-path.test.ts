import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Client, type ClientOptions, connect } from "../../src/client/index.ts";
import { type Event, eventSchema } from "../../src/protocol/events.ts";
import { createServer } from "../../src/server/server.ts";
import { sqliteInThread } from "../../src/stores/sqlite.ts";
import { chat, chats } from "../../src/testing/fault-chat.ts";
import { startFaultServer } from "../../src/testing/fault-server.ts";
import { network } from "../client/unreliable-network.ts";
import { type RealWorld, realRuntime, realWorld } from "./real-world.ts";
import { eventually, connect as open } from "./world.ts";

const words = (count: number) => Array.from({ length: count }, (_, index) => `w${index} `);
const hello = { agent: "single", input: "hi" };

function client(url: string, options: ClientOptions = {}): Client {
  const made = connect(url, { backoffMs: [1, 20], ...options });
  onTestFinished(() => made.close());
  return made;
}

const post = (url: string, path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(url + path, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) });

async function collect(events: AsyncIterable<Event>): Promise<Event[]> {
  const collected: Event[] = [];
  for await (const event of events) collected.push(event);
  return collected;
}

/**
 * What every client may rely on: facts 1, 2, 3, …; each call's deltas join to its text and come before its end; one end, the last.
 * `away`: the client was gone for a while, and calls that came and went meanwhile tell their text at their end only.
 */
function checkContract(events: readonly Event[], away = false): void {
  let seq = 0;
  const texts = new Map<string, string>();
  for (const event of events) {
    expect(eventSchema.safeParse(event).error).toBeUndefined();
    if (event.type === "text.delta") {
      const text = texts.get(event.call) ?? "";
      expect([event.offset, event.seq]).toEqual([text.length, seq]);
      texts.set(event.call, text + event.text);
    } else if (!("value" in event && event.type === "partial") && event.type !== "reasoning.delta") {
      expect(event.seq).toBe(++seq);
      if (event.type === "call.finished" && event.finish !== "lost") {
        expect(texts.get(event.call) ?? (away ? event.text : "")).toBe(event.text);
      }
    }
  }
  expect(events.filter((event) => event.type === "run.finished")).toHaveLength(1);
  expect(events.at(-1)?.type).toBe("run.finished");
}

/** Nothing is left of a run that ended: no reader on the channel, no run in memory. */
async function checkClean({ runtime, defects }: RealWorld): Promise<void> {
  await eventually(() => runtime.load()).toEqual({ runs: 0, topics: 0 });
  expect(defects).toEqual([]);
}

describe("one run definition, every way to reach it", () => {
  test("JSON, event stream, WebSocket and the client tell the same", async () => {
    const world = await realWorld(chat({ text: "Hello brave new world" }));
    const { url, provider } = world;
    const response = await post(url, "/v1/runs", hello);
    const run = await response.json();
    expect([response.status, run.status, run.output]).toEqual([200, "done", "Hello brave new world"]);
    const stream = await (await fetch(`${url}${response.headers.get("location")}/events`)).text();
    const streamed: Event[] = [...stream.matchAll(/^data: (.*)$/gm)].map((match) => JSON.parse(match[1]!));
    const facts = (await (await fetch(`${url}/v1/runs/${run.id}/events`, { headers: { accept: "application/json" } })).json()).data;
    expect(streamed).toEqual(facts);
    const runs = client(url);
    expect(await collect(runs.run(run.id))).toEqual(facts);
    const live = await runs.start(hello);
    const events = await collect(live);
    checkContract(events);
    expect(events.filter((event) => !event.type.endsWith(".delta")).map((event) => event.type)).toEqual(
      facts.map((fact: Event) => fact.type),
    );
    const result = await live.result();
    expect([result.status, result.output]).toEqual(["done", "Hello brave new world"]);
    expect(provider.book.entries).toHaveLength(2);
    expect((await runs.list()).data.map(({ id }) => id)).toEqual([live.id, run.id]);
    await checkClean(world);
  });

  test("agents are described, drawn and bounded", async () => {
    const { url } = await realWorld(chat({ text: "x" }));
    const json = async (path: string) => (await fetch(url + path)).json();
    expect((await json("/v1/agents")).data.map((agent: { name: string }) => agent.name)).toEqual(["assistant", "single"]);
    expect(await json("/v1/agents/assistant")).toMatchObject({ tool_groups: ["hands"], limits: { max_steps: 10 } });
    expect((await json("/v1/agents/assistant/bounds")).calls).toBeGreaterThan(0);
    expect(await json("/v1/agents/assistant/machine")).toMatchObject({ id: expect.any(String) });
    const { id } = await (await post(url, "/v1/runs", hello)).json();
    expect((await json(`/v1/runs/${id}/journal?limit=1`)).data).toHaveLength(1);
  });

  test("a session sees the turns before it", async () => {
    const { url } = await realWorld(chat({ text: "answer" }));
    for (const input of ["one", "two"]) expect((await post(url, "/v1/runs", { ...hello, input, session: "s 1" })).status).toBe(200);
    const session = await (await fetch(`${url}/v1/sessions/s%201`)).json();
    expect(session.runs).toHaveLength(2);
    expect(session.messages.map((message: { content: string }) => message.content)).toEqual(["one", "answer", "two", "answer"]);
  });
});

describe("resume", () => {
  test("over a connection that is cut again and again there is no gap and no repetition, and the provider is called once", async () => {
    const world = await realWorld(chat({ text: words(120), paceMs: 4 }));
    const net = await network(world.url);
    const run = await client(net.url).start(hello);
    const events: Event[] = [];
    let cuts = 0;
    for await (const event of run) {
      events.push(event);
      if (event.type === "text.delta" && cuts++ < 10) net.cut();
    }
    checkContract(events);
    expect(net.made()).toBeGreaterThan(1);
    expect(world.provider.book.entries).toHaveLength(1);
    expect((await run.result()).output).toBe(words(120).join(""));
    await checkClean(world);
  });

  test("an event stream goes on by Last-Event-ID from the very character", async () => {
    const world = await realWorld(chat({ text: words(80), paceMs: 2 }));
    const started = await post(world.url, "/v1/runs", hello, { prefer: "respond-async" });
    expect(started.status).toBe(202);
    const { id } = await started.json();
    const events: Event[] = [];
    let last = "";
    let connections = 0;
    for (;;) {
      connections++;
      const response = await fetch(`${world.url}/v1/runs/${id}/events`, { headers: last === "" ? {} : { "last-event-id": last } });
      if (response.status === 204) break;
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      let taken = 0;
      for (let read = await reader.read(); !read.done; read = await reader.read()) {
        text += read.value;
        const blocks = text.split("\n\n");
        text = blocks.pop() ?? "";
        for (const block of blocks) {
          const [, cursor, data] = /^id: (.*)\ndata: (.*)$/.exec(block) ?? [];
          if (cursor === undefined || data === undefined) continue;
          last = cursor;
          events.push(JSON.parse(data));
          taken++;
        }
        if (taken >= 5) break;
      }
      await reader.cancel();
    }
    checkContract(events);
    expect(connections).toBeGreaterThan(3);
    await checkClean(world);
  });

  test("after a call that finished while nobody listened, the rest of its text and its end", async () => {
    const world = await realWorld(chat({ text: words(40), paceMs: 1 }));
    const first = client(world.url);
    const reader = (await first.start(hello)).events();
    const events: Event[] = [];
    while (!events.some((event) => event.type === "call.started")) events.push(...((await reader.read()) ?? []));
    const cursor = reader.cursor();
    expect(cursor).toMatch(/^\d+\/c\d+=\d+$/);
    await first.close();
    const id = (await client(world.url).list()).data[0]!.id;
    await world.runtime.run(id).result();
    events.push(...(await collect(client(world.url).run(id).events({ after: cursor }))));
    checkContract(events);
  });
});

describe("a restart", () => {
  test("costs the client nothing but the call that was lost: the next process goes on and the client follows", async () => {
    const folder = await mkdtemp(join(tmpdir(), "restart-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const file = join(folder, "runs.db");
    const provider = await startFaultServer(chats([{ text: words(10_000), paceMs: 5 }, { text: "Here again." }]));
    const serve = async () => {
      const runtime = await realRuntime(provider.url, sqliteInThread(file));
      return { runtime, listening: await createServer(runtime, { intervals: { retryMs: [20, 30] } }).listen({ port: 0 }) };
    };
    const first = await serve();
    const net = await network(first.listening.url);
    const runs = client(net.url);
    const run = await runs.start(hello);
    const reader = run.events();
    const events: Event[] = [];
    while (!events.some((event) => event.type === "text.delta")) events.push(...((await reader.read()) ?? []));
    net.refuse(true);
    await first.listening.close(1_000);
    await first.runtime.close();
    const second = await serve();
    onTestFinished(async () => {
      await second.listening.close(0);
      await second.runtime.close();
      await provider.close();
    });
    net.retarget(second.listening.url);
    net.refuse(false);
    events.push(...(await collect(reader)));
    checkContract(events, true);
    const ends = events.flatMap((event) => (event.type === "call.finished" ? event.finish : []));
    expect(ends).toEqual(["lost", "stop"]);
    expect(events.some((event) => event.type === "retract")).toBe(true);
    expect(await run.result()).toMatchObject({ status: "done", output: "Here again." });
  });
});

describe("commands", () => {
  test("cancel closes the provider's socket from whichever client it comes", async () => {
    const world = await realWorld(chat({ text: words(10_000), paceMs: 5 }));
    const run = await client(world.url).start(hello);
    const events = collect(run);
    const entry = await world.provider.book.entry(0);
    const at = performance.now();
    expect(await client(world.url).run(run.id).cancel("enough")).toMatchObject({ id: run.id });
    const closedAt = await entry.over;
    expect(closedAt).toBeGreaterThanOrEqual(at);
    checkContract(await events);
    expect((await run.result()).status).toBe("cancelled");
    expect(await run.cancel()).toMatchObject({ status: "cancelled" });
    const again = await post(world.url, `/v1/runs/${run.id}/cancel`, {});
    expect([again.status, (await again.json()).status]).toEqual([200, "cancelled"]);
    await checkClean(world);
  });

  test("a run started with cancel_on_disconnect ends with its socket, its JSON request and its event stream", async () => {
    const world = await realWorld(chat({ text: words(10_000), paceMs: 5 }));
    const body = { ...hello, cancel_on_disconnect: true };
    const socket = await open(world.url);
    await socket.ask({ type: "start", ref: 1, ...body });
    await world.provider.book.entry(0);
    socket.ws.terminate();
    const leaving = new AbortController();
    const waiting = fetch(`${world.url}/v1/runs`, { method: "POST", body: JSON.stringify(body), signal: leaving.signal }).catch(
      () => "left",
    );
    await world.provider.book.entry(1);
    leaving.abort();
    expect(await waiting).toBe("left");
    const stream = await post(world.url, "/v1/runs", body, { accept: "text/event-stream" });
    await world.provider.book.entry(2);
    await stream.body?.cancel();
    await eventually(async () => (await world.runtime.list({})).data.map((run) => run.status)).toEqual(Array(3).fill("cancelled"));
    await world.provider.book.idle();
    await checkClean(world);
  });

  test("an approval is asked for, the request answers 202, and the answer lets the run go on", async () => {
    const world = await realWorld(chats([{ tools: [{ name: "deploy", input: { to: "prod" } }] }, { text: "Done." }]));
    const response = await post(world.url, "/v1/runs", { ...hello, agent: "assistant" });
    const waiting = await response.json();
    expect([response.status, waiting.status]).toEqual([202, "waiting"]);
    const question = waiting.waiting_for[0];
    expect(question.kind).toBe("approval");
    const run = client(world.url).run(waiting.id);
    const events = collect(run);
    await run.answer({ id: question.id, approve: true });
    const twice = await run.answer({ id: question.id, approve: true }).catch((error: { code: string }) => error.code);
    expect(twice).toBe("conflict");
    expect((await run.result()).output).toBe("Done.");
    checkContract(await events);
    await checkClean(world);
  });

  test("the same key joins the same run over HTTP and WebSocket alike, 50 at once", async () => {
    const world = await realWorld(chat({ text: "once", firstTokenDelayMs: 20 }));
    const runs = client(world.url);
    const ids = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        if (index % 2 === 0) return (await runs.start(hello, { idempotencyKey: "k" })).id;
        return (await (await post(world.url, "/v1/runs", hello, { "idempotency-key": '"k"', prefer: "respond-async" })).json()).id;
      }),
    );
    expect(new Set(ids).size).toBe(1);
    await runs.run(ids[0]!).result();
    expect(world.provider.book.entries).toHaveLength(1);
    const joined = await post(world.url, "/v1/runs", hello, { "idempotency-key": "k" });
    expect([joined.status, joined.headers.get("idempotent-replayed"), (await joined.json()).output]).toEqual([200, "true", "once"]);
    const other = await post(world.url, "/v1/runs", { ...hello, input: "x" }, { "idempotency-key": "k" });
    expect([other.status, (await other.json()).error.code]).toEqual([422, "idempotency_mismatch"]);
    await checkClean(world);
  });
});

describe("bad input", () => {
  test.for([
    ["an unknown agent", { agent: "nobody", input: "x" }, 404, "not_found", "agent"],
    ["no text", { agent: "single", input: "" }, 400, "invalid_request", "input"],
    ["an input of another shape", { agent: "single", input: { mesages: [] } }, 400, "invalid_request", undefined],
    ["a wrong role", { agent: "single", input: { messages: [{ role: "boss", content: "x" }] } }, 400, "invalid_request", undefined],
    ["5 MB of input", { agent: "single", input: "x".repeat(5_000_000) }, 413, "too_large", "input"],
    ["a misspelt cap", { agent: "single", input: "x", limits: { max_cost: 1 } }, 400, "invalid_request", "limits.max_cost"],
  ] as const)("%s is refused before anything is stored or called", async ([, body, status, code, path]) => {
    const world = await realWorld(chat({ text: "fine" }));
    const response = await post(world.url, "/v1/runs", body);
    const { error } = await response.json();
    expect([response.status, error.code]).toEqual([status, code]);
    if (path !== undefined) expect(error.details.path).toBe(path);
    await expect(client(world.url).start(body as never)).rejects.toMatchObject({ code });
    expect((await world.runtime.list({})).data).toEqual([]);
    expect(world.provider.book.entries).toEqual([]);
    expect((await post(world.url, "/v1/runs", hello)).status).toBe(200);
    await checkClean(world);
  });

  test.for(["999", "1/c1=99999", "x"])("the cursor %s", async (after) => {
    const world = await realWorld(chat({ text: "fine" }));
    const { id } = await (await post(world.url, "/v1/runs", hello)).json();
    const socket = await open(world.url);
    const answer = await socket.ask({ type: "subscribe", ref: 1, run: id, after });
    const response = await fetch(`${world.url}/v1/runs/${id}/events?after=${after}`);
    if (after === "1/c1=99999") {
      // Of a call that has ended there is no more; an offset beyond its text gives nothing of it.
      expect(answer.type).toBe("ok");
      return;
    }
    expect(answer).toMatchObject({ type: "error", error: { code: "invalid_request", details: { path: "after" } } });
    expect(response.status).toBe(400);
  });
});

describe("many runs", () => {
  test("on one socket are all followed to their end", async () => {
    const world = await realWorld(chat({ text: words(20) }));
    const runs = client(world.url);
    const all = await Promise.all(Array.from({ length: 200 }, async () => collect(await runs.start(hello))));
    for (const events of all) checkContract(events);
    expect(world.provider.book.entries).toHaveLength(200);
    await checkClean(world);
  });

  test("one slow reader among them holds up nobody", async () => {
    const world = await realWorld(chat({ text: words(200), paceMs: 1 }), { intervals: { slowMs: 5_000 } });
    const slow = await open(world.url);
    slow.ws.pause();
    slow.send({ type: "start", ref: 1, ...hello });
    await world.provider.book.entry(0);
    const id = (await world.runtime.list({})).data[0]!.id;
    checkContract(await collect(client(world.url).run(id)));
    slow.ws.resume();
    const frames = await slow.until((frame) => (frame.event as Event | undefined)?.type === "run.finished");
    checkContract(frames.flatMap((frame) => (frame.event as Event | undefined) ?? []));
    await checkClean(world);
  });
});
