/**
 * A stranger's first minutes: `npm start` in an empty folder, then everything by a client that was written from the protocol's text.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type Event, eventSchema } from "../../src/protocol/events.ts";
import { getRun, ProtocolSocket, post, type RunBody, Transcript } from "./protocol-client.ts";
import { endAll, newFolder, type Served, serve } from "./served.ts";
import { until, within } from "./until.ts";

const question = "What is 12.5% of 8460?";
const timeout = { timeout: 60_000 };
let server: Served;
let folder: string;

beforeAll(async () => {
  folder = newFolder();
  server = await serve({ cwd: folder });
}, 120_000);
afterAll(endAll, 60_000);

async function connect(): Promise<ProtocolSocket> {
  const socket = await ProtocolSocket.open(server.url);
  onTestFinished(() => {
    socket.close();
    socket.check();
  });
  return socket;
}

/** The first events of an event stream, at most `most`, with the id of the last; the client leaves when it has them. */
async function readStream(
  path: string,
  headers: { readonly [name: string]: string },
  most: number,
): Promise<{ status: number; events: Event[]; last: string; retryMs: number | undefined }> {
  const leaving = new AbortController();
  const response = await fetch(server.url + path, { headers: { accept: "text/event-stream", ...headers }, signal: leaving.signal });
  const events: Event[] = [];
  let last = "";
  let retryMs: number | undefined;
  if (response.status === 200) {
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    let text = "";
    const decoder = new TextDecoder();
    const reader = (response.body as ReadableStream<Uint8Array>).getReader(); // a 200 has a body
    for (let read = await reader.read(); !read.done && events.length < most; read = await reader.read()) {
      text += decoder.decode(read.value, { stream: true });
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        if (events.length === most) break;
        const fields = new Map(
          block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]),
        );
        expect(fields.has("event")).toBe(false);
        if (fields.has("retry")) retryMs = Number(fields.get("retry"));
        const data = fields.get("data");
        if (data === undefined) continue;
        last = fields.get("id") ?? "";
        expect(last).not.toBe("");
        events.push(JSON.parse(data));
      }
    }
    leaving.abort();
  }
  return { status: response.status, events, last, retryMs };
}

describe("the server without any configuration", () => {
  test("prints one line with its address, and makes its folder", timeout, async () => {
    expect(server.stdout().trim().split("\n")).toEqual([expect.stringMatching(/http:\/\/127\.0\.0\.1:\d+$/)]);
    expect(existsSync(join(folder, ".escapement"))).toBe(true);
    console.log(`from the start of the process to its line: ${Math.round(server.readyMs)} ms`);
  });

  test("answers at / and says that it lives and is ready", timeout, async () => {
    const page = await fetch(`${server.url}/`);
    expect(page.status).toBe(200);
    expect(page.headers.get("content-type")).toContain("text/html");
    expect((await page.text()).length).toBeGreaterThan(100);
    for (const path of ["/livez", "/readyz", "/metrics"]) expect([path, (await fetch(server.url + path)).status]).toEqual([path, 200]);
  });

  test("has the agents assistant and single", timeout, async () => {
    const { data } = await (await fetch(`${server.url}/v1/agents`)).json();
    expect(data.map(({ name }: { name: string }) => name)).toEqual(["assistant", "single"]);
    expect(data[0]).toMatchObject({ tool_groups: ["compute", "clock"], limits: { max_steps: 10 } });
    const bounds = await (await fetch(`${server.url}/v1/agents/assistant/bounds`)).json();
    expect(bounds).toMatchObject({ calls: expect.any(Number), cost_microusd: 0, wall_ms: expect.any(Number) });
    expect(bounds.calls).toBeGreaterThan(0);
  });
});

