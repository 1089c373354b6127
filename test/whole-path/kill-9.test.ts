/**
 * A server that is killed at every boundary of its turns, and at the moments between: what was paid for is not lost, what was done is
 * not done again, and a client that comes back misses nothing (FAULTS S01 to S07).
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import { sqliteInThread } from "../../src/stores/sqlite.ts";
import type { FaultEntry } from "../../src/testing/fault-server.ts";
import type { Order } from "./kill-9.config.ts";
import { getRun, ProtocolSocket, post, type RunBody, type Transcript } from "./protocol-client.ts";
import { type Answer, type Asked, type Scripts, startScripts } from "./scripts.ts";
import { endAll, newFolder, run as runCommand, type Served, serve } from "./served.ts";
import { readBook, type ToolLine } from "./tool-book.ts";
import { until, within } from "./until.ts";

const configFile = fileURLToPath(new URL("kill-9.config.ts", import.meta.url));
/** Nano-dollars a token, as the configuration has them. */
const inputNano = 400;
const outputNano = 1_600;

type World = {
  readonly scripts: Scripts;
  readonly data: string;
  readonly book: () => readonly ToolLine[];
  readonly env: { readonly [name: string]: string };
  serve(): Promise<Served>;
  order(order: Order): void;
};

async function world(): Promise<World> {
  const scripts = await startScripts();
  onTestFinished(() => scripts.server.close());
  const cwd = newFolder();
  const data = join(cwd, "data");
  const book = join(cwd, "book.jsonl");
  const env = {
    ESCAPEMENT_CONFIG: configFile,
    ESCAPEMENT_DATA: data,
    WHOLE_PATH_PROVIDER: scripts.server.url,
    WHOLE_PATH_BOOK: book,
  };
  mkdirSync(data);
  return {
    scripts,
    data,
    env,
    book: () => readBook(book),
    serve: () => serve({ cwd, env }),
    order: (order) => writeFileSync(join(data, "order.json"), JSON.stringify(order)),
  };
}

afterEach(endAll);

/** Three steps with a tool each, then the answer; what is asked for depends on the conversation alone, so a repeated call gets the same. */
const steps = ({ results }: Asked): Answer =>
  results < 3
    ? { text: `Step ${results + 1}.`, tools: [{ id: `use_${results}`, name: "note", input: { text: `n${results + 1}` } }] }
    : { text: "All three are noted, as you wished." };

const resultsIn = ({ request }: FaultEntry): number =>
  request.json().messages.filter(({ role }: { role: string }) => role === "tool").length;

/** What the provider's own books say that an answer cost. */
const invoiceNano = (entries: readonly FaultEntry[]): number =>
  entries.filter(({ isPlayed }) => isPlayed).reduce((sum, { textTokensSent }) => sum + 10 * inputNano + textTokensSent * outputNano, 0);

