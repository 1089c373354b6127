import { describe, expect, onTestFinished, test } from "vitest";
import { type Client, type ClientOptions, connect, EscapementError } from "../../src/client/index.ts";
import type { Event } from "../../src/protocol/events.ts";
import type { EventReader } from "../../src/protocol/runs.ts";
import { createServer } from "../../src/server/server.ts";
import { eventually, world } from "../server/world.ts";
import { network } from "./unreliable-network.ts";

function client(url: string, options: ClientOptions = {}): Client {
  const made = connect(url, { backoffMs: [1, 20], ...options });
  onTestFinished(() => made.close());
  return made;
}

async function collect(events: AsyncIterable<Event>): Promise<Event[]> {
  const collected: Event[] = [];
  for await (const event of events) collected.push(event);
  return collected;
}

const textOf = (events: readonly Event[]) => events.map((event) => (event.type === "text.delta" ? event.text : "")).join("");
const factsOf = (events: readonly Event[]) => events.filter((event) => !event.type.endsWith(".delta"));
const hello = { agent: "assistant", input: "hi" };

/** Facts without gap or repetition, and every delta where the last one ended. */
function checkExact(events: readonly Event[]): void {
  expect(factsOf(events).map((event) => event.seq)).toEqual(Array.from({ length: factsOf(events).length }, (_, index) => index + 1));
  let offset = 0;
  for (const event of events) {
    if (event.type !== "text.delta") continue;
    expect(event.offset).toBe(offset);
    offset += event.text.length;
  }
}

