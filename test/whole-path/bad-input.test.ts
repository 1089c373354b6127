/** What a wrong client can send: the error says what to do, the socket and the server live on, and nothing was stored, called or paid. */
import { request } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import { type Frame, ProtocolSocket, post, type RunBody } from "./protocol-client.ts";
import { sharedWorld } from "./shared-world.ts";
import { within } from "./until.ts";

const world = sharedWorld();
const timeout = { timeout: 60_000 };
const nested = (depth: number): string => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;

/** Runs that tests made on purpose, to see that the server lives. */
let expected = 0;

/** After whatever was sent: the next command works, and it is the only one that left anything. */
async function checkUnharmed(): Promise<void> {
  const { scripts, url } = world();
  expected++;
  const input = `unharmed ${expected}`;
  scripts.on(input, [{ text: "Still here." }]);
  const reply = await post(url, "/v1/runs", { agent: "single", input });
  expect(reply).toMatchObject({ status: 200, body: { status: "done", output: "Still here.", cost_microusd: 10 * 0.4 + 2 * 1.6 } });
  const listed = (await (await fetch(`${url}/v1/runs?limit=1000`)).json()).data as RunBody[]; // the protocol's list
  expect(listed).toHaveLength(expected);
  expect(scripts.server.book.entries).toHaveLength(expected);
}

afterEach(checkUnharmed, 60_000);

type Case = {
  readonly name: string;
  readonly body: unknown;
  readonly status: number;
  readonly code: string;
  readonly path?: string;
  readonly says?: RegExp;
};

const hello = { agent: "single", input: "never called" };
const cases: readonly Case[] = [
  { name: "text that is no JSON", body: '{"agent": "single", "input": ', status: 400, code: "invalid_request", path: "", says: /JSON/ },
  { name: "a list", body: [hello], status: 400, code: "invalid_request" },
  { name: "nothing", body: "", status: 400, code: "invalid_request" },
  { name: "an unknown agent", body: { ...hello, agent: "nobody" }, status: 404, code: "not_found", path: "agent", says: /worker/ },
  { name: "an unknown key", body: { ...hello, temperature: 1 }, status: 400, code: "invalid_request", path: "temperature" },
  {
    name: "a misspelt limit",
    body: { ...hello, limits: { max_cost_microsud: 5 } },
    status: 400,
    code: "invalid_request",
    path: "limits.max_cost_microsud",
    says: /max_cost_microusd/,
  },
  {
    name: "a limit of nothing",
    body: { ...hello, limits: { max_calls: 0 } },
    status: 400,
    code: "invalid_request",
    path: "limits.max_calls",
  },
  { name: "no input", body: { agent: "single" }, status: 400, code: "invalid_request", path: "input" },
  { name: "an empty input", body: { agent: "single", input: "" }, status: 400, code: "invalid_request", path: "input" },
  {
    name: "a role that there is not",
    body: { agent: "single", input: { messages: [{ role: "boss", content: "x" }] } },
    status: 400,
    code: "invalid_request",
  },
  {
    name: "an input of another schema",
    body: { agent: "typed", input: { question: 7, count: 1 } },
    status: 400,
    code: "invalid_request",
    path: "input.question",
  },
  {
    name: "an input with a key too many",
    body: { agent: "typed", input: { question: "x", count: 1, more: 1 } },
    status: 400,
    code: "invalid_request",
    says: /more/,
  },
  { name: "text where an object is asked for", body: { agent: "typed", input: "x" }, status: 400, code: "invalid_request", path: "input" },
  {
    name: "an input over the limit",
    body: { agent: "single", input: "x".repeat(5 * 1024 * 1024) },
    status: 413,
    code: "too_large",
    path: "input",
  },
  { name: "a body over the limit", body: { agent: "single", input: "x".repeat(9 * 1024 * 1024) }, status: 413, code: "too_large" },
  { name: "a depth of 100", body: `{"agent":"single","input":${nested(100)}}`, status: 400, code: "invalid_request", says: /64/ },
  { name: "a depth of 100,000", body: `{"agent":"single","input":${nested(100_000)}}`, status: 400, code: "invalid_request", says: /64/ },
  {
    name: "a key that changes prototypes",
    body: '{"agent":"single","input":"x","metadata":{"__proto__":{"admin":true}}}',
    status: 400,
    code: "invalid_request",
    path: "metadata.__proto__",
  },
  {
    name: "a webhook that is no URL",
    body: { ...hello, webhook: { url: "nowhere" } },
    status: 400,
    code: "invalid_request",
    path: "webhook.url",
  },
];