/** All that must hold of a run of {@link steps} that ended, however often its process died. */
function checkRun(transcript: Transcript, run: RunBody, entries: readonly FaultEntry[], tools: readonly ToolLine[]): { lost: number } {
  expect(run).toMatchObject({ status: "done", output: "All three are noted, as you wished.", held_microusd: 0, tool_calls: 3 });
  expect(transcript.of("run.finished")).toHaveLength(1);
  expect(transcript.end).toMatchObject({ status: "done", output: run.output, cost_microusd: run.cost_microusd, calls: run.calls });
  const started = transcript.of("call.started");
  const finished = transcript.of("call.finished");
  expect(finished.map(({ call }) => call)).toEqual(started.map(({ call }) => call));
  const lost = finished.filter(({ finish }) => finish === "lost");
  expect(lost.length).toBeLessThanOrEqual(1);
  expect(finished.filter(({ finish }) => finish !== "lost").map(({ finish }) => finish)).toEqual(["tools", "tools", "tools", "stop"]);
  expect(run.calls).toBe(4 + lost.length);
  expect(run.usage.estimated).toBe(lost.length > 0);

  // The provider was asked once for each step, and once more only for the call that was lost.
  const lostSteps = lost.map(({ call }) => started.find((other) => other.call === call)?.step);
  for (let step = 1; step <= 4; step++) {
    const asked = entries.filter((entry) => resultsIn(entry) === step - 1).length;
    expect(asked, `requests of step ${step}`).toBeGreaterThanOrEqual(1);
    expect(asked, `requests of step ${step}`).toBeLessThanOrEqual(lostSteps.includes(step) ? 2 : 1);
  }

  // Money: a lost call costs its hold, every other what the provider says; nothing else.
  for (const call of lost) {
    const hold = started.find((other) => other.call === call.call)?.hold_microusd;
    expect(call).toMatchObject({ cost_microusd: hold, usage: { estimated: true } });
  }
  const costs = finished.reduce((sum, { cost_microusd }) => sum + Math.round(cost_microusd * 1_000), 0);
  expect(Math.round(run.cost_microusd * 1_000)).toBe(costs);
  expect(costs).toBeGreaterThanOrEqual(invoiceNano(entries));

  // Each tool was used once; one that was at work when the process died, again under the same key.
  const returned = transcript.of("tool.returned");
  expect(returned.map(({ output }) => output)).toEqual(["noted n1", "noted n2", "noted n3"]);
  const keys = [...new Set(tools.map(({ key }) => key))];
  expect(keys).toHaveLength(3);
  const uses = keys.map((key) => tools.filter((line) => line.key === key && line.what === "begun").length);
  expect(Math.max(...uses)).toBeLessThanOrEqual(2);
  expect(uses.filter((count) => count === 2).length + lost.length, "one thing was under way at the kill").toBeLessThanOrEqual(1);
  return { lost: lost.length };
}

type Told = { transcript: Transcript | undefined };

/** Starts under a key until it is told which run it is: the same one, however often. */
async function startOrJoin(url: string, input: string, told: Told): Promise<{ socket: ProtocolSocket; died: boolean }> {
  const socket = await ProtocolSocket.open(url);
  try {
    if (told.transcript) await socket.resume(told.transcript);
    else told.transcript = await socket.start({ agent: "worker", input, idempotency_key: input });
    const closed = socket.closed.then(({ code }) => Promise.reject(new Error(`the socket closed with ${code}`)));
    await Promise.race([told.transcript.finished(), closed]);
    return { socket, died: false };
  } catch (error) {
    socket.check();
    if (socket.ws.readyState === socket.ws.OPEN) throw error;
    return { socket, died: true };
  }
}

/** The system's meter as the file has it, read by a connection of our own. */
async function meters(data: string): Promise<{ spentNano: number; heldNano: number }> {
  const store = sqliteInThread(join(data, "runs.db"));
  try {
    const all = await store.meters();
    return {
      spentNano: all.reduce((sum, { spentNano }) => sum + spentNano, 0),
      heldNano: all.reduce((sum, { heldNano }) => sum + heldNano, 0),
    };
  } finally {
    await store.close();
  }
}

