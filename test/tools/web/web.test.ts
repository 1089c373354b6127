/** Pages and searches over real HTTP; who may be asked is the door's (test/safety/egress.test.ts). */
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import type { Json } from "../../../src/protocol/json.ts";
import type { Tool, ToolContext } from "../../../src/runtime/tool.ts";
import { egress } from "../../../src/safety/egress.ts";
import { web } from "../../../tools/web/index.ts";

async function serving<T>(handler: RequestListener, use: (origin: string, host: string) => Promise<T>): Promise<T> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    return await use(`http://${host}`, host);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

function contextOf(signal = new AbortController().signal): ToolContext & { readonly shown: Json[] } {
  const shown: Json[] = [];
  return { run: "run_1", key: "k", signal, progress() {}, data: (name, value) => shown.push({ name, value }), shown };
}

const read = (handler: RequestListener, input: object = {}, context: ToolContext = contextOf()): Promise<string> =>
  serving(handler, async (origin, host) => {
    const [page] = web({ egress: egress({ allow: [host] }) }) as [Tool];
    return String(await page.run({ url: `${origin}/docs/page`, ...input }, context)).replaceAll(origin, "http://here");
  });
const html =
  (body: string, head = "<title>A page</title>", type = "text/html; charset=utf-8"): RequestListener =>
  (_, response) =>
    response.writeHead(200, { "content-type": type }).end(`<!doctype html><html><head>${head}</head><body>${body}</body></html>`);

const paragraph = `<p>A sentence that is long enough, with commas, so that the library takes it for content, ${"and more of it ".repeat(20)}.</p>`;

