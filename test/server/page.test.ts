import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { world } from "./world.ts";

function folder(): string {
  const parent = mkdtempSync(join(tmpdir(), "page-"));
  onTestFinished(() => rm(parent, { recursive: true }));
  writeFileSync(join(parent, "secret.txt"), "secret");
  const page = join(parent, "page");
  mkdirSync(join(page, "assets"), { recursive: true });
  mkdirSync(join(page, ".vite"));
  writeFileSync(join(page, ".vite", "manifest.json"), "{}");
  writeFileSync(join(page, "index.html"), "<!doctype html><script type=module src=/assets/main-abc.js></script>");
  writeFileSync(join(page, "assets", "main-abc.js"), "export {}");
  symlinkSync(join(parent, "secret.txt"), join(page, "link.txt"));
  return page;
}

/** Without the normalisation that `fetch` does. */
const get = (url: string, path: string) =>
  new Promise<number>((resolve, reject) => {
    request(url, { path }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on("error", reject)
      .end();
  });

test("the page and its files are served with a strict policy", async () => {
  const { url } = await world({ page: folder() });
  const index = await fetch(url);
  expect(index.headers.get("content-type")).toBe("text/html; charset=utf-8");
  expect(index.headers.get("cache-control")).toBe("no-cache");
  expect(index.headers.get("content-security-policy")).toMatch(/^default-src 'none'; script-src 'self';/);
  expect(index.headers.get("content-security-policy")).not.toContain("unsafe");
  expect(await index.text()).toContain("main-abc.js");
  const script = await fetch(`${url}/assets/main-abc.js`);
  expect(script.headers.get("content-type")).toBe("text/javascript; charset=utf-8");
  expect(script.headers.get("cache-control")).toContain("immutable");
  const etag = script.headers.get("etag") ?? "";
  expect((await fetch(`${url}/assets/main-abc.js`, { headers: { "if-none-match": etag } })).status).toBe(304);
  expect(await (await fetch(url, { method: "HEAD" })).text()).toBe("");
});

test.for([
  "/../secret.txt",
  "/assets/../../secret.txt",
  "/%2e%2e/secret.txt",
  "/..%2fsecret.txt",
  "/..%5csecret.txt",
  "/..\\secret.txt",
  "/assets/%00main-abc.js",
  "/link.txt",
  "/.vite/manifest.json",
  "/assets",
  "/assets/",
  "//index.html",
  "/index.html/",
  `/${"a".repeat(5_000)}`,
])("%s is not there", async (path) => {
  const { url } = await world({ page: folder() });
  expect([400, 404]).toContain(await get(url, path));
});

test("without a built page, / says how to build one", async () => {
  const { url } = await world();
  const response = await fetch(url);
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
  expect(await response.text()).toContain("npm run build:console");
});

test("metrics are Prometheus text", async () => {
  const { url } = await world();
  const text = await (await fetch(`${url}/metrics`)).text();
  expect(text).toMatch(/^# HELP escapement_websocket_connections /);
  expect(text).toContain("\nescapement_ready 1\n");
  for (const line of text.trimEnd().split("\n")) expect(line).toMatch(/^(# (HELP|TYPE) \w+ .+|\w+ [\d.e+]+)$/);
});
