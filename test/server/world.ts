/** A fresh server on a free port with a scripted runtime, and a WebSocket client that is used like a conversation. */
import { expect, onTestFinished } from "vitest";
import { type ClientOptions, WebSocket } from "ws";
import { createServer, type Listening, type ServerOptions } from "../../src/server/server.ts";
import { ScriptedRuntime } from "./scripted-runtime.ts";

export type World = { readonly runtime: ScriptedRuntime; readonly listening: Listening; readonly url: string; readonly defects: unknown[] };

/** `runtime`: of another world, whose runs this server shows too. */
export async function world(options: ServerOptions = {}, runtime: ScriptedRuntime = new ScriptedRuntime()): Promise<World> {
  const defects: unknown[] = [];
  const server = createServer(runtime, { onDefect: (_, cause) => defects.push(cause), ...options });
  const listening = await server.listen({ port: 0 });
  onTestFinished(() => listening.close(0));
  return { runtime, listening, url: listening.url, defects };
}

/** For what happens soon, on a machine that may be busy. */
export const eventually = <T>(look: () => T | Promise<T>) => expect.poll(look, { timeout: 4_000, interval: 5 });

export type Frame = { readonly type: string; readonly [key: string]: unknown };

export class TestSocket {
  readonly ws: WebSocket;
  readonly closed: Promise<{ code: number; reason: string }>;
  #frames: Frame[] = [];
  #waiting: ((frame: Frame) => void)[] = [];

  constructor(ws: WebSocket) {
    this.ws = ws;
    this.closed = new Promise((resolve) => ws.on("close", (code, reason) => resolve({ code, reason: reason.toString() })));
    ws.on("error", () => {});
    ws.on("message", (data) => {
      const frame: Frame = JSON.parse(data.toString());
      const waiting = this.#waiting.shift();
      if (waiting) waiting(frame);
      else this.#frames.push(frame);
    });
  }

  send(frame: unknown): void {
    this.ws.send(typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  async next(): Promise<Frame> {
    return this.#frames.shift() ?? new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Sends and gives the next frame that is no event. */
  async ask(frame: unknown): Promise<Frame> {
    this.send(frame);
    for (;;) {
      const answer = await this.next();
      if (answer.type !== "event") return answer;
    }
  }

  /** Frames up to and including the first that fits. */
  async until(fits: (frame: Frame) => boolean): Promise<Frame[]> {
    const frames: Frame[] = [];
    for (;;) {
      const frame = await this.next();
      frames.push(frame);
      if (fits(frame)) return frames;
    }
  }
}

export const isFinished = (frame: Frame): boolean => frame.type === "event" && (frame.event as { type: string }).type === "run.finished";

/** Types of events, others as they are. */
export const kinds = (frames: readonly Frame[]): string[] =>
  frames.map((frame) => (frame.type === "event" ? (frame.event as { type: string }).type : frame.type));

export async function connect(url: string, options: ClientOptions & { protocols?: string[] } = {}): Promise<TestSocket> {
  const { protocols = ["escapement.v1"], ...rest } = options;
  const ws = new WebSocket(`${url.replace("http", "ws")}/v1/ws`, protocols, rest);
  const socket = new TestSocket(ws);
  onTestFinished(() => ws.terminate());
  await new Promise<void>((resolve, reject) => {
    ws.once("open", () => resolve());
    ws.once("error", reject);
  });
  return socket;
}
