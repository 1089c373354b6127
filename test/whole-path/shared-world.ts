/**
 * One server process and one provider for all tests of a file: a start takes as long as many of them. Tests stay apart by the inputs
 * of their runs, which the provider answers by, and by their runs' own lines in the books.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, onTestFinished } from "vitest";
import { ProtocolSocket } from "./protocol-client.ts";
import { type Scripts, startScripts } from "./scripts.ts";
import { endAll, newFolder, type Served, serve } from "./served.ts";
import { readBook, type ToolLine } from "./tool-book.ts";

export type SharedWorld = {
  readonly url: string;
  readonly server: Served;
  readonly scripts: Scripts;
  readonly data: string;
  /** What the tools of this run wrote. */
  tools(run: string): readonly ToolLine[];
  /** A connection that ends with the test. */
  socket(): Promise<ProtocolSocket>;
};

const configFile = fileURLToPath(new URL("escapement.config.ts", import.meta.url));

/** To be called at a file's top level; what it returns gives the world once tests run. */
export function sharedWorld(): () => SharedWorld {
  let world: SharedWorld | undefined;
  beforeAll(async () => {
    const scripts = await startScripts();
    const cwd = newFolder();
    const data = join(cwd, "data");
    const book = join(cwd, "book.jsonl");
    const server = await serve({
      cwd,
      env: { ESCAPEMENT_CONFIG: configFile, ESCAPEMENT_DATA: data, WHOLE_PATH_PROVIDER: scripts.server.url, WHOLE_PATH_BOOK: book },
    });
    world = {
      url: server.url,
      server,
      scripts,
      data,
      tools: (run) => readBook(book).filter((line) => line.run === run),
      async socket() {
        const socket = await ProtocolSocket.open(server.url);
        onTestFinished(() => {
          socket.close();
          socket.check();
        });
        return socket;
      },
    };
  }, 120_000);
  afterAll(async () => {
    await endAll();
    await world?.scripts.server.close();
  }, 60_000);
  return () => {
    if (!world) throw new Error("the world is there only while tests run");
    return world;
  };
}
