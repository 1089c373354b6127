/** Hostile URLs against the real door, with real listeners that count who comes; and what does pass, so that this can fail. */
import { createServer as createHTTP, type RequestListener, type Server } from "node:http";
import { createServer as createHTTPS } from "node:https";
import { type AddressInfo, createServer } from "node:net";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { notPublic } from "../../src/safety/egress/address.ts";
import { type EgressError, type EgressRequest, egress, type Resolver } from "../../src/safety/egress.ts";
import { certificate, key } from "../providers/certificate.ts";
import { hostile, names, redirects } from "./hostile-urls.ts";

const listen = (server: { listen(port: number, host: string, done: () => void): unknown; address(): unknown }, host: string, port = 0) =>
  new Promise<number>((resolve) => server.listen(port, host, () => resolve((server.address() as AddressInfo).port)));

let connections = 0;
const canaries = [0, 1].map(() =>
  createServer((socket) => {
    connections += 1;
    socket.on("error", () => {});
    socket.end("HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nCANARY");
  }),
);
let port = 0;
let hasV6 = true;

const resolve: Resolver = async (name) => {
  const found = names[name];
  if (!found) throw Object.assign(new Error("unknown"), { code: "ENOTFOUND" });
  return found.map((address) => ({ address }));
};
const here = (url: string): string => url.replaceAll("PORT", String(port));

beforeAll(async () => {
  const [v4, v6] = canaries;
  port = await listen(v4 as Server, "127.0.0.1");
  hasV6 = await new Promise((done) => {
    v6?.once("error", () => done(false));
    v6?.listen(port, "::1", () => done(true));
  });
});
afterAll(() => {
  for (const canary of canaries) canary.close();
});

/** The error that a request ends with. */
const refusal = async (door: ReturnType<typeof egress>, request: EgressRequest): Promise<EgressError> => {
  const answer = await door.fetch(request).catch((error: EgressError) => error);
  if ("status" in answer) throw new Error(`${request.url} was let through`);
  return answer;
};