describe("over HTTP", () => {
  test.for(cases)("$name is refused as $code", timeout, async ({ body, status, code, path, says }) => {
    const reply = await post(world().url, "/v1/runs", body);
    expect(reply).toMatchObject({ status, body: { error: { code, retryable: false, message: expect.any(String) } } });
    const { error } = reply.body as { error: { message: string; details?: { path?: string } } }; // matched above
    if (path !== undefined) expect(error.details?.path).toBe(path);
    if (says) expect(error.message).toMatch(says);
    expect(error.message).not.toContain("xxxxxxxxxx");
  });

  test("bytes that are no UTF-8, and a body that is compressed", timeout, async () => {
    const send = (body: Uint8Array<ArrayBuffer>, headers: { readonly [name: string]: string }) =>
      fetch(`${world().url}/v1/runs`, { method: "POST", body, headers: { "content-type": "application/json", ...headers } });
    for (const response of [
      await send(new Uint8Array([0x22, 0xff, 0xfe, 0x22]), {}),
      await send(new Uint8Array([0x1f, 0x8b]), { "content-encoding": "gzip" }),
    ]) {
      expect(response.status).toBe(400);
      expect((await response.json()).error.code).toBe("invalid_request");
    }
  });

  test("routes that are not there, and methods that are not served", timeout, async () => {
    const { url } = world();
    for (const path of [
      "/v1/nothing",
      "/v1/runs/run_nobody",
      "/v1/runs/run_nobody/events",
      "/v1/runs/run_nobody/journal",
      "/v1/agents/nobody",
    ]) {
      const response = await fetch(url + path);
      expect([path, response.status, (await response.json()).error.code]).toEqual([path, 404, "not_found"]);
    }
    const response = await fetch(`${url}/v1/runs`, { method: "DELETE" });
    expect([response.status, response.headers.get("allow")]).toEqual([405, expect.stringContaining("POST")]);
  });

  test("a host that is not this machine, and a foreign origin", timeout, async () => {
    const { url } = world();
    const asked = (headers: { readonly [name: string]: string }) =>
      within(
        "the answer",
        new Promise<number | undefined>((resolve, reject) => {
          request(`${url}/v1/agents`, { headers }, (response) => {
            response.resume();
            resolve(response.statusCode);
          })
            .on("error", reject)
            .end();
        }),
      );
    expect(await asked({ host: "evil.example" })).toBe(403);
    expect(await asked({ origin: "https://evil.example" })).toBe(403);
    expect(await asked({ origin: "null" })).toBe(403);
    expect(await asked({})).toBe(200);
  });
});