describe("a run seen from afar", () => {
  test("is started, followed to its end, and read", async () => {
    const { url } = await world();
    const runs = client(url);
    const run = await runs.start(hello);
    expect([run.id, run.replayed]).toEqual(["run_1", false]);
    const events = await collect(run);
    checkExact(events);
    expect(events.map((event) => event.type)).toEqual([
      "run.accepted",
      "run.started",
      "call.started",
      "text.delta",
      "call.finished",
      "run.finished",
    ]);
    expect(await run.result()).toMatchObject({ id: "run_1", status: "done", output: "Hello" });
    expect(await runs.get("run_1")).toMatchObject({ status: "done" });
    expect((await runs.list({ status: "done", limit: 5 })).data).toHaveLength(1);
    expect((await runs.agents())[0]?.name).toBe("assistant");
  });

  test("gives its result while it is also being read, and without being read", async () => {
    const { url, runtime } = await world();
    runtime.script = (run) => run.call();
    const runs = client(url);
    const read = await runs.start(hello);
    const collecting = collect(read);
    const result = read.result();
    const unread = await runs.start(hello);
    const other = unread.result();
    for (const run of runtime.runs.values()) {
      run.text("Hello");
      run.finish();
    }
    expect([(await result).status, (await other).status]).toEqual(["done", "done"]);
    checkExact(await collecting);
    expect((await runs.run("run_2").result()).output).toBe("Hello");
  });

  test("is cancelled and answered", async () => {
    const { url, runtime } = await world();
    runtime.script = () => {};
    const runs = client(url);
    const run = await runs.start(hello);
    expect(await run.answer({ id: "q1", approve: true })).toMatchObject({ id: "run_1" });
    await expect(run.answer({ id: "q1", approve: false })).rejects.toMatchObject({ code: "conflict" });
    expect(runtime.only().answers).toEqual([{ id: "q1", approve: true }]);
    expect(await run.cancel("enough")).toMatchObject({ status: "cancelled" });
    expect(await run.cancel()).toMatchObject({ status: "cancelled" });
    expect(runtime.only().cancelReasons).toEqual(["enough"]);
  });

  test("that does not exist fails with not_found in every method", async () => {
    const { url } = await world();
    const run = client(url).run("run_9");
    const methods = [
      () => run.result(),
      () => run.cancel(),
      () => run.answer({ id: "q1", value: 1 }),
      () => run.events().read(),
      () => collect(run),
    ];
    for (const method of methods) {
      await expect(method()).rejects.toMatchObject({ name: "EscapementError", code: "not_found", isRetryable: false });
    }
  });

  test("is refused with the server's typed error", async () => {
    const { url } = await world();
    const runs = client(url);
    const refused = await runs.start({ ...hello, agent: "nobody" }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(EscapementError);
    expect((refused as EscapementError).body).toMatchObject({ code: "not_found", retryable: false });
    // @ts-expect-error: no such key
    await expect(runs.start({ ...hello, sensetive: true })).rejects.toMatchObject({ code: "invalid_request" });
    expect(() => runs.run("run_1").events({ after: "nonsense" })).toThrow("no cursor");
    expect((await runs.start(hello)).id).toBe("run_1");
  });

  test("is joined by a start with the same key", async () => {
    const { url } = await world();
    const runs = client(url);
    await runs.start(hello, { idempotencyKey: "k" });
    const again = await runs.start(hello, { idempotencyKey: "k" });
    expect([again.id, again.replayed]).toEqual(["run_1", true]);
    checkExact(await collect(again));
    await expect(runs.start({ ...hello, input: "other" }, { idempotencyKey: "k" })).rejects.toMatchObject({ code: "idempotency_mismatch" });
  });

  test("with an input too large for a frame goes over HTTP and is followed all the same", async () => {
    const { url, runtime } = await world();
    const runs = client(url);
    const run = await runs.start({ ...hello, input: "é".repeat(200_000) });
    expect((runtime.only().body.input as string).length).toBe(200_000);
    checkExact(await collect(run));
  });

  test("read from its end by a cursor is over at once", async () => {
    const { url } = await world();
    const runs = client(url);
    const events = (await runs.start(hello)).events();
    await collect(events);
    expect(events.cursor()).toBe("5");
    expect(await runs.run("run_1").events({ after: "5" }).read()).toBeNull();
    expect(await collect(runs.run("run_1").events({ after: "4" }))).toHaveLength(1);
  });
});

describe("readers of one run", () => {
  test("each get everything from their own position", async () => {
    const { url, runtime } = await world();
    runtime.script = (run) => {
      run.fact({ type: "run.started" });
      run.call();
      run.text("Hello ");
    };
    const runs = client(url);
    const run = await runs.start(hello);
    const first = run.events();
    while (!(await first.read())?.some((event) => event.type === "text.delta")) {
      // until the text is there
    }
    const rest = collect(first);
    const second = collect(run.events());
    const third = collect(runs.run(run.id).events({ after: "3/c1=3" }));
    await eventually(() => runtime.only().readers).toBe(1);
    runtime.only().text("world");
    runtime.only().finish();
    expect(textOf(await rest)).toBe("world");
    checkExact(await second);
    expect(textOf(await second)).toBe("Hello world");
    expect(textOf(await third)).toBe("lo world");
    expect(factsOf(await third).map((event) => event.seq)).toEqual([4, 5]);
  });

  test("that are closed end the subscription; a new one gets a new one", async () => {
    const { url, runtime } = await world();
    runtime.script = () => {};
    const run = await client(url).start(hello);
    const reader = run.events();
    await reader.read();
    reader.close();
    expect(await reader.read()).toBeNull();
    await eventually(() => runtime.only().readers).toBe(0);
    const abandoned = run.events();
    abandoned.close();
    const again = collect(run);
    await eventually(() => runtime.only().readers).toBe(1);
    runtime.only().finish();
    checkExact(await again);
  });

  test("that break out of a loop are closed", async () => {
    const { url, runtime } = await world();
    runtime.script = () => {};
    const run = await client(url).start(hello);
    for await (const event of run) {
      expect(event.type).toBe("run.accepted");
      break;
    }
    await eventually(() => runtime.only().readers).toBe(0);
  });

  test("that fall behind hold little, cost the server nothing, and miss nothing", async () => {
    const { url, runtime } = await world();
    runtime.script = (run) => {
      for (let done = 0; done < 500; done++) run.fact({ type: "progress", message: "x", done });
    };
    const run = await client(url, { maxEvents: 20 }).start(hello);
    const reader = run.events();
    await eventually(() => runtime.only().readers).toBe(0);
    runtime.only().call();
    for (let part = 0; part < 100; part++) runtime.only().text(`${part},`);
    runtime.only().finish();
    const events: Event[] = [];
    let most = 0;
    for (let batch = await reader.read(); batch !== null; batch = await reader.read()) {
      most = Math.max(most, batch.length);
      events.push(...batch);
    }
    checkExact(events);
    expect(factsOf(events)).toHaveLength(504);
    expect(most).toBe(20);
  });

  test("get a call's text merged while they do not read", async () => {
    const { url, runtime } = await world();
    runtime.script = (run) => run.call();
    const run = await client(url).start(hello);
    const reader = run.events();
    for (let part = 0; part < 500; part++) runtime.only().text("word ");
    runtime.only().finish();
    await run.result();
    const events = await reader.read();
    expect(events?.map((event) => event.type)).toEqual(["run.accepted", "call.started", "text.delta", "call.finished", "run.finished"]);
    checkExact(events ?? []);
  });
});

describe("a connection that is lost", () => {
  test("at any moment costs no event and repeats none", async () => {
    const { url, runtime } = await world();
    const net = await network(url);
    runtime.script = async (run) => {
      run.fact({ type: "run.started" });
      run.call();
      for (let part = 0; part < 300; part++) {
        run.text(`${part} `);
        if (part % 7 === 0) run.fact({ type: "progress", message: "x", done: part });
        await new Promise((resolve) => setImmediate(resolve));
        if (part % 20 === 10) net.cut();
      }
      run.finish();
    };
    const runs = client(net.url);
    const run = await runs.start(hello);
    const events = await collect(run);
    checkExact(events);
    expect(textOf(events)).toBe(Array.from({ length: 300 }, (_, part) => `${part} `).join(""));
    expect(events.at(-1)?.type).toBe("run.finished");
    expect(net.made()).toBeGreaterThan(3);
    expect(runtime.runs.size).toBe(1);
  });

  test("before a start was answered makes no second run", async () => {
    const { url, runtime } = await world();
    const net = await network(url);
    let cuts = 0;
    net.onData = (chunk) => {
      if (chunk.includes('"type":"ok"') && cuts++ < 2) net.cut();
    };
    const run = await client(net.url).start(hello);
    expect([run.id, run.replayed, cuts]).toEqual(["run_1", false, 3]);
    checkExact(await collect(run));
    expect(runtime.runs.size).toBe(1);
  });

  test("before an answer was confirmed answers once", async () => {
    const { url, runtime } = await world();
    runtime.script = () => {};
    const net = await network(url);
    const run = await client(net.url).start(hello);
    const keys = new Set<string>();
    const answer = runtime.answer.bind(runtime);
    runtime.answer = async (id, body, options) => {
      const known = keys.has(options.idempotencyKey ?? "");
      keys.add(options.idempotencyKey ?? "");
      return known ? { run: runtime.only().run(), replayed: true } : answer(id, body, options);
    };
    let cuts = 0;
    net.onData = (chunk) => {
      if (chunk.includes("HTTP/1.1 202") && cuts++ === 0) net.cut();
    };
    expect(await run.answer({ id: "q1", value: "yes" })).toMatchObject({ id: "run_1" });
    expect([cuts, keys.size, runtime.only().answers.length]).toEqual([2, 1, 1]);
  });

  test("because the server goes down is found again after the time it named, on the next server", async () => {
    const first = await world({ intervals: { retryMs: [30, 40] } });
    const net = await network(first.url);
    first.runtime.script = (run) => run.call();
    const states: string[] = [];
    const runs = client(net.url, { onState: (state) => states.push(state), backoffMs: [60_000, 60_000] });
    const run = await runs.start(hello);
    const events = collect(run);
    const second = await createServer(first.runtime).listen({ port: 0 });
    onTestFinished(() => second.close(0));
    net.retarget(second.url);
    await first.listening.close(1_000);
    first.runtime.only().text("Hello");
    first.runtime.only().finish();
    checkExact(await events);
    expect(states).toEqual(["connecting", "open", "waiting", "connecting", "open"]);
  });

  test("silently is noticed, because the server is asked when it says nothing", async () => {
    const { url, runtime } = await world();
    runtime.script = (run) => run.call();
    const net = await network(url);
    const run = await client(net.url, { quietMs: 20 }).start(hello);
    const events = collect(run);
    net.hold();
    runtime.only().text("Hello");
    runtime.only().finish();
    checkExact(await events);
    expect(net.made()).toBeGreaterThan(1);
  });

  test("for too long fails what waits, and later commands try again", async () => {
    const { url, runtime } = await world();
    runtime.script = () => {};
    const net = await network(url);
    const runs = client(net.url, { maxOfflineMs: 50 });
    const reader = (await runs.start(hello)).events();
    expect(await reader.read()).toHaveLength(1);
    net.refuse(true);
    net.cut();
    await expect(reader.read()).rejects.toMatchObject({ code: "unavailable", isRetryable: true });
    await expect(runs.start(hello)).rejects.toMatchObject({ code: "unavailable" });
    net.refuse(false);
    expect((await runs.start(hello)).id).toBe("run_2");
  });

  test("is not looked for when nothing needs it", async () => {
    const { url } = await world();
    const net = await network(url);
    const runs = client(net.url);
    await collect(await runs.start(hello));
    net.cut();
    await eventually(() => runs.state).toBe("idle");
    expect(net.made()).toBe(1);
  });

  test("a command without an answer times out and says that nothing is known", async () => {
    const { url, runtime } = await world();
    runtime.gate = new Promise(() => {});
    await expect(client(url, { timeoutMs: 30 }).start(hello)).rejects.toMatchObject({ code: "timeout", isRetryable: true });
  });
});

describe("close", () => {
  test("ends readers, fails what waits with cancelled, and leaves the run alone", async () => {
    const { url, runtime } = await world();
    runtime.script = () => {};
    const runs = client(url);
    const run = await runs.start(hello);
    const reader: EventReader = run.events();
    await reader.read();
    const reading = reader.read();
    const result = run.result();
    let asked = () => {};
    const started = new Promise<void>((resolve) => {
      asked = resolve;
    });
    runtime.gate = new Promise(() => {});
    runtime.onStart = asked;
    const starting = runs.start(hello);
    await started;
    await runs.close();
    expect(await reading).toBeNull();
    await expect(result).rejects.toMatchObject({ code: "cancelled" });
    await expect(starting).rejects.toMatchObject({ code: "cancelled" });
    await expect(runs.start(hello)).rejects.toMatchObject({ code: "cancelled" });
    await expect(runs.get("run_1")).rejects.toMatchObject({ code: "cancelled" });
    expect(runs.state).toBe("closed");
    expect(runtime.only().status).toBe("running");
    await eventually(() => runtime.only().readers).toBe(0);
  });
});