const commitsIn = (data: string): string[] =>
  readFileSync(join(data, "commits.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

/** The commits of one undisturbed run; each of them is a boundary. */
const boundaries = [
  "accept + turn 1 (start, asks call 0)",
  "turn 2 (outcome of 0, asks tool 1)",
  "turn 3 (outcome of 1, asks call 2)",
  "turn 4 (outcome of 2, asks tool 3)",
  "turn 5 (outcome of 3, asks call 4)",
  "turn 6 (outcome of 4, asks tool 5)",
  "turn 7 (outcome of 5, asks call 6)",
  "turn 8 (outcome of 6)",
];

describe("SIGKILL", () => {
  test.for(["before", "during", "after"] as const)(
    "%s each commit of a run with three tools: the next process ends it, and nothing is done twice",
    { timeout: 300_000 },
    async (when) => {
      const { scripts, data, book, order, serve, env } = await world();
      let server = await serve();
      let lost = 0;
      let readyMs = server.readyMs;
      const costs: number[] = [];
      const ids = new Set<string>();

      // Undisturbed, to know the boundaries.
      scripts.on("undisturbed", steps);
      const calm: Told = { transcript: undefined };
      const first = await startOrJoin(server.url, "undisturbed", calm);
      first.socket.close();
      expect(commitsIn(data)).toEqual(boundaries);

      for (const [index, name] of boundaries.entries()) {
        const input = `${when} ${name}`;
        scripts.on(input, steps);
        order({ when, commit: index + 1 });
        const told: Told = { transcript: undefined };
        const { died, socket } = await startOrJoin(server.url, input, told);
        const exit = await within(`the death ${when} ${name}`, server.exited);
        expect(exit.signal).toBe("SIGKILL");
        // Only at the last commit the run may have ended for the client, and then it has not: nobody was told.
        expect(died).toBe(true);
        socket.close();
        expect(existsSync(join(data, "order.json"))).toBe(false);

        server = await serve();
        readyMs = Math.max(readyMs, server.readyMs);
        const again = await startOrJoin(server.url, input, told);
        expect(again.died).toBe(false);
        again.socket.close();
        const transcript = told.transcript as Transcript; // it has been told of its end
        const joined = await post(server.url, "/v1/runs", { agent: "worker", input }, { "idempotency-key": input });
        expect([joined.status, joined.headers.get("idempotent-replayed")]).toEqual([200, "true"]);
        const run = joined.body as RunBody; // the answer to a start is the Run
        expect(run.id).toBe(transcript.run);
        const tools = book().filter((line) => line.run === run.id);
        const result = checkRun(transcript, run, scripts.of(input), tools);
        lost += result.lost;
        costs.push(Math.round(run.cost_microusd * 1_000));
        ids.add(run.id);
        // Whoever reads it from the start later sees the same facts.
        const facts = (await (await fetch(`${server.url}/v1/runs/${run.id}/events`, { headers: { accept: "application/json" } })).json())
          .data;
        expect(transcript.events.filter(({ type }) => !type.endsWith(".delta"))).toEqual(facts);
      }

      // One run a start, and no money held: the system's meter is the sum of the runs.
      const listed = (await (await fetch(`${server.url}/v1/runs?limit=100`)).json()).data as RunBody[]; // the protocol's list
      expect(listed.map(({ status }) => status)).toEqual(listed.map(() => "done"));
      expect(listed).toHaveLength(boundaries.length + 1);
      const calmCost = Math.round((await getRun(server.url, calm.transcript?.run ?? "")).cost_microusd * 1_000);
      expect(await meters(data)).toEqual({ spentNano: costs.reduce((sum, cost) => sum + cost, calmCost), heldNano: 0 });
      const [some] = ids;
      const replayed = await runCommand({ cwd: data, env, args: ["replay", String(some)] });
      expect([replayed.code, replayed.stderr]).toEqual([0, ""]);
      expect(replayed.stdout).toContain("the same as recorded");
      console.log(
        `SIGKILL ${when}: ${boundaries.length} boundaries, ${boundaries.length} kills, ${lost} calls lost and made again, ` +
          `${book().filter(({ what }) => what === "begun").length} tool uses for ${3 * (boundaries.length + 1)} requested, slowest restart ${Math.round(readyMs)} ms`,
      );
    },
  );

  test("within a stream: a client that comes back sees what was shown retracted, and the answer whole", { timeout: 120_000 }, async () => {
    const { scripts, serve } = await world();
    const words = (count: number) => Array.from({ length: count }, (_, index) => `w${index} `);
    scripts.on("stream", ({ call }) => (call === 0 ? { text: words(10_000), paceMs: 5 } : { text: words(50), paceMs: 1 }));
    const first = await serve();
    const socket = await ProtocolSocket.open(first.url);
    const transcript = await socket.start({ agent: "single", input: "stream" });
    await transcript.until("text", ({ type }) => type === "text.delta");
    await first.end("SIGKILL");
    await socket.closed;
    socket.check();
    expect(await (await scripts.entry("stream", 0)).over).toBeDefined();

    const second = await serve();
    const back = await ProtocolSocket.open(second.url);
    await back.resume(transcript);
    await transcript.finished();
    back.check();
    expect(transcript.of("call.finished").map(({ finish }) => finish)).toEqual(["lost", "stop"]);
    expect(transcript.of("retract")).toMatchObject([{ call: "c0", reason: "lost" }]);
    expect(transcript.end).toMatchObject({ status: "done", output: words(50).join("") });
    const [hold] = transcript.of("call.started").map(({ hold_microusd }) => hold_microusd);
    const cost = (hold ?? 0) + (10 * inputNano + 50 * outputNano) / 1_000;
    expect(transcript.end?.cost_microusd).toBeCloseTo(cost, 6);
    expect(scripts.of("stream")).toHaveLength(2);
  });

  test("within a tool that may act once: it is not done again, a person says what happened", { timeout: 120_000 }, async () => {
    const { scripts, serve, book } = await world();
    scripts.on("pay", ({ results }) => (results === 0 ? { tools: [{ name: "pay", input: { text: "rent" } }] } : { text: "Paid." }));
    const first = await serve();
    const socket = await ProtocolSocket.open(first.url);
    const transcript = await socket.start({ agent: "worker", input: "pay" });
    await until("the payment", () => book().some(({ what }) => what === "begun"));
    await first.end("SIGKILL");

    const second = await serve();
    const back = await ProtocolSocket.open(second.url);
    await back.resume(transcript);
    const question = await transcript.until("the question", (event) => event.type === "input.requested");
    expect(question).toMatchObject({ kind: "question", tool: "pay" });
    expect(transcript.of("tool.failed")).toMatchObject([{ tool: "pay", error: { code: "tool_unknown" } }]);
    const { id } = transcript.of("input.requested")[0] as { id: string }; // it was just waited for
    const answered = await back.ask({ type: "answer", run: transcript.run, id, value: { took_effect: true, output: "receipt 7" } });
    expect(answered.type).toBe("ok");
    await transcript.finished();
    back.check();
    expect(transcript.end).toMatchObject({ status: "done", output: "Paid." });
    expect(book().map(({ what }) => what)).toEqual(["begun"]);
    expect(scripts.of("pay")).toHaveLength(2);
    expect(scripts.of("pay")[1]?.request.body).toContain("receipt 7");
  });

  test("after an answer was stored and before its sender was told: it counts, and the same key says so", { timeout: 120_000 }, async () => {
    const { scripts, serve, book, order, data } = await world();
    scripts.on("deploy", ({ results }) =>
      results === 0 ? { tools: [{ name: "deploy", input: { text: "v2" } }] } : { text: "It is out." },
    );
    const first = await serve();
    const socket = await ProtocolSocket.open(first.url);
    const transcript = await socket.start({ agent: "worker", input: "deploy" });
    await transcript.until("the question", (event) => event.type === "input.requested");
    const { id, input_hash } = transcript.of("input.requested")[0] as { id: string; input_hash: string }; // it was just waited for
    const answer = { id, approve: true, input_hash };
    order({ when: "after", message: true });
    await expect(post(first.url, `/v1/runs/${transcript.run}/answers`, answer, { "idempotency-key": "yes" })).rejects.toThrow();
    expect((await first.exited).signal).toBe("SIGKILL");
    expect(existsSync(join(data, "order.json"))).toBe(false);

    const second = await serve();
    const again = await post(second.url, `/v1/runs/${transcript.run}/answers`, answer, { "idempotency-key": "yes" });
    expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([202, "true"]);
    const back = await ProtocolSocket.open(second.url);
    await back.resume(transcript);
    await transcript.finished();
    back.check();
    expect(transcript.end).toMatchObject({ status: "done", output: "It is out." });
    expect(transcript.of("input.resolved")).toMatchObject([{ id, by: "user" }]);
    expect(book().filter(({ what }) => what === "begun")).toHaveLength(1);
    const twice = await post(second.url, `/v1/runs/${transcript.run}/answers`, answer);
    expect(twice).toMatchObject({ status: 409, body: { error: { code: "conflict" } } });
  });
});

describe("SIGTERM", () => {
  test("sent on the line that says ready: exits 0, as it does at any other time", { timeout: 120_000 }, async () => {
    const { serve } = await world();
    const server = await serve();
    const exit = await server.end("SIGTERM");
    expect({ code: exit.code, signal: exit.signal }).toEqual({ code: 0, signal: null });
    console.log(`SIGTERM with nothing to do: exit 0 after ${Math.round(exit.ms)} ms`);
  });

  test("drains, exits 0 within 5 s, and what ran goes on at the next start", { timeout: 120_000 }, async () => {
    const { scripts, serve } = await world();
    scripts.on("drained", ({ call }) =>
      call === 0 ? { text: ["Long ", "ago"], firstTokenDelayMs: 1, cut: { after: 2, by: "hang" } } : { text: "Here again." },
    );
    const first = await serve();
    const socket = await ProtocolSocket.open(first.url);
    const transcript = await socket.start({ agent: "single", input: "drained" });
    await transcript.until("text", ({ type }) => type === "text.delta");
    const exit = await first.end("SIGTERM");
    console.log(`SIGTERM with a run and a socket: exit ${exit.code} after ${Math.round(exit.ms)} ms`);
    expect({ code: exit.code, signal: exit.signal }).toEqual({ code: 0, signal: null });
    expect(exit.ms).toBeLessThan(5_000);
    expect((await socket.closed).code).toBe(1001);
    expect(socket.others).toMatchObject([{ type: "drain", retry_ms: expect.any(Number) }]);
    socket.check();
    expect(transcript.end).toBeUndefined();

    const second = await serve();
    const back = await ProtocolSocket.open(second.url);
    await back.resume(transcript);
    await transcript.finished();
    back.check();
    // The one call that was cut is charged for what it had sent; what was asked for while the server went down had not begun.
    expect(transcript.of("call.finished").map(({ finish }) => finish)).toEqual(["lost", "stop"]);
    expect(transcript.end).toMatchObject({ status: "done", output: "Here again.", calls: 2 });
    expect(transcript.of("call.finished")[0]?.cost_microusd).toBeLessThan(transcript.of("call.started")[0]?.hold_microusd ?? 0);
  });

  test("while a request waits: not ready, nothing new is taken, the waiting one is told where its run is", {
    timeout: 120_000,
  }, async () => {
    const { scripts, serve } = await world();
    scripts.on("waiting", ({ call }) => (call === 0 ? [{ hang: true }] : { text: "Later." }));
    const first = await serve();
    const waiting = post(first.url, "/v1/runs", { agent: "single", input: "waiting" });
    await scripts.entry("waiting", 0);
    // A request that has not arrived yet is let end: the server still answers meanwhile.
    const slow = connect(Number(new URL(first.url).port), "127.0.0.1");
    slow.on("error", () => {});
    slow.write("POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{");
    await until("the slow request", async () =>
      (await (await fetch(`${first.url}/metrics`)).text()).includes("escapement_http_requests_in_flight 3"),
    );
    const from = performance.now();
    const ending = first.end("SIGTERM");
    const told = await waiting;
    const toldMs = performance.now() - from;
    await until("not ready", async () => (await fetch(`${first.url}/readyz`)).status === 503);
    const refused = await post(first.url, "/v1/runs", { agent: "single", input: "too late" });
    expect(refused).toMatchObject({
      status: 503,
      body: { error: { code: "unavailable", retryable: true, details: { reason: "draining" } } },
    });
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(toldMs).toBeLessThan(2_000);
    expect(told).toMatchObject({
      status: 503,
      body: { error: { code: "unavailable", run: expect.any(String), details: { reason: "draining" } } },
    });
    const { run } = (told.body as { error: { run: string } }).error; // matched above
    expect(told.headers.get("location")).toBe(`/v1/runs/${run}`);
    const exit = await ending;
    expect(exit.code).toBe(0);

    const second = await serve();
    const done = await until("the end", async () => {
      const now = await getRun(second.url, run);
      return now.status === "done" && now;
    });
    expect(done).toMatchObject({ output: "Later.", held_microusd: 0 });
    expect(scripts.of("too late")).toEqual([]);
    console.log(`SIGTERM with a request that waits: told after ${Math.round(toldMs)} ms, exit 0 after ${Math.round(exit.ms)} ms`);
  });
});
