/** P07 to P16: a provider that gives no answer. */
import { createServer as createTcpServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { expect } from "vitest";
import { agent, openai } from "../../src/index.ts";
import { chatError, chatScript } from "../../src/testing/fault-chat.ts";
import { body, head, streamHeaders } from "../../src/testing/fault-script.ts";
import { certificate, key } from "../providers/certificate.ts";
import { until } from "../whole-path/until.ts";
import { many, row } from "./row.ts";
import { backoff, canaries, impatient, price } from "./world.ts";

row("P07", "500 once, then an answer", { injected: "500 whose message repeats the key, then 200" }, async (world) => {
  world.answers("primary", (request, call) =>
    call === 0 ? chatError(500, `It broke for ${request.headers.authorization}.`) : { text: "Mended." },
  );
  const { run, transcript } = await world.run("alone");
  expect(run).toMatchObject({ status: "done", output: "Mended.", calls: 2, usage: { estimated: false } });
  expect(transcript.of("call.started").map(({ attempt }) => attempt)).toEqual([1, 2]);
  expect(transcript.of("request.retrying")).toMatchObject([{ reason: "provider_unavailable", attempt: 2 }]);
  return "1 retry, attempts 1 and 2 are told";
});

row("P08", "502, 503, 504 with a page of HTML", { injected: "statuses with 100 kB of HTML that holds a canary" }, async (world) => {
  for (const status of [502, 503, 504]) {
    const page = `<html><body>canary-of-the-page ${"x".repeat(100_000)}</body></html>`;
    // Among good answers: three failures in a row would be the breaker's affair.
    for (let i = 0; i < 2; i++) await world.run("alone");
    world.answers("primary", [body(status, page, { "content-type": "text/html" }), { text: "Back." }]);
    const { run, transcript } = await world.run("alone");
    expect(run).toMatchObject({ status: "done", output: "Back.", calls: 2 });
    const { error } = transcript.of("call.finished")[0] ?? {};
    expect(error).toMatchObject({ code: "provider_unavailable", retryable: true, details: { status } });
    expect(error?.message.length).toBeLessThan(600);
    expect(JSON.stringify(transcript.events)).not.toContain("canary-of-the-page");
  }
  return "typed, retried, nothing of the page repeated";
});

row("P09", "529 overloaded for a minute", { injected: "529 to every request (a minute is 3 s)" }, async (world) => {
  world.answers("primary", () => chatError(529, "Overloaded.", { type: "overloaded_error" }));
  const runs = many(200, 60);
  const from = performance.now();
  const all = await world.runs("chain", runs, 8);
  for (const { run } of all) expect(run).toMatchObject({ status: "done", tier: "second" });
  const reached = world.primary.book.entries.length;
  const first = all.flatMap(({ transcript }) =>
    transcript
      .of("call.started")
      .filter(({ tier }) => tier === "first")
      .map(({ attempt }) => attempt),
  );
  // What was on its way when it opened (8 at once, and retries), and one probe a cooldown (100 ms).
  expect(reached).toBeLessThanOrEqual(5 + 8 + 10 + Math.ceil((performance.now() - from) / 100));
  expect(Math.max(...first)).toBeLessThanOrEqual(3);
  expect(["open", "probing"]).toContain(world.breaker());
  const kept = all.flatMap(({ transcript }) => transcript.of("call.finished").filter(({ error }) => error?.details?.reason === "breaker"));
  expect(kept.length).toBeGreaterThan(runs / 3);
  for (const { cost_microusd } of kept) expect(cost_microusd).toBe(0);
  return `${all.length} runs answered by the next tier; ${reached} requests reached the provider before its breaker kept them`;
});

row("P11", "connection refused", { injected: "nothing listens at the provider's port" }, async (world) => {
  const from = performance.now();
  await world.primary.down();
  const { run, transcript } = await world.run("chain");
  expect(run).toMatchObject({ status: "done", tier: "second" });
  const failed = transcript.of("call.finished").filter(({ error }) => error);
  for (const { error, cost_microusd, usage } of failed) {
    expect(error).toMatchObject({ code: "provider_unavailable", details: { reason: "ECONNREFUSED" } });
    expect({ cost_microusd, estimated: usage.estimated }).toEqual({ cost_microusd: 0, estimated: false });
  }
  for (let i = 0; i < 3; i++) await world.run("chain");
  expect(world.breaker()).not.toBe("closed");
  await world.primary.up();
  return `answered by the next tier after ${Math.round(performance.now() - from)} ms for 4 runs; nothing charged; the breaker opened`;
});

/** A listener that takes connections and never says anything: for a TLS client the same as packets that get lost. */
async function silent(): Promise<{ url: string; close(): Promise<void> }> {
  const open = new Set<Socket>();
  const server = createTcpServer((socket) => {
    open.add(socket);
    socket.on("error", () => {}).on("close", () => open.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `https://127.0.0.1:${(server.address() as { port: number }).port}`,
    close: () => {
      for (const socket of open) socket.destroy();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

const elsewhere = (baseURL: string) => ({
  providers: { elsewhere: openai({ name: "elsewhere", baseURL: `${baseURL}/v1`, apiKey: canaries.primary }) },
  tiers: {
    elsewhere: { provider: "elsewhere", model: "m3", max_output_tokens: 200, price, timeouts: { connect_ms: 200, total_ms: 3_000 } },
  },
  agents: [agent({ name: "elsewhere", machine: "single", tiers: ["elsewhere", "second"], retries: 0, backoff })],
});

{
  let hole: Awaited<ReturnType<typeof silent>>;
  row(
    "P12",
    "a connection that is never made",
    {
      injected: "a TLS handshake that is never answered (what a dropped SYN is to the caller); connect limit 200 ms",
      before: async () => {
        hole = await silent();
      },
      config: () => elsewhere(hole.url),
      after: () => hole.close(),
    },
    async (world) => {
      const from = performance.now();
      const { run, transcript } = await world.run("elsewhere");
      const ms = performance.now() - from;
      expect(run).toMatchObject({ status: "done", tier: "second", calls: 2 });
      expect(transcript.of("call.finished")[0]).toMatchObject({
        cost_microusd: 0,
        error: { code: "timeout", details: { reason: "connect limit" } },
      });
      expect(ms).toBeLessThan(3_000);
      await world.run("alone");
      return `the next tier answered after ${Math.round(ms)} ms; nothing charged`;
    },
  );
}

{
  let tls: ReturnType<typeof createTlsServer>;
  row(
    "P13",
    "a certificate that nobody trusts, a reset",
    {
      injected: "a self-signed certificate; then a reset before any byte",
      before: async () => {
        tls = createTlsServer({ cert: certificate, key }, (socket) => void socket.on("error", () => {}).end("HTTP/1.1 200 OK\r\n\r\n"));
        tls.on("tlsClientError", () => {});
        await new Promise<void>((resolve) => tls.listen(0, "127.0.0.1", resolve));
      },
      config: () => elsewhere(`https://127.0.0.1:${(tls.address() as { port: number }).port}`),
      after: () => new Promise<void>((resolve) => tls.close(() => resolve())),
    },
    async (world) => {
      const bad = await world.run("elsewhere");
      expect(bad.run).toMatchObject({ status: "done", tier: "second" });
      expect(bad.transcript.of("request.retrying")).toEqual([]);
      expect(bad.transcript.of("call.finished")[0]?.error).toMatchObject({ code: "provider_rejected", retryable: false });
      world.answers("primary", (request, call) => (call === 0 ? [{ reset: true }] : chatScript(request, { text: "Again." })));
      const reset = await world.run("alone");
      expect(reset.run).toMatchObject({ status: "done", output: "Again.", calls: 2 });
      return "the certificate: not retried, the next tier; the reset: retried once";
    },
  );
}

row(
  "P15",
  "headers never come",
  { injected: "a request that is read and never answered; headers limit 400 ms", first: impatient },
  async (world) => {
    world.answers("primary", () => [{ hang: true }]);
    const { run, transcript, entries } = await world.run("chain");
    expect(run).toMatchObject({ status: "done", tier: "second" });
    for (const { error, usage, cost_microusd } of transcript.of("call.finished").filter(({ error }) => error)) {
      expect(error).toMatchObject({ code: "timeout", retryable: true });
      expect(usage.estimated).toBe(true);
      expect(cost_microusd).toBeGreaterThan(0);
    }
    await until("the sockets to be closed", () => entries.filter(({ closedAt }) => closedAt !== undefined).length === entries.length - 1);
    return `${transcript.of("call.finished").length - 1} attempts timed out, each charged as estimated, sockets aborted; the next tier answered`;
  },
);

row(
  "P16",
  "headers, and then no token",
  { injected: "200 and headers, then silence; first-token limit 400 ms", first: impatient },
  async (world) => {
    world.answers("primary", () => [head(200, { ...streamHeaders, "transfer-encoding": "chunked" }), { hang: true }]);
    const { run, transcript, entries } = await world.run("chain");
    expect(run).toMatchObject({ status: "done", tier: "second" });
    expect(transcript.of("call.finished")[0]?.error).toMatchObject({
      code: "timeout",
      message: expect.stringContaining("firstToken limit"),
    });
    expect(transcript.of("retract")).toEqual([]);
    await until("the sockets to be closed", () => entries.filter(({ closedAt }) => closedAt !== undefined).length === entries.length - 1);
    return "the first-token timer fired, nothing had been shown, the next tier answered";
  },
);
