/**
 * One WebSocket of the channel `escapement.v1`: its frames, subscriptions and end. Frames are decoded in `client-frame.ts`, events are
 * moved by `subscription.ts`, bytes leave by `outbox.ts`.
 *
 * Invariants:
 *  1. Every frame gets exactly one answer, in the order of the frames. Frames are performed one after another; only starts that stand
 *     next to each other and share no session are performed together, since each waits for the disk.
 *  2. `ok` comes before the first event of the subscription it made, and nothing of the one it replaced comes after it.
 *  3. A client that does not read is not read either: frames wait while the outbox is full, and the socket is paused while too many wait.
 *  4. A run started with `cancel_on_disconnect` is cancelled when the socket ends before the run, unless the server itself is going down.
 */
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import type { Caller } from "../protocol/caller.ts";
import { EscapementError } from "../protocol/errors.ts";
import type { Ref, ServerFrame } from "../protocol/frames.ts";
import type { RunStatus } from "../protocol/run.ts";
import type { EventReader, RunHandle } from "../protocol/runs.ts";
import { type Command, type DecodedFrame, decodeFrame } from "./client-frame.ts";
import type { ServerContext } from "./context.ts";
import { failure } from "./failure.ts";
import { FrameRate } from "./frame-rate.ts";
import { Outbox } from "./outbox.ts";
import { present } from "./present.ts";
import { cancelAbandoned, startRun } from "./start.ts";
import { Subscription } from "./subscription.ts";

/** The answer to a frame, and what follows once it is sent (or what undoes it, when the socket has ended meanwhile). */
type Answer = { readonly frame: ServerFrame; readonly sent?: () => void; readonly unsent?: () => void };

/** Starts performed together at most. */
const startsAtOnce = 32;

export class ClientSocket {
  readonly #ws: WebSocket;
  readonly #context: ServerContext;
  readonly #caller: Caller;
  readonly #outbox: Outbox;
  readonly #rate: FrameRate;
  readonly #subscriptions = new Map<string, Subscription>();
  /** Runs to cancel when the socket ends. A run leaves it with its own end, so it holds no more than live runs. */
  readonly #attached = new Map<string, RunHandle>();
  #frames: DecodedFrame[] = [];
  #waitingBytes = 0;
  #working = false;
  #badInRow = 0;
  /** Subscriptions that starts under way will make. */
  #reserved = 0;
  /** The closing handshake has begun, or the socket has ended. */
  #closing = false;
  /** The server is going down: what was asked is still answered, nothing new is taken. */
  #draining = false;
  #unansweredPings = 0;
  #pingAt: number;
  #taken = "";
  #takenAt: number;

