import { describe, expect, test } from "vitest";
import { connect, eventually, isFinished, kinds, world } from "./world.ts";

describe("frames", () => {
  test("a start is answered before the run's first event, and the events come in order to the end", async () => {
    const { url } = await world();
    const socket = await connect(url);
    expect(socket.ws.protocol).toBe("escapement.v1");
    socket.send({ type: "start", ref: 1, agent: "assistant", input: "hi" });
    const frames = await socket.until(isFinished);
    expect(frames[0]).toEqual({ type: "ok", ref: 1, run: "run_1" });
    expect(kinds(frames)).toEqual(["ok", "run.accepted", "run.started", "call.started", "text.delta", "call.finished", "run.finished"]);
    expect(await socket.ask({ type: "ping", ref: "p" })).toEqual({ type: "pong", ref: "p" });
  });

  test.for([
    ["text that is not JSON", "{nope", { path: "" }, undefined],
    ["a list", "[1]", { path: "" }, undefined],
    ["an unknown type", { type: "strat", ref: 7 }, { path: "type" }, 7],
    ["no type", { ref: 7 }, { path: "type" }, 7],
    ["no ref", { type: "ping" }, { path: "ref" }, undefined],
    ["a ref that is no string or number", { type: "ping", ref: {} }, { path: "ref" }, undefined],
    ["an unknown key", { type: "start", ref: 7, agent: "assistant", input: "x", sesion: "s" }, { path: "sesion" }, 7],
    [
      "an unknown limit",
      { type: "start", ref: 7, agent: "assistant", input: "x", limits: { max_cost: 1 } },
      { path: "limits.max_cost" },
      7,
    ],
    ["a wrong value", { type: "start", ref: 7, agent: "assistant", input: "x", limits: { max_steps: 0 } }, { path: "limits.max_steps" }, 7],
    ["a missing field", { type: "cancel", ref: 7 }, { path: "run" }, 7],
    ["an answer without a form", { type: "answer", ref: 7, run: "run_1", id: "q1" }, { path: "approve" }, 7],
    ["an answer with a misspelt key", { type: "answer", ref: 7, run: "run_1", id: "q1", aprove: true }, { path: "aprove" }, 7],
    ["depth 100", `{"type":"start","ref":7,"agent":"assistant","input":${"[".repeat(100)}${"]".repeat(100)}}`, { path: "" }, undefined],
    ["a forbidden key", '{"type":"start","ref":7,"agent":"assistant","input":{"__proto__":1}}', { path: "input.__proto__" }, undefined],
    ["a forbidden key in escapes", '{"type":"ping","ref":7,"\\u005f_proto__":1}', { path: "__proto__" }, undefined],
  ] as const)("%s gets invalid_request and the socket lives on", async ([, frame, details, ref]) => {
    const { url } = await world();
    const socket = await connect(url);
    const answer = await socket.ask(frame);
    expect(answer).toMatchObject({ type: "error", error: { code: "invalid_request", retryable: false, details } });
    expect(answer.ref).toBe(ref);
    expect(await socket.ask({ type: "ping", ref: 1 })).toEqual({ type: "pong", ref: 1 });
  });

  test("the message names the key that was probably meant", async () => {
    const { url } = await world();
    const socket = await connect(url);
    const answer = await socket.ask({ type: "start", ref: 1, agent: "assistant", input: "x", limits: { max_cost_microusd_: 1 } });
    expect((answer.error as { message: string }).message).toBe(
      'unknown key "max_cost_microusd_" in limits; did you mean "max_cost_microusd"?',
    );
  });

  test("what the runtime refuses is the answer to its frame", async () => {
    const { url, defects } = await world();
    const socket = await connect(url);
    expect(await socket.ask({ type: "start", ref: 1, agent: "nobody", input: "x" })).toMatchObject({
      ref: 1,
      error: { code: "not_found" },
    });
    expect(await socket.ask({ type: "cancel", ref: 2, run: "run_9" })).toMatchObject({ ref: 2, error: { code: "not_found" } });
    expect(await socket.ask({ type: "subscribe", ref: 3, run: "run_9" })).toMatchObject({ ref: 3, error: { code: "not_found" } });
    expect(await socket.ask({ type: "watch", ref: 4 })).toMatchObject({ ref: 4, error: { code: "not_found" } });
    const broken = await socket.ask({ type: "start", ref: 5, agent: "broken", input: "x" });
    expect(broken).toMatchObject({ ref: 5, error: { code: "internal", retryable: false } });
    expect(JSON.stringify(broken)).not.toContain("secret");
    expect(defects).toHaveLength(1);
  });

  test("a binary frame is an error, and the tenth bad frame in a row closes with 4000", async () => {
    const { url } = await world();
    const socket = await connect(url);
    for (let bad = 0; bad < 9; bad++) socket.ws.send(Buffer.from("{}"));
    socket.send({ type: "ping", ref: 1 });
    const frames = await socket.until((frame) => frame.type === "pong");
    expect(kinds(frames)).toEqual([...Array(9).fill("error"), "pong"]);
    for (let bad = 0; bad < 10; bad++) socket.send("nope");
    expect((await socket.closed).code).toBe(4000);
  });

  test("a frame over 256 KiB closes with 1009, and others are served on", async () => {
    const { url } = await world();
    const socket = await connect(url);
    const other = await connect(url);
    socket.send({ type: "start", ref: 1, agent: "assistant", input: "x".repeat(300 * 1024) });
    expect((await socket.closed).code).toBe(1009);
    expect(await other.ask({ type: "start", ref: 1, agent: "assistant", input: "x".repeat(250 * 1024) })).toMatchObject({ type: "ok" });
  });

  test("a message in too many fragments closes with 1008", async () => {
    const { url } = await world();
    const socket = await connect(url);
    for (let part = 0; part < 1_100; part++) socket.ws.send("x", { fin: false });
    expect((await socket.closed).code).toBe(1008);
  });

  test("2,000 frames are taken at once, and a flood beyond that closes with 1008", async () => {
    const { url } = await world({ limits: { framesPerSecond: 0.001 } });
    const socket = await connect(url);
    for (let ref = 1; ref <= 2_000; ref++) socket.send({ type: "ping", ref });
    const frames = await socket.until((frame) => frame.ref === 2_000);
    expect(frames.map((frame) => frame.ref)).toEqual(Array.from({ length: 2_000 }, (_, index) => index + 1));
    socket.send({ type: "ping", ref: 0 });
    expect((await socket.closed).code).toBe(1008);
  });

  test("a flood of control frames closes with 1008 too", async () => {
    const { url } = await world({ limits: { burst: 50, framesPerSecond: 0.001 } });
    const socket = await connect(url);
    for (let ping = 0; ping <= 50; ping++) socket.ws.ping();
    expect((await socket.closed).code).toBe(1008);
  });

  test("answers come in the order of the frames, however long each takes", async () => {
    const { runtime, url } = await world();
    const socket = await connect(url);
    let open = () => {};
    runtime.gate = new Promise((resolve) => {
      open = resolve;
    });
    const started = new Promise<void>((resolve) => {
      let starts = 0;
      runtime.onStart = () => ++starts === 2 && resolve();
    });
    socket.send({ type: "start", ref: 1, agent: "assistant", input: "x" });
    socket.send({ type: "start", ref: 2, agent: "nobody", input: "x" });
    socket.send({ type: "ping", ref: 3 });
    // Starts side by side wait for the disk together.
    await started;
    open();
    const answers: unknown[] = [];
    while (answers.length < 3) {
      const frame = await socket.next();
      if (frame.type !== "event") answers.push([frame.type, frame.ref]);
    }
    expect(answers).toEqual([
      ["ok", 1],
      ["error", 2],
      ["pong", 3],
    ]);
  });
});

