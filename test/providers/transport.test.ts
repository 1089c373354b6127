import { createServer as createTcpServer } from "node:net";
import { createServer } from "node:tls";
import { expect, test } from "vitest";
import { openai } from "../../src/providers/openai.ts";
import type { Provider } from "../../src/providers/provider.ts";
import { certificate, key } from "./certificate.ts";
import { collect, plain, timeouts } from "./collect.ts";

type Listening = { readonly port: number; close(): Promise<void> };

async function listen(server: ReturnType<typeof createTcpServer>): Promise<Listening> {
  const open = new Set<{ destroy(): void }>();
  server.on("connection", (socket) => {
    open.add(socket);
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as { port: number }).port, // a TCP server that listens
    close: () => {
      for (const socket of open) socket.destroy();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

const at = (protocol: string, port: number, more: { ca?: string } = {}): Provider =>
  openai({ baseURL: `${protocol}://127.0.0.1:${port}/v1`, ...more });

test("a connection that is never made ends by the connect limit, unsent", async () => {
  // TLS that is never answered: for a caller the same as packets that get lost.
  const server = await listen(createTcpServer());
  const provider = at("https", server.port);
  const start = performance.now();
  const { end } = await collect(provider, { timeouts: { ...timeouts, connect: 100 } });
  expect(end).toMatchObject({ unsent: true, error: { code: "timeout", retryable: true, details: { reason: "connect limit" } } });
  expect(performance.now() - start).toBeLessThan(3_000);
  await provider.close();
  await server.close();
});

test("abort while connecting closes the socket at once", async () => {
  const tcp = createTcpServer();
  const server = await listen(tcp);
  const provider = at("https", server.port);
  const gone = new Promise<void>((resolve) => tcp.once("connection", (socket) => socket.once("close", () => resolve()).resume()));
  const connected = new Promise<void>((resolve) => tcp.once("connection", () => resolve()));
  const abort = provider.stream(plain, () => expect.unreachable());
  await connected;
  abort();
  await gone;
  await provider.close();
  await server.close();
});

test("a host that does not exist is unavailable, unsent", async () => {
  const provider = openai({ baseURL: "http://does-not-exist.invalid/v1" });
  const { end } = await collect(provider);
  expect(end).toMatchObject({ unsent: true, error: { code: "provider_unavailable", retryable: true } });
  await provider.close();
});

const answer = '{"choices":[{"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}';
const tls = () =>
  createServer({ cert: certificate, key }, (socket) => {
    socket.on("error", () => {});
    socket.on("data", () =>
      socket.end(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${answer.length}\r\n\r\n${answer}`),
    );
  });

test("a certificate that is not trusted is rejected and not retried, unsent", async () => {
  const server = await listen(tls());
  const provider = at("https", server.port);
  const { end } = await collect(provider);
  expect(end).toMatchObject({
    unsent: true,
    error: { code: "provider_rejected", retryable: false, details: { reason: "DEPTH_ZERO_SELF_SIGNED_CERT" } },
  });
  await provider.close();
  await server.close();
});

test("a certificate that is trusted by `ca` is taken, for its own name only", async () => {
  const server = await listen(tls());
  const provider = at("https", server.port, { ca: certificate });
  expect((await collect(provider)).text).toBe("Hello");
  await provider.close();
  const other = openai({ baseURL: `https://localhost:${server.port}/v1`, ca: certificate });
  expect((await collect(other)).end).toMatchObject({
    error: { code: "provider_rejected", details: { reason: "ERR_TLS_CERT_ALTNAME_INVALID" } },
  });
  await other.close();
  await server.close();
});

test("a connection that is reset while TLS is agreed is unavailable, unsent", async () => {
  const server = await listen(createTcpServer((socket) => void socket.once("data", () => socket.resetAndDestroy())));
  const provider = at("https", server.port);
  expect((await collect(provider)).end).toMatchObject({ unsent: true, error: { code: "provider_unavailable", retryable: true } });
  await provider.close();
  await server.close();
});

test.each([
  ["no url", "is no URL"],
  ["ftp://host/v1", "must begin with"],
  ["https://user:canary@host/v1", "must not hold a user or password"],
  ["https://host/v1?key=canary", "no query"],
])("a baseURL %s is refused when the provider is made, without repeating it", (baseURL, message) => {
  expect(() => openai({ baseURL })).toThrow(message);
  expect(() => openai({ baseURL })).not.toThrow(/canary/);
});

test("a key with a line feed fails the call and is not repeated", async () => {
  const server = await listen(createTcpServer());
  const provider = openai({ baseURL: `http://127.0.0.1:${server.port}`, apiKey: "canary\nx" });
  const { end } = await collect(provider);
  expect(end).toMatchObject({ unsent: true, finish: "error" });
  expect(JSON.stringify(end)).not.toContain("canary");
  await provider.close();
  await server.close();
});

test("a key in a header of its own is not repeated either", async () => {
  const server = await listen(
    createTcpServer((socket) => {
      const body = '{"error":{"message":"header canary-0123456789 is unknown"}}';
      socket.once("data", () =>
        socket.end(`HTTP/1.1 401 No\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`),
      );
    }),
  );
  const provider = openai({ baseURL: `http://127.0.0.1:${server.port}`, headers: { "api-key": "canary-0123456789" } });
  const { end } = await collect(provider);
  expect(end.error?.message).toContain("header [redacted] is unknown");
  await provider.close();
  await server.close();
});
