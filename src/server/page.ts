/**
 * The console's page: files of one folder that Vite built. Only files that were there when the folder was listed are served, each under
 * exactly its own path; nothing in a request is ever made into a file name.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { extname, join, relative, sep } from "node:path";
import type { Headers } from "./reply.ts";
import { pageHeaders } from "./security-headers.ts";

const types: { readonly [extension: string]: string } = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
  ".wasm": "application/wasm",
  ".map": "application/json",
  ".txt": "text/plain; charset=utf-8",
};

type PageFile = { readonly bytes: Uint8Array<ArrayBuffer>; readonly headers: Headers };

const placeholder = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Escapement</title></head>
<body><h1>Escapement</h1><p>The server runs. Its console is not built yet: run <code>npm run build:console</code> and start again.</p>
<p>The API is under <code>/v1</code>.</p></body></html>
`;

export class Page {
  /** By path, `/` included. Read once: a console is a few hundred KiB, and a file that changes under a running server is not its own. */
  readonly #files = new Map<string, PageFile>();

  constructor(folder: string | undefined) {
    for (const file of folder === undefined ? [] : regularFiles(folder)) {
      this.#files.set(`/${relative(folder!, file).split(sep).join("/")}`, pageFile(file));
    }
    const index = this.#files.get("/index.html") ?? {
      bytes: new TextEncoder().encode(placeholder),
      headers: { ...pageHeaders, "content-type": "text/html; charset=utf-8", "cache-control": "no-cache" },
    };
    this.#files.set("/", index);
  }

  /** `path` is the request's as it came, escapes and all. */
  serve(path: string, ifNoneMatch: string | undefined): Response | undefined {
    const file = this.#files.get(path);
    if (!file) return undefined;
    if (ifNoneMatch !== undefined && ifNoneMatch === file.headers.etag) return new Response(null, { status: 304, headers: file.headers });
    return new Response(file.bytes, { headers: file.headers });
  }
}

function pageFile(file: string): PageFile {
  const bytes = new Uint8Array(readFileSync(file));
  // Vite puts a hash of the content into the names of everything under assets.
  const hashed = file.includes(`${sep}assets${sep}`);
  return {
    bytes,
    headers: {
      ...pageHeaders,
      "content-type": types[extname(file).toLowerCase()] ?? "application/octet-stream",
      "cache-control": hashed ? "public, max-age=31536000, immutable" : "no-cache",
      etag: `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`,
    },
  };
}

/** Regular files below a folder: no links, no dot files (`.vite/manifest.json` is for build tools). */
function regularFiles(folder: string): string[] {
  let entries: import("node:fs").Dirent[];
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
  return entries.flatMap((entry) => {
    if (entry.name.startsWith(".")) return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return regularFiles(path);
    return entry.isFile() ? [path] : [];
  });
}
