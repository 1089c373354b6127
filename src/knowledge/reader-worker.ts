/** The thread of the reader: a file's bytes become chunks. */
import { parentPort } from "node:worker_threads";
import { loadTokenizer } from "../money/tokens.ts";
import { chunksOf } from "./chunks.ts";
import { UnreadableDocument } from "./content.ts";
import { formatOf } from "./formats/formats.ts";
import type { ReadDocument, ReadMessage, ReadReply } from "./reader.ts";

if (!parentPort) throw new Error("reader-worker.ts is started by reader.ts as a worker thread");
const port = parentPort;

port.on("message", async (message: ReadMessage) => {
  const reply: ReadReply = await read(message).then(
    (document) => ({ document }),
    // What a library says about a broken file is for its authors.
    (error: unknown) => ({ unreadable: error instanceof UnreadableDocument ? error.message : "it is damaged" }),
  );
  port.postMessage(reply);
});

async function read({ name, bytes, chunk }: ReadMessage): Promise<ReadDocument> {
  const [format] = await Promise.all([formatOf(name), loadTokenizer()]);
  const content = await format(bytes);
  return { ...(content.title !== undefined && { title: content.title.slice(0, 300) }), chunks: chunksOf(content, chunk) };
}
