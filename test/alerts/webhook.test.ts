/** C23: what a receiver may do. Signatures are checked by the library's own receiver. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { expect, onTestFinished, test } from "vitest";
import { AlertWebhook } from "../../src/alerts/webhook.ts";
import type { Alert } from "../../src/protocol/alert.ts";
import { TestTime } from "./time.ts";

const secret = `whsec_${Buffer.from("a secret of 24 characters").toString("base64")}`;
const alert = (cause: string): Alert => ({
  kind: "budget",
  state: "firing",
  message: `about ${cause}`,
  at: "2026-11-24T12:00:00.000Z",
  details: { cause },
});

type Post = { readonly id: string; readonly body: string; readonly headers: Record<string, string> };

async function world(answer: (response: ServerResponse, posts: readonly Post[], request: IncomingMessage) => void) {
  const posts: Post[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (data) => {
      body += data;
    });
    request.on("end", () => {
      const headers = request.headers as Record<string, string>;
      posts.push({ id: headers["webhook-id"] ?? "", body, headers });
      answer(response, posts, request);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const time = new TestTime();
  const told: string[] = [];
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook/token-in-the-path`;
  const webhook = new AlertWebhook({ url, secret, scheduler: time, onError: (message) => told.push(message) });
  onTestFinished(() => {
    webhook.close();
    server.closeAllConnections();
    server.close();
  });
  return { posts, time, told, webhook };
}
const eventually = (look: () => unknown) => expect.poll(look, { timeout: 10_000, interval: 5 });

test("is signed, with the alert as data, one after the other", async () => {
  const { posts, webhook } = await world((response) => response.end("thanks"));
  webhook.send(alert("first"));
  webhook.send(alert("second"));
  await eventually(() => posts.length).toBe(2);
  // The test's clock is not the receiver's.
  const signed = posts.map(({ id, body, headers }) =>
    new Webhook(secret).sign(id, new Date(Number(headers["webhook-timestamp"]) * 1_000), body),
  );
  expect(posts.map(({ headers }) => headers["webhook-signature"])).toEqual(signed);
  expect(posts.map(({ body }) => JSON.parse(body))).toMatchObject([
    { type: "alert", timestamp: "2026-11-24T12:00:00.000Z", data: { kind: "budget", details: { cause: "first" } } },
    { data: { details: { cause: "second" } } },
  ]);
});

test("is tried again under the same id, with backoff, and given up in the end; a redirect is not followed", async () => {
  const { posts, time, told, webhook } = await world((response, { length }) => {
    if (length === 1) response.writeHead(500).end();
    else if (length === 2) response.socket?.destroy();
    else response.writeHead(302, { location: "/elsewhere" }).end();
  });
  webhook.send(alert("x"));
  for (const ms of [1_000, 5_000, 30_000, 120_000, 600_000]) {
    await eventually(() => time.isWaitedFor).toBe(true);
    await time.pass(ms);
  }
  await eventually(() => told.length).toBe(1);
  expect(posts.length).toBe(6);
  expect(new Set(posts.map(({ id }) => id)).size).toBe(1);
  expect(time.waits).toEqual([1_000, 5_000, 30_000, 120_000, 600_000]);
  expect(told[0]).toMatch(/took no alert in 6 tries \(status 302\)/);
  expect(told[0]).not.toContain("token-in-the-path");
});

test("410 ends it", async () => {
  const { posts, told, webhook } = await world((response) => response.writeHead(410).end());
  webhook.send(alert("x"));
  await eventually(() => told.length).toBe(1);
  webhook.send(alert("y"));
  expect([posts.length, told[0]]).toEqual([1, expect.stringContaining("410")]);
});

test("an endless answer is not read, and what waits is bounded", async () => {
  const { posts, told, webhook } = await world((response) => {
    response.writeHead(200);
    const more = (): void => {
      while (response.writable && response.write(Buffer.alloc(64 * 1024)));
      response.once("drain", more);
    };
    more();
  });
  for (let i = 0; i < 150; i++) webhook.send(alert(String(i)));
  await eventually(() => posts.length).toBe(101);
  expect(told).toHaveLength(49);
});

test("a secret that cannot sign is refused", () => {
  expect(() => new AlertWebhook({ url: "http://x", secret: "§", scheduler: new TestTime(), onError: () => {} })).toThrow(
    /alerts\.webhook\.secret must be base64/,
  );
});