  constructor(ws: WebSocket, raw: Duplex, context: ServerContext, caller: Caller, now: number) {
    const { intervals, limits } = context.settings;
    this.#ws = ws;
    this.#context = context;
    this.#caller = caller;
    this.#outbox = new Outbox(ws, raw, limits.unsentBytes);
    this.#rate = new FrameRate(limits.burst, limits.framesPerSecond);
    this.#takenAt = now;
    this.#pingAt = now + intervals.pingMs;
    ws.on("message", (data, binary) => this.#receive(data as Buffer, binary));
    ws.on("ping", () => this.#countControlFrame());
    ws.on("pong", () => {
      this.#unansweredPings = 0;
      this.#countControlFrame();
    });
    // What went wrong is in the close code that `ws` has chosen already (1002, 1007, 1008, 1009).
    ws.on("error", () => {});
    ws.on("close", () => this.#ended());
  }

  /** Looks at the clock (that of its server, see `websocket.ts`): pings, ends the socket whose pings stay unanswered or whose client takes nothing. Called every `sweepMs`. */
  sweep(now: number): void {
    if (this.#closing) return;
    const { intervals } = this.#context.settings;
    const taken = this.#outbox.taken;
    if (this.#outbox.unsent === 0 || taken !== this.#taken) {
      this.#taken = taken;
      this.#takenAt = now;
    } else if (now - this.#takenAt >= intervals.slowMs) {
      this.#context.gauges.add("escapement_websocket_slow_readers_total");
      this.#close(4008, "slow reader");
      return;
    }
    if (now < this.#pingAt) return;
    this.#pingAt = now + intervals.pingMs;
    if (this.#ws.isPaused) return;
    if (this.#unansweredPings >= 2) {
      this.#closing = true;
      this.#ws.terminate();
      return;
    }
    this.#unansweredPings++;
    this.#ws.ping();
  }

  /** Says goodbye: `drain`, then 1001 as soon as the frames that were taken before are answered. Events end where they are. */
  drain(retryMs: number): void {
    if (this.#closing || this.#draining) return;
    this.#draining = true;
    this.#outbox.send({ type: "drain", retry_ms: retryMs });
    if (!this.#working) this.#close(1001, "drain");
  }

  terminate(): void {
    this.#ws.terminate();
  }

  #receive(data: Buffer, binary: boolean): void {
    if (this.#closing || this.#draining) return;
    this.#context.gauges.add("escapement_websocket_frames_total");
    this.#unansweredPings = 0;
    if (!this.#rate.take()) {
      this.#close(1008, "too many frames");
      return;
    }
    const { limits } = this.#context.settings;
    const frame = decodeFrame(data, binary, limits.depth);
    this.#frames.push(frame);
    this.#waitingBytes += frame.bytes;
    if (this.#frames.length >= limits.waitingFrames || this.#waitingBytes >= limits.waitingBytes) this.#ws.pause();
    if (!this.#working) void this.#work();
  }

  /** A flood of pings costs as much as one of frames. */
  #countControlFrame(): void {
    if (!this.#closing && !this.#rate.take()) this.#close(1008, "too many frames");
  }

  async #work(): Promise<void> {
    this.#working = true;
    while (this.#frames.length > 0 && !this.#closing) {
      await this.#outbox.room();
      const answers = this.#nextFrames().map((frame) => this.#answer(frame));
      for (const answer of answers) this.#deliver(await answer);
      if (this.#ws.isPaused && this.#frames.length === 0) this.#ws.resume();
    }
    this.#working = false;
    if (this.#draining) this.#close(1001, "drain");
  }

  /** The first frame, or the starts at the front that may go together. */
  #nextFrames(): DecodedFrame[] {
    let count = 0;
    while (count < startsAtOnce && count < this.#frames.length && mayStartWithOthers(this.#frames[count]!)) count++;
    const frames = this.#frames.splice(0, Math.max(1, count));
    for (const frame of frames) this.#waitingBytes -= frame.bytes;
    return frames;
  }

  /** Never rejects. */
  async #answer(frame: DecodedFrame): Promise<Answer> {
    if ("error" in frame) {
      const { error, ref } = frame;
      const bad = ++this.#badInRow >= this.#context.settings.limits.badFrames;
      const answer: ServerFrame = {
        type: "error",
        ...(ref === undefined ? {} : { ref }),
        error: this.#context.settings.redaction.error(error.body),
      };
      return bad ? { frame: answer, sent: () => this.#close(4000, "too many bad frames") } : { frame: answer };
    }
    this.#badInRow = 0;
    const { command } = frame;
    try {
      return await this.#perform(command);
    } catch (error) {
      return { frame: { type: "error", ref: command.ref, error: failure(error, this.#context, `the frame ${command.type}`) } };
    }
  }

  async #perform(command: Command): Promise<Answer> {
    const { runtime } = this.#context;
    const caller = this.#caller;
    switch (command.type) {
      case "start":
        return this.#start(command);
      case "subscribe": {
        const { ref, run, after, internal } = command;
        this.#refuseTooMany(run);
        const reader = await runtime.events(run, { caller, ...present({ after, internal }) });
        // Whoever begins at the end of a run gets no event; the status tells that there may be none.
        const status = after === undefined ? undefined : (await runtime.get(run, caller)).status;
        return this.#subscribed(ref, run, reader, present({ status }));
      }
      case "unsubscribe":
        this.#unsubscribe(command.run);
        this.#releaseAtEnd(command.run);
        return { frame: { type: "ok", ref: command.ref, run: command.run } };
      case "cancel": {
        const { run } = await runtime.cancel(command.run, { caller, ...present({ reason: command.reason }) });
        return { frame: { type: "ok", ref: command.ref, run: run.id, status: run.status } };
      }
      case "answer": {
        const { run, replayed } = await runtime.answer(command.run, command.answer, { caller });
        return { frame: { type: "ok", ref: command.ref, run: run.id, status: run.status, ...(replayed ? { replayed } : {}) } };
      }
      case "ping":
        return { frame: { type: "pong", ref: command.ref } };
      case "watch":
        throw new EscapementError("not_found", "watch is not served yet; list runs with GET /v1/runs");
    }
  }

  async #start({ ref, body, idempotencyKey }: Extract<Command, { type: "start" }>): Promise<Answer> {
    this.#refuseTooMany(undefined);
    this.#reserved++;
    try {
      const run = await startRun(this.#context, body, this.#caller, idempotencyKey);
      const answer = this.#subscribed(ref, run.id, run.events(), run.replayed ? { replayed: true } : {});
      if (!body.cancel_on_disconnect) return answer;
      return {
        frame: answer.frame,
        sent: () => {
          this.#attached.set(run.id, run);
          answer.sent?.();
        },
        unsent: () => {
          answer.unsent?.();
          if (!this.#draining) cancelAbandoned(this.#context, run.id, this.#caller);
        },
      };
    } finally {
      this.#reserved--;
    }
  }

  #subscribed(ref: Ref, run: string, reader: EventReader, more: { replayed?: boolean; status?: RunStatus } = {}): Answer {
    return {
      frame: { type: "ok", ref, run, ...more },
      sent: () => this.#follow(run, reader),
      unsent: () => reader.close(),
    };
  }

  #follow(run: string, reader: EventReader): void {
    this.#unsubscribe(run);
    const subscription = new Subscription(run, reader, this.#outbox);
    this.#subscriptions.set(run, subscription);
    this.#context.gauges.add("escapement_websocket_subscriptions");
    void subscription.pump().then((end) => {
      this.#context.gauges.add("escapement_websocket_subscriptions", -1);
      if (this.#subscriptions.get(run) === subscription) this.#subscriptions.delete(run);
      if (end.why === "finished") this.#attached.delete(run);
      if (end.why !== "failed" || this.#closing) return;
      this.#outbox.send({ type: "error", error: { ...failure(end.error, this.#context, "a subscription"), run } });
    });
  }

  #unsubscribe(run: string): void {
    this.#subscriptions.get(run)?.close();
    this.#subscriptions.delete(run);
  }

  /** Nobody on this socket sees the run's end any more, so it is waited for. */
  #releaseAtEnd(run: string): void {
    const release = () => void this.#attached.delete(run);
    this.#attached.get(run)?.result().then(release, release);
  }

  #refuseTooMany(replacing: string | undefined): void {
    const limit = this.#context.settings.limits.subscriptions;
    if (replacing !== undefined && this.#subscriptions.has(replacing)) return;
    if (this.#subscriptions.size + this.#reserved < limit) return;
    throw new EscapementError("overloaded", `a socket holds at most ${limit} subscriptions; unsubscribe from some, or open another`);
  }

  #deliver(answer: Answer): void {
    if (this.#closing) {
      answer.unsent?.();
      return;
    }
    this.#outbox.send(answer.frame);
    answer.sent?.();
  }

  #close(code: number, reason: string): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#ws.close(code, reason);
    // A socket that is no longer read cannot see the client's half of the handshake.
    this.#ws.resume();
    for (const run of [...this.#subscriptions.keys()]) this.#unsubscribe(run);
  }

  #ended(): void {
    this.#closing = true;
    for (const run of [...this.#subscriptions.keys()]) this.#unsubscribe(run);
    if (!this.#draining) for (const run of this.#attached.keys()) cancelAbandoned(this.#context, run, this.#caller);
    this.#attached.clear();
    this.#frames = [];
  }
}

function mayStartWithOthers(frame: DecodedFrame): boolean {
  return "command" in frame && frame.command.type === "start" && frame.command.body.session === undefined;
}