describe("a run over the WebSocket", () => {
  test("uses the calculator, tells its text as it comes, and ends once", timeout, async () => {
    const socket = await connect();
    const transcript = await socket.start({ agent: "assistant", input: question });
    const end = await transcript.finished();
    socket.check();
    expect(socket.order[0]).toBe("ok");
    expect(end).toMatchObject({ status: "done", output: expect.stringContaining("1057.5"), steps: 2, calls: 2, cost_microusd: 0 });
    expect(transcript.of("run.accepted")).toMatchObject([{ seq: 1, agent: "assistant" }]);
    expect(transcript.of("tool.started")).toMatchObject([
      { tool: "calculator", group: "compute", call: transcript.of("call.started")[0]?.call },
    ]);
    expect(transcript.of("tool.returned")).toHaveLength(1);
    expect(JSON.stringify(transcript.of("tool.returned")[0]?.output)).toContain("1057.5");
    // The transcript has checked every number, offset and joined text; here that there was something to check.
    expect(transcript.of("text.delta").length).toBeGreaterThan(3);
    const answer = transcript.of("call.finished").at(-1);
    const joined = transcript
      .of("text.delta")
      .filter(({ call }) => call === answer?.call)
      .map(({ text }) => text)
      .join("");
    expect(joined).toBe(answer?.text);
    expect(end.output).toBe(answer?.text);
    const run = await getRun(server.url, transcript.run);
    expect(run).toMatchObject({ status: "done", output: end.output, held_microusd: 0 });
  });

  test("a second one is cancelled in the middle of a sentence", timeout, async () => {
    const socket = await connect();
    const transcript = await socket.start({ agent: "single", input: "Tell me about clocks." });
    await transcript.until("its first words", ({ type }) => type === "text.delta");
    expect(await socket.ask({ type: "cancel", run: transcript.run, reason: "heard enough" })).toMatchObject({
      type: "ok",
      run: transcript.run,
    });
    const end = await transcript.finished();
    socket.check();
    expect(end).toMatchObject({ status: "cancelled", error: { code: "cancelled", message: "heard enough" } });
    const [call] = transcript.of("call.finished");
    expect(call?.finish).toBe("cancelled");
    expect(call?.text).not.toMatch(/\.\s*$/);
    expect(end.output).toBe(call?.text);
  });

  test("a client that comes back by its cursor misses nothing and sees nothing twice", timeout, async () => {
    const first = await connect();
    const transcript = await first.start({ agent: "single", input: "Tell me about springs." });
    for (let times = 1; times <= 3; times++) {
      const shown = transcript.events.length;
      await transcript.until("more", () => transcript.events.length > shown + 2 || transcript.end !== undefined);
      if (transcript.end) break;
      const socket = await connect();
      await first.ask({ type: "unsubscribe", run: transcript.run });
      await socket.resume(transcript);
      const there = transcript.events.length;
      await transcript.until("more on the other socket", () => transcript.events.length > there);
      socket.check();
      if (transcript.end) break;
      await socket.ask({ type: "unsubscribe", run: transcript.run });
      await first.resume(transcript);
    }
    await transcript.finished();
    first.check();
    expect(transcript.end?.status).toBe("done");
  });

  test("ping is answered, a run that nobody knows is not_found", timeout, async () => {
    const socket = await connect();
    expect(await socket.ask({ type: "ping" })).toEqual({ type: "pong", ref: "r1" });
    expect(await socket.ask({ type: "subscribe", run: "run_nobody" })).toMatchObject({
      type: "error",
      error: { code: "not_found", retryable: false },
    });
  });
});