async function serving<T>(handler: RequestListener, use: (origin: string, port: number) => Promise<T>): Promise<T> {
  const server = createHTTP(handler);
  const at = await listen(server, "127.0.0.1");
  try {
    return await use(`http://127.0.0.1:${at}`, at);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

describe("hostile URLs", () => {
  it(`${hostile.length} of them reach nothing, each for its reason`, async () => {
    expect(hostile.length).toBeGreaterThanOrEqual(120);
    const door = egress({ ports: [80, 443, port], resolve });
    const before = connections;
    const seen: string[] = [];
    for (const { url, reason } of hostile) {
      const error = await refusal(door, { url: here(url), connectMs: 200 });
      if (error.reason !== reason) seen.push(`${url}: ${error.reason} (${error.message}), not ${reason}`);
    }
    expect(seen).toEqual([]);
    expect(connections - before).toBe(0);
  });

  it("a client without the door gets to the canary by those that are marked", async () => {
    const marked = hostile.filter(({ url, reaches }) => reaches && (hasV6 || !url.includes("[")));
    const missed: string[] = [];
    for (const { url } of marked) {
      const text = await fetch(here(url)).then(
        (answer) => answer.text(),
        (error: Error) => String(error.cause ?? error),
      );
      if (text !== "CANARY") missed.push(`${url}: ${text}`);
    }
    expect(missed).toEqual([]);
    expect(marked.length).toBeGreaterThan(40);
  });

  it("tells neither a name's address nor more than its kind", async () => {
    const door = egress({ resolve });
    const { message, code, body } = await refusal(door, { url: "http://private.attacker.com/" });
    expect(message).toBe("private.attacker.com stands for a private address, which is not of the public internet");
    expect(code).toBe("forbidden");
    expect(body.details).toEqual({ reason: "address" });
  });

  it("takes public addresses for what they are", () => {
    for (const address of ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "192.169.0.1", "2606:4700::1111", "2a00:1450::1"])
      expect(notPublic(address)).toBeNull();
    for (const address of ["", "localhost", "1.2.3", "0x7f.1", "::1%lo", "256.1.1.1"]) expect(notPublic(address)).not.toBeNull();
  });
});

describe("names that answer twice differently", () => {
  it("are asked once, and the connection goes to the address that was judged", async () => {
    const answers = ["2d00::1", "127.0.0.1", "127.0.0.1"];
    let asked = 0;
    const door = egress({ ports: [port], resolve: async () => [{ address: answers[asked++] ?? "127.0.0.1" }] });
    const before = connections;
    // Nobody is there: 2d00::/8 is given to no one. What matters is that nobody is asked again.
    const error = await refusal(door, { url: here("http://twice.attacker.com:PORT/"), connectMs: 150 });
    expect(["timeout", "unreachable"]).toContain(error.reason);
    expect({ asked, reached: connections - before }).toEqual({ asked: 1, reached: 0 });
    // The next request asks anew and is judged anew.
    expect((await refusal(door, { url: here("http://twice.attacker.com:PORT/") })).reason).toBe("address");
    expect({ asked, reached: connections - before }).toEqual({ asked: 2, reached: 0 });
  });

  it("are connected to where they were first, on the same port", async () => {
    await serving(
      (_, response) => response.end("first"),
      async (_, at) => {
        const other = createServer(() => {
          throw new Error("the second address was connected to");
        });
        if (hasV6) await listen(other, "::1", at);
        let asked = 0;
        const door = egress({
          allow: [`twice.attacker.com:${at}`],
          resolve: async () => [{ address: asked++ === 0 ? "127.0.0.1" : "::1" }],
        });
        const answer = await door.fetch({ url: `http://twice.attacker.com:${at}/` });
        expect([answer.body.toString(), asked]).toEqual(["first", 1]);
        other.close();
      },
    );
  });

  it("the next address is tried when nobody listens at the first", async () => {
    await serving(
      (_, response) => response.end("second"),
      async (_, at) => {
        const door = egress({
          allow: [`two.attacker.com:${at}`],
          resolve: async () => [{ address: "127.0.0.2" }, { address: "127.0.0.1" }],
        });
        expect((await door.fetch({ url: `http://two.attacker.com:${at}/` })).body.toString()).toBe("second");
      },
    );
  });
});

describe("redirects", () => {
  it(`${redirects.length} to elsewhere are not followed`, async () => {
    let location = "";
    const before = connections;
    await serving(
      (_, response) => response.writeHead(302, { location }).end(),
      async (origin, at) => {
        const door = egress({ allow: [`127.0.0.1:${at}`], ports: [80, 443, port, at], resolve });
        const passed: string[] = [];
        for (const target of redirects) {
          location = here(target);
          const error = await refusal(door, { url: origin });
          if (!["redirect", "scheme", "credentials", "url"].includes(error.reason)) passed.push(`${target}: ${error.message}`);
        }
        expect(passed).toEqual([]);
      },
    );
    expect(connections - before).toBe(0);
  });

  it("to the same origin are followed three times, each resolved anew", async () => {
    let asked = 0;
    await serving(
      (request, response) => {
        const left = Number(request.url?.slice(1));
        if (left > 0) response.writeHead(301, { location: `/${left - 1}` }).end();
        else response.end("there");
      },
      async (_, at) => {
        const door = egress({
          allow: [`docs.internal:${at}`],
          resolve: async () => {
            asked += 1;
            return [{ address: "127.0.0.1" }];
          },
        });
        const answer = await door.fetch({ url: `http://docs.internal:${at}/3#top` });
        expect([answer.body.toString(), answer.url, asked]).toEqual(["there", `http://docs.internal:${at}/0`, 4]);
        expect(await refusal(door, { url: `http://docs.internal:${at}/4` })).toMatchObject({ reason: "redirect" });
        expect(await refusal(door, { url: `http://docs.internal:${at}/1`, method: "POST" })).toMatchObject({ reason: "redirect" });
      },
    );
  });

  it("say where they lead, so that it can be asked for", async () => {
    await serving(
      (_, response) => response.writeHead(301, { location: "https://www.example.com/a?token=1" }).end(),
      async (origin, at) => {
        const { message } = await refusal(egress({ allow: [`127.0.0.1:${at}`] }), { url: origin });
        expect(message).toContain("redirects to https://www.example.com/a, which is not followed");
      },
    );
  });
});

describe("what an operator allows", () => {
  it("passes: an address with its port, a name, and nothing beside them", async () => {
    await serving(
      (_, response) => response.end("inside"),
      async (_, at) => {
        const local: Resolver = async () => [{ address: "127.0.0.1" }];
        const text = async (door: ReturnType<typeof egress>, url: string) => (await door.fetch({ url })).body.toString();
        expect(await text(egress({ allow: [`127.0.0.1:${at}`] }), `http://127.0.0.1:${at}/`)).toBe("inside");
        expect(await text(egress({ allow: [`127.0.0.1:${at}`] }), `http://0x7f.1:${at}/`)).toBe("inside");
        expect(await text(egress({ allow: ["docs.internal"], ports: [at], resolve: local }), `http://DOCS.internal.:${at}/`)).toBe(
          "inside",
        );
        const one = egress({ allow: [`127.0.0.1:${at}`, "docs.internal"], ports: [80, 443, at], resolve: local });
        expect(await refusal(one, { url: `http://127.0.0.2:${at}/` })).toMatchObject({ reason: "address" });
        expect(await refusal(one, { url: `http://x.docs.internal:${at}/` })).toMatchObject({ reason: "name" });
        expect(await refusal(one, { url: here("http://127.0.0.1:PORT/") })).toMatchObject({ reason: "port" });
        // A name does not become allowed by what it resolves to.
        expect(await refusal(one, { url: `http://evil.attacker.com:${at}/` })).toMatchObject({ reason: "address" });
      },
    );
  });

  it("is refused with its place when it is no host or no port", () => {
    for (const entry of ["http://127.0.0.1", "a/b", "10.0.0.0/8", "user@host", "*.internal?", "a:99999", ""])
      expect(() => egress({ allow: ["ok.internal", entry] }), entry).toThrow(/^egress\.allow\.1 is a host/);
    expect(() => egress({ ports: [0] })).toThrow("egress.ports.0 is a port from 1 to 65,535, not 0");
  });
});

it("TLS is checked for the URL's name, not for the address that was connected to", async () => {
  // The certificate is for 127.0.0.1.
  const server = createHTTPS({ cert: certificate, key }, (_, response) => response.end("secret"));
  const at = await listen(server, "127.0.0.1");
  const allow = [`127.0.0.1:${at}`, `docs.internal:${at}`];
  const door = egress({ allow, ca: certificate, resolve: async () => [{ address: "127.0.0.1" }] });
  expect((await door.fetch({ url: `https://127.0.0.1:${at}/` })).body.toString()).toBe("secret");
  const other = await refusal(door, { url: `https://docs.internal:${at}/` });
  expect(other.message).toContain("ERR_TLS_CERT_ALTNAME_INVALID");
  expect((await refusal(egress({ allow }), { url: `https://127.0.0.1:${at}/` })).message).toContain("SELF_SIGNED");
  server.close();
});

describe("limits", () => {
  const big = Buffer.alloc(32 * 1024 * 1024);
  const ask = (handler: RequestListener, request: Partial<EgressRequest> = {}) =>
    serving(handler, (origin, at) =>
      egress({ allow: [`127.0.0.1:${at}`] })
        .fetch({ url: origin, ...request })
        .catch((error: EgressError) => error),
    );

  it("decode what was asked for", async () => {
    for (const [encoding, pack] of [
      ["gzip", gzipSync],
      ["deflate", deflateSync],
      ["br", brotliCompressSync],
    ] as const) {
      const answer = await ask((_, response) => response.writeHead(200, { "content-encoding": encoding }).end(pack("hello")));
      expect("body" in answer && answer.body.toString()).toBe("hello");
    }
  });

  it("end a body that is too long: as announced, as sent, and as decoded", async () => {
    const bomb = gzipSync(big);
    const announced = await ask((_, response) => response.writeHead(200, { "content-length": "5000000" }).flushHeaders());
    const endless = await ask((_, response) => {
      const more = (): void => {
        while (response.write("x".repeat(65_536))) if (response.destroyed) return;
        response.once("drain", more);
      };
      more();
    });
    const before = process.memoryUsage().arrayBuffers;
    const decoded = await ask((_, response) => response.writeHead(200, { "content-encoding": "gzip" }).end(bomb));
    for (const end of [announced, endless, decoded]) expect(end).toMatchObject({ reason: "too_large", code: "too_large" });
    expect(bomb.byteLength).toBeLessThan(100_000);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(12 * 1024 * 1024);
  });

  it("refuse an encoding that was not asked for, twice encoded, or not what it says", async () => {
    for (const encoding of ["zstd", "gzip, gzip", "gzip"])
      expect(await ask((_, response) => response.writeHead(200, { "content-encoding": encoding }).end("plain"))).toMatchObject({
        reason: "encoding",
      });
  });

  it("read only the types that are wanted", async () => {
    const html: RequestListener = (_, response) => response.writeHead(200, { "content-type": "Text/HTML; charset=utf-8" }).end("x");
    expect(await ask(html, { contentTypes: ["text/html"] })).toMatchObject({ status: 200 });
    expect(await ask(html, { contentTypes: ["text/"] })).toMatchObject({ status: 200 });
    expect(await ask(html, { contentTypes: ["application/json"] })).toMatchObject({ reason: "content_type" });
    expect(await ask((_, response) => response.end("x"), { contentTypes: ["text/"] })).toMatchObject({ reason: "content_type" });
  });

  it("end what takes too long: headers, the whole, the name", async () => {
    expect(await ask(() => {}, { headersMs: 50 })).toMatchObject({ reason: "timeout", code: "timeout" });
    expect(await ask((_, response) => response.write("x"), { totalMs: 100 })).toMatchObject({ reason: "timeout" });
    const door = egress({ resolve: () => new Promise(() => {}) });
    expect(await refusal(door, { url: "http://slow.attacker.com/", connectMs: 50 })).toMatchObject({ reason: "timeout" });
  });

  it("end with the caller's signal, and leave no connection", async () => {
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
    const { promise: closed, resolve: close } = Promise.withResolvers<void>();
    await serving(
      (request) => {
        request.socket.once("close", close);
        arrive();
      },
      async (origin, at) => {
        const ending = new AbortController();
        const asked = refusal(egress({ allow: [`127.0.0.1:${at}`] }), { url: origin, signal: ending.signal });
        await arrived;
        ending.abort();
        expect(await asked).toMatchObject({ reason: "cancelled" });
        await closed;
      },
    );
  });
});