describe("subscriptions", () => {
  test("resume from a cursor gives exactly the rest", async () => {
    const { runtime, url } = await world();
    runtime.script = (run) => {
      run.fact({ type: "run.started" });
      run.call();
      run.text("Hello wor");
    };
    const first = await connect(url);
    first.send({ type: "start", ref: 1, agent: "assistant", input: "x" });
    await first.until((frame) => frame.type === "event" && (frame.event as { type: string }).type === "text.delta");
    first.ws.terminate();
    const second = await connect(url);
    second.send({ type: "subscribe", ref: 1, run: "run_1", after: "3/c1=6" });
    runtime.only().text("ld");
    runtime.only().finish();
    const frames = await second.until(isFinished);
    expect(kinds(frames)).toEqual(["ok", "text.delta", "text.delta", "call.finished", "run.finished"]);
    const texts = frames.flatMap((frame) => (frame.event as { text?: string; type: string } | undefined) ?? []);
    expect(texts.filter((event) => event.type === "text.delta").map((event) => event.text)).toEqual(["wor", "ld"]);
  });

  test.for(["x", "12/", "12/c1", "-1", "99"])("the cursor %s is refused", async (after) => {
    const { url } = await world();
    const socket = await connect(url);
    await socket.ask({ type: "start", ref: 1, agent: "assistant", input: "x" });
    expect(await socket.ask({ type: "subscribe", ref: 2, run: "run_1", after })).toMatchObject({
      type: "error",
      ref: 2,
      error: { code: "invalid_request", details: { path: "after" } },
    });
  });

  test("a second subscription to a run replaces the first", async () => {
    const { runtime, url } = await world();
    runtime.script = () => {};
    const socket = await connect(url);
    await socket.ask({ type: "start", ref: 1, agent: "assistant", input: "x" });
    expect(await socket.ask({ type: "subscribe", ref: 2, run: "run_1" })).toEqual({ type: "ok", ref: 2, run: "run_1" });
    runtime.only().finish();
    const frames = await socket.until(isFinished);
    expect(kinds(frames)).toEqual(["run.accepted", "run.finished"]);
    await eventually(() => runtime.only().readers).toBe(0);
  });

  test("after unsubscribe no event comes, and after the run's end the place is free", async () => {
    const { runtime, url } = await world({ limits: { subscriptions: 1 } });
    runtime.script = () => {};
    const socket = await connect(url);
    await socket.ask({ type: "start", ref: 1, agent: "assistant", input: "x" });
    expect(await socket.ask({ type: "start", ref: 2, agent: "assistant", input: "x" })).toMatchObject({ error: { code: "overloaded" } });
    expect(await socket.ask({ type: "unsubscribe", ref: 3, run: "run_1" })).toEqual({ type: "ok", ref: 3, run: "run_1" });
    runtime.only().finish();
    socket.send({ type: "start", ref: 4, agent: "assistant", input: "x" });
    expect((await socket.next()).ref).toBe(4);
    runtime.runs.get("run_2")?.finish();
    await socket.until(isFinished);
    expect(await socket.ask({ type: "subscribe", ref: 5, run: "run_1" })).toMatchObject({ type: "ok" });
  });

  test("a reader that fails ends its subscription with an error that names the run", async () => {
    const { runtime, url, defects } = await world();
    runtime.script = () => {};
    const socket = await connect(url);
    await socket.ask({ type: "start", ref: 1, agent: "assistant", input: "x" });
    await socket.next();
    runtime.only().failure = new TypeError("broken store");
    runtime.only().wake();
    expect(await socket.next()).toMatchObject({ type: "error", error: { code: "internal", run: "run_1" } });
    expect(defects).toHaveLength(1);
  });
});