describe("fetch_page", () => {
  it("gives the content of a page as Markdown, with links that can be followed, and shows where it is from", async () => {
    const context = contextOf();
    const text = await read(
      html(
        `<nav><a href="/">Home</a></nav><article><h1>Head</h1>${paragraph.repeat(3)}<p>See <a href="../other?x=1#y">the other one</a>,
         <a href="javascript:alert(1)">this</a> and <a href="#up">up</a>.</p><ul><li>one</li><li>two</li></ul>
         <table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table><pre><code>let x = 1;</code></pre>
         <img src="data:image/png;base64,AAAA" alt="a picture"><script>alert("script")</script>
         <p style="display:none">hidden words</p></article><footer>Imprint</footer>`,
      ),
      {},
      context,
    );
    expect(text).toMatch(/^# A page\n\nhttp:\/\/here\/docs\/page\n\n/);
    expect(text).toContain("[the other one](http://here/other?x=1#y), this and up.");
    expect(text).toContain("- one\n- two");
    expect(text).toMatch(/\| a +\| b +\|/);
    expect(text).toContain("let x = 1;");
    for (const no of ["Home", "Imprint", "hidden words", "script", "base64", "javascript:"]) expect(text).not.toContain(no);
    expect(context.shown).toMatchObject([{ name: "source", value: { title: "A page", url: expect.stringContaining("/docs/page") } }]);
  });

  it("gives all of a page that has no article, and says when there is no text", async () => {
    expect(await read(html("<div>Only <b>this</b></div><script>1</script>"))).toContain("Only **this**");
    const bare: RequestListener = (_, response) =>
      response.writeHead(200, { "content-type": "text/html" }).end("<title>T</title><p>Hello <a href=x>there</a>");
    expect(await read(bare)).toBe("# T\n\nhttp://here/docs/page\n\nHello [there](http://here/docs/x)");
    expect(await read(html(""))).toContain("[the page has no text]");
  });

  it("gives a long page in parts, and says what is left", async () => {
    const long: RequestListener = (_, response) =>
      response.writeHead(200, { "content-type": "text/plain" }).end("0123456789".repeat(4_000));
    expect(await read(long)).toMatch(/\[characters 0 to 16000 of 40000; the rest: from 16000\]$/);
    const last = await read(long, { from: 32_005 });
    expect(last).toContain("567890123456789");
    expect(last).toMatch(/\[characters 32005 to 40000 of 40000\]$/);
    await expect(read(long, { from: 40_000 })).rejects.toThrow("the page has 40000 characters, so there is nothing from 40000");
  });

  it("reads a page in its own charset", async () => {
    const latin: RequestListener = (_, response) =>
      response.writeHead(200, { "content-type": "text/html" }).end(Buffer.from('<meta charset="iso-8859-1"><p>Größe</p>', "latin1"));
    expect(await read(latin)).toContain("Größe");
    expect(
      await read((_, response) => response.writeHead(200, { "content-type": "text/plain; charset=x-none" }).end("as it is")),
    ).toContain("as it is");
  });

  it("says what it does not read", async () => {
    await expect(read((_, response) => response.writeHead(404).end())).rejects.toThrow(/not text\/ or|status 404/);
    await expect(read((_, response) => response.writeHead(404, { "content-type": "text/html" }).end())).rejects.toThrow("status 404");
    await expect(read((_, response) => response.writeHead(200, { "content-type": "application/pdf" }).end("%PDF"))).rejects.toThrow(
      "application/pdf",
    );
    await expect(
      read((_, response) => response.writeHead(200, { "content-type": "text/html" }).end("x".repeat(3_000_000))),
    ).rejects.toThrow("2,097,152");
    const [page] = web() as [Tool];
    await expect(page.run({ url: "http://127.0.0.1/" }, contextOf())).rejects.toThrow("a loopback address");
  });

  it("is not held up by a page that is made to take long, and hears when it is not wanted any more", async () => {
    let ticks = 0;
    const timer = setInterval(() => (ticks += 1), 5);
    await expect(read(html("<div>".repeat(20_000)))).rejects.toThrow(/more than 500 levels deep/);
    clearInterval(timer);
    // The page was read elsewhere: this thread went on.
    expect(ticks).toBeGreaterThan(3);
    const ending = new AbortController();
    const asked = read(html(paragraph), {}, contextOf(ending.signal));
    ending.abort(new Error("not wanted"));
    await expect(asked).rejects.toThrow(/cancelled|not wanted/);
  });

  it("is pure, and what it gives is not to be trusted", () => {
    const tools = web({ search: { searxng: "https://search.example.org" } });
    expect(tools.map((each) => [each.name, each.class, each.untrusted, each.consequential])).toEqual([
      ["fetch_page", "pure", true, false],
      ["web_search", "pure", true, false],
    ]);
    expect(tools[0]?.parse({ url: "https://a.b", headers: {} })).toMatchObject({ ok: false });
  });
});

describe("web_search", () => {
  const found = [
    { title: "One", url: "https://one.example.org/", content: "first" },
    { title: "Bad", url: "javascript:alert(1)", content: "no page" },
    { title: 2, url: "https://two.example.org/", content: "s".repeat(900) },
  ];

  it("speaks SearXNG's JSON, on the operator's host wherever that is", async () => {
    let asked = "";
    await serving(
      (request, response) => {
        asked = request.url ?? "";
        response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ results: found }));
      },
      async (origin) => {
        const search = web({ search: { searxng: `${origin}/sx/` } })[1] as Tool;
        expect(await search.run({ query: "a & b" }, contextOf())).toEqual({
          results: [
            { title: "One", url: "https://one.example.org/", text: "first" },
            { title: "", url: "https://two.example.org/", text: "s".repeat(500) },
          ],
        });
        expect(asked).toBe("/sx/search?format=json&q=a%20%26%20b");
        expect(await search.run({ query: "x", count: 1 }, contextOf())).toMatchObject({ results: [{ title: "One" }] });
      },
    );
  });

  it("asks any other endpoint, with its headers, and finds the results where the mapping says", async () => {
    await serving(
      (request, response) => {
        const body = request.headers["x-key"] === "k" ? { web: { hits: [{ name: "N", link: { href: "https://n.example.org" } }] } } : {};
        response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
      },
      async (origin) => {
        const mapping = { results: "web.hits", title: "name", url: "link.href" };
        const ask = (headers: { [name: string]: string }) =>
          (web({ search: { url: `${origin}/?q={query}&n={count}`, headers, mapping } })[1] as Tool).run({ query: "x" }, contextOf());
        expect(await ask({ "x-key": "k" })).toEqual({ results: [{ title: "N", url: "https://n.example.org" }] });
        await expect(ask({})).rejects.toThrow('no list at "web.hits"');
      },
    );
  });

  it("says what is wrong with an endpoint when it is configured, and with its answer when it comes", async () => {
    const mapping = { results: "", title: "t", url: "u" };
    for (const url of ["https://search.example.org/", "ftp://a/{query}", "search/{query}"])
      expect(() => web({ search: { url, mapping } })).toThrow(/with \{query\} where the query belongs/);
    await serving(
      (_, response) => response.writeHead(200, { "content-type": "application/json" }).end("<html>"),
      async (origin) => {
        await expect((web({ search: { searxng: origin } })[1] as Tool).run({ query: "x" }, contextOf())).rejects.toThrow("no JSON");
      },
    );
  });
});