describe("over the WebSocket", () => {
  /** Sends what may have no ref, and gives the error that answers it. */
  async function refused(socket: ProtocolSocket, text: string): Promise<Frame> {
    const before = socket.others.length;
    // Frames are answered in order, so what came before this pong answers the frame before it.
    socket.send(text);
    expect((await socket.ask({ type: "ping" })).type).toBe("pong");
    const [answer] = socket.others.slice(before);
    expect(answer).toMatchObject({ type: "error", error: { retryable: false, message: expect.any(String) } });
    return answer as Frame; // it was just matched
  }

  test.for([
    ["text that is no JSON", "{", undefined, "invalid_request"],
    ["no object", '"start"', undefined, "invalid_request"],
    ["null", "null", undefined, "invalid_request"],
    ["no type", '{"ref":"x"}', "x", "invalid_request"],
    ["an unknown type", '{"type":"stop","ref":"x"}', "x", "invalid_request"],
    ["no ref", '{"type":"start","agent":"single","input":"x"}', undefined, "invalid_request"],
    ["an unknown key", '{"type":"start","ref":"x","agent":"single","input":"x","model":"y"}', "x", "invalid_request"],
    ["an unknown agent", '{"type":"start","ref":"x","agent":"nobody","input":"x"}', "x", "not_found"],
    ["a wrong input", '{"type":"start","ref":"x","agent":"typed","input":{}}', "x", "invalid_request"],
    ["a depth of 100", `{"type":"start","ref":"x","agent":"single","input":${nested(100)}}`, undefined, "invalid_request"],
    [
      "a forbidden key",
      '{"type":"start","ref":"x","agent":"single","input":"x","metadata":{"constructor":1}}',
      undefined,
      "invalid_request",
    ],
    ["a wrong cursor", '{"type":"subscribe","ref":"x","run":"run_nobody","after":"x"}', "x", "not_found"],
    ["an answer to nothing", '{"type":"answer","ref":"x","run":"run_nobody","id":"q1","approve":true}', "x", "not_found"],
    ["an answer of no form", '{"type":"answer","ref":"x","run":"run_nobody","id":"q1"}', "x", "invalid_request"],
  ] as const)("%s gets an error and the socket lives on", timeout, async ([, text, ref, code]) => {
    const socket = await world().socket();
    const answer = await refused(socket, text);
    expect(answer).toMatchObject({ error: { code } });
    expect(answer.ref).toBe(ref);
  });

  test("ten in a row close the socket with 4000; a good one in between starts the count again", timeout, async () => {
    const socket = await world().socket();
    for (let bad = 1; bad <= 9; bad++) socket.send("{");
    expect((await socket.ask({ type: "ping" })).type).toBe("pong");
    for (let bad = 1; bad <= 10; bad++) socket.send("{");
    expect(await within("the close", socket.closed)).toMatchObject({ code: 4000 });
    expect(socket.others.filter(({ type }) => type === "error")).toHaveLength(19);
  });

  test("a frame of 300 KiB closes it with 1009", timeout, async () => {
    const socket = await ProtocolSocket.open(world().url);
    const frame = JSON.stringify({ type: "start", ref: 1, agent: "single", input: "x".repeat(300 * 1024) });
    socket.send(frame);
    expect(await within("the close", socket.closed)).toMatchObject({ code: 1009 });
  });

  test("a frame of 256 KiB is taken", timeout, async () => {
    const { scripts, socket: connect } = world();
    const input = "y".repeat(255 * 1024);
    scripts.on(input, [{ text: "Much." }]);
    const socket = await connect();
    const transcript = await socket.start({ agent: "single", input });
    expect((await transcript.finished()).status).toBe("done");
    socket.check();
    expected++;
  });

  test("a binary frame is refused, the socket lives on", timeout, async () => {
    const socket = await world().socket();
    socket.ws.send(Buffer.from('{"type":"ping","ref":1}'));
    expect((await socket.ask({ type: "ping" })).type).toBe("pong");
    expect(socket.others).toMatchObject([{ type: "error", error: { code: "invalid_request" } }]);
  });

  test("cursors that cannot be are refused on a run that is there", timeout, async () => {
    const { url, scripts, socket: connect } = world();
    scripts.on("cursors", [{ text: "Fine." }]);
    expected++;
    const { body } = await post(url, "/v1/runs", { agent: "single", input: "cursors" });
    const { id } = body as RunBody; // the answer to a start is the Run
    const socket = await connect();
    for (const after of ["x", "-1", "1/c0", "999", "1.5", "1/c0=1,"]) {
      expect(await socket.ask({ type: "subscribe", run: id, after })).toMatchObject({
        type: "error",
        error: { code: "invalid_request", details: { path: "after" } },
      });
      const response = await fetch(`${url}/v1/runs/${id}/events`, { headers: { "last-event-id": after } });
      expect([after, response.status]).toEqual([after, 400]);
    }
  });
});

test("the operator was told of no defect", timeout, () => {
  expect(world().server.stderr()).toBe("");
});