describe("the socket's end", () => {
  test("cancels runs that were started with cancel_on_disconnect, and no others", async () => {
    const { runtime, url } = await world();
    runtime.script = () => {};
    const socket = await connect(url);
    await socket.ask({ type: "start", ref: 1, agent: "assistant", input: "x", cancel_on_disconnect: true });
    await socket.ask({ type: "start", ref: 2, agent: "assistant", input: "x" });
    await socket.ask({ type: "start", ref: 3, agent: "assistant", input: "x", cancel_on_disconnect: true });
    await socket.ask({ type: "unsubscribe", ref: 4, run: "run_3" });
    socket.ws.terminate();
    await eventually(() => [...runtime.runs.values()].map((run) => run.status)).toEqual(["cancelled", "running", "cancelled"]);
    await eventually(() => runtime.runs.get("run_2")?.readers).toBe(0);
  });

  test("cancels a run that became durable only after the socket was gone", async () => {
    const { runtime, url } = await world();
    runtime.script = () => {};
    let open = () => {};
    runtime.gate = new Promise((resolve) => {
      open = resolve;
    });
    const reached = new Promise<void>((resolve) => {
      runtime.onStart = resolve;
    });
    const socket = await connect(url);
    socket.send({ type: "start", ref: 1, agent: "assistant", input: "x", cancel_on_disconnect: true });
    await reached;
    socket.ws.close();
    await socket.closed;
    open();
    await eventually(() => runtime.runs.get("run_1")?.status).toBe("cancelled");
    expect(runtime.only().readers).toBe(0);
  });

  test("drain is told, frames under way are answered, then 1001; runs are left alone", async () => {
    const { runtime, url, listening } = await world();
    runtime.script = () => {};
    const socket = await connect(url);
    await socket.ask({ type: "start", ref: 1, agent: "assistant", input: "x", cancel_on_disconnect: true });
    const closing = listening.close(1_000);
    const drain = (await socket.until((frame) => frame.type === "drain")).at(-1);
    expect(drain?.retry_ms).toBeGreaterThanOrEqual(1_000);
    expect(drain?.retry_ms).toBeLessThanOrEqual(3_000);
    expect((await socket.closed).code).toBe(1001);
    await closing;
    expect(runtime.only().status).toBe("running");
  });

  test("two unanswered pings end the socket", async () => {
    const { url } = await world({ intervals: { pingMs: 20, sweepMs: 5 } });
    const answering = await connect(url);
    const silent = await connect(url, { autoPong: false });
    let pings = 0;
    silent.ws.on("ping", () => pings++);
    expect((await silent.closed).code).toBe(1006);
    expect(pings).toBe(2);
    expect(await answering.ask({ type: "ping", ref: 1 })).toEqual({ type: "pong", ref: 1 });
  });
});