describe("a run over HTTP", () => {
  test("waits for the end and answers the Run", timeout, async () => {
    const reply = await post(server.url, "/v1/runs", { agent: "assistant", input: question, feature: "sums", metadata: { from: "test" } });
    expect(reply).toMatchObject({
      status: 200,
      body: { status: "done", output: expect.stringContaining("1057.5"), feature: "sums", metadata: { from: "test" } },
    });
  });

  test("respond-async: 202 at once, where it is, and its end by polling", timeout, async () => {
    const reply = await post(server.url, "/v1/runs", { agent: "assistant", input: question }, { prefer: "respond-async" });
    const { id, status } = reply.body as RunBody; // the answer to a start is the Run
    expect([reply.status, reply.headers.get("location"), reply.headers.get("preference-applied")]).toEqual([
      202,
      `/v1/runs/${id}`,
      "respond-async",
    ]);
    expect(["running", "done"]).toContain(status);
    const done = await until("the end", async () => {
      const run = await getRun(server.url, id);
      return run.status === "done" && run;
    });
    expect(done.output).toContain("1057.5");
  });

  test("wait=0: 504 timeout that names the run, which goes on", timeout, async () => {
    const reply = await post(server.url, "/v1/runs", { agent: "single", input: "Tell me about gears." }, { prefer: "wait=0" });
    expect(reply).toMatchObject({ status: 504, body: { error: { code: "timeout", run: expect.any(String) } } });
    const { run } = (reply.body as { error: { run: string } }).error; // matched above
    await until("the end", async () => (await getRun(server.url, run)).status === "done");
  });

  test("an event stream goes on by Last-Event-ID from the very character, and says 204 at its end", timeout, async () => {
    const { body } = await post(server.url, "/v1/runs", { agent: "single", input: "Tell me about wheels." }, { prefer: "respond-async" });
    const { id } = body as RunBody; // the answer to a start is the Run
    const path = `/v1/runs/${id}/events`;
    const transcript = new Transcript(id);
    let last = "";
    let streams = 0;
    for (;;) {
      const stream = await readStream(path, last === "" ? {} : { "last-event-id": last }, 4);
      if (stream.status === 204) break;
      expect(stream.status).toBe(200);
      expect(stream.retryMs).toBeGreaterThanOrEqual(1_000);
      expect(stream.retryMs).toBeLessThanOrEqual(3_000);
      streams++;
      for (const event of stream.events) transcript.take(event);
      last = stream.last;
      transcript.resumed();
      // What the server calls our position is what the protocol makes of what we saw.
      expect(last).toBe(transcript.cursor());
    }
    expect(streams).toBeGreaterThan(2);
    expect(transcript.end?.status).toBe("done");
    const facts = (await (await fetch(server.url + path, { headers: { accept: "application/json" } })).json()).data;
    expect(facts).toEqual(transcript.events.filter(({ type }) => !type.endsWith(".delta")));
    for (const fact of facts) expect(eventSchema.safeParse(fact).success).toBe(true);
  });

  test("Accept: text/event-stream on the start gives its events from the first", timeout, async () => {
    const leaving = new AbortController();
    const response = await fetch(`${server.url}/v1/runs`, {
      method: "POST",
      headers: { accept: "text/event-stream", "content-type": "application/json" },
      body: JSON.stringify({ agent: "assistant", input: question }),
      signal: leaving.signal,
    });
    expect(response.headers.get("location")).toMatch(/^\/v1\/runs\/run_/);
    const events = [...(await within("the stream's end", response.text())).matchAll(/^data: (.*)$/gm)].map(
      (match) => JSON.parse(String(match[1])) as Event,
    ); // the transcript checks them
    const transcript = new Transcript(events[0]?.run ?? "");
    for (const event of events) transcript.take(event);
    expect(transcript.end).toMatchObject({ status: "done", output: expect.stringContaining("1057.5") });
  });

  test("an Idempotency-Key returns the same run, marked; another body is refused; on the socket too", timeout, async () => {
    const body = { agent: "assistant", input: question };
    const first = await post(server.url, "/v1/runs", body, { "idempotency-key": "once" });
    const again = await post(server.url, "/v1/runs", body, { "idempotency-key": '"once"' });
    expect([first.headers.get("idempotent-replayed"), again.headers.get("idempotent-replayed")]).toEqual([null, "true"]);
    expect(again.body).toEqual(first.body);
    const other = await post(server.url, "/v1/runs", { ...body, input: "Another." }, { "idempotency-key": "once" });
    expect(other).toMatchObject({ status: 422, body: { error: { code: "idempotency_mismatch" } } });
    const socket = await connect();
    const joined = await socket.start({ ...body, idempotency_key: "once" });
    expect(joined.run).toBe((first.body as RunBody).id); // the answer to a start is the Run
    expect((await joined.finished()).output).toBe((first.body as RunBody).output);
    socket.check();
    const mismatch = await socket.ask({ type: "start", ...body, input: "Another.", idempotency_key: "once" });
    expect(mismatch).toMatchObject({ type: "error", error: { code: "idempotency_mismatch" } });
  });

  test("runs are listed, newest first, page by page, and their journal can be read", timeout, async () => {
    const all = (await (await fetch(`${server.url}/v1/runs?limit=1000`)).json()).data as RunBody[]; // the protocol's list
    const paged: RunBody[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const page: { data: RunBody[]; next: string | null } = await (
        await fetch(`${server.url}/v1/runs?limit=3${cursor && `&cursor=${cursor}`}`)
      ).json();
      paged.push(...page.data);
      cursor = page.next;
    }
    expect(paged).toEqual(all);
    const journal = await (await fetch(`${server.url}/v1/runs/${all[0]?.id}/journal`)).json();
    expect(journal.data.map(({ position }: { position: number }) => position)).toEqual(
      journal.data.map((_: unknown, index: number) => index + 1),
    );
    expect(journal.data[0]).toMatchObject({ kind: "start" });
  });
});

test("nothing of all this was an error to the operator", () => {
  const lines = server
    .stderr()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { level: number; msg: string }); // pino writes JSON
  expect(lines.filter(({ level }) => level >= 50)).toEqual([]);
});