describe("slow readers", () => {
  test("hold at most 1 MiB on the server, keep every fact, and are closed with 4008 when they take nothing", async () => {
    const { runtime, url } = await world({ intervals: { slowMs: 150, sweepMs: 10 } });
    const facts = 400;
    runtime.script = (run) => {
      for (let index = 0; index < facts; index++) run.fact({ type: "progress", message: "x".repeat(64 * 1024), done: index });
    };
    const socket = await connect(url);
    socket.ws.pause();
    socket.send({ type: "start", ref: 1, agent: "assistant", input: "x" });
    // The server gives up on it; what was sent before is still on its way, and the close code behind it.
    await eventually(async () => (await (await fetch(`${url}/metrics`)).text()).match(/slow_readers_total (\d)/)?.[1]).toBe("1");
    socket.ws.resume();
    expect((await socket.closed).code).toBe(4008);
    const seen: number[] = [];
    // Elsewhere nobody is in a hurry, however busy this machine is.
    const again = await connect((await world({}, runtime)).url);
    again.send({ type: "subscribe", ref: 1, run: "run_1" });
    runtime.only().finish();
    for (const frame of await again.until(isFinished)) {
      const event = frame.event as { type: string; done?: number } | undefined;
      if (event?.type === "progress") seen.push(event.done!);
    }
    expect(seen).toEqual(Array.from({ length: facts }, (_, index) => index));
  });

  test("that take something now and then are served to the end", async () => {
    const { runtime, url } = await world({ intervals: { slowMs: 400, sweepMs: 10 } });
    runtime.script = (run) => {
      for (let index = 0; index < 300; index++) run.fact({ type: "progress", message: "x".repeat(64 * 1024), done: index });
      run.finish();
    };
    const socket = await connect(url);
    socket.ws.on("message", () => {
      socket.ws.pause();
      setTimeout(() => socket.ws.resume(), 2);
    });
    socket.send({ type: "start", ref: 1, agent: "assistant", input: "x" });
    const frames = await socket.until(isFinished);
    expect(frames).toHaveLength(303);
  });
});

describe("the handshake", () => {
  test.for([
    ["a foreign origin", { origin: "https://evil.example" }, 403],
    ["the origin null", { origin: "null" }, 403],
    ["an origin with our name as a prefix", { origin: "OWN.evil.example" }, 403],
    ["another port of this machine", { origin: "http://127.0.0.1:1" }, 403],
    ["a foreign host", { headers: { host: "rebound.example" } }, 403],
    ["no subprotocol", { protocols: [] }, 400],
    ["another subprotocol", { protocols: ["other"] }, 400],
  ] as const)("with %s is refused", async ([, options, status]) => {
    const { url } = await world();
    const given = "origin" in options ? { origin: options.origin.replace("OWN", url) } : options;
    await expect(connect(url, given as object)).rejects.toThrow(`Unexpected server response: ${status}`);
  });

  test("with our own origin, an allowed one or none is taken", async () => {
    const { url } = await world({ origins: ["https://app.example/"] });
    await connect(url, { origin: url });
    await connect(url, { origin: "https://app.example" });
    await connect(url);
    await connect(url, { protocols: ["escapement.v1", "bearer.abc"] });
    await connect(url, { headers: { host: "localhost:9999" } });
  });
});
