/**
 * Commands that wait for their answer. Each is a frame that can be sent again as it is: when the connection is lost, what was not
 * answered is sent over the next one (a start carries a key, so that it joins its own run; cancel and unsubscribe may be repeated).
 */
import type { ClientFrame, Ref, ServerFrame } from "../protocol/frames.ts";
import type { Connection } from "./connection.ts";
import { clientError, EscapementError, isDraining } from "./error.ts";

/** A frame before it has its `ref`. */
export type Command = ClientFrame extends infer F ? (F extends { ref: Ref } ? Omit<F, "ref"> : never) : never;
export type Ok = Extract<ServerFrame, { type: "ok" }>;

type Waiting = {
  readonly frame: ClientFrame;
  /** Called while the answer's frame is handled, so before any event that follows it. */
  readonly onOk: (ok: Ok) => void;
  readonly onError: (error: EscapementError) => void;
  /** Sent again over the next connection; otherwise forgotten with the old one. */
  readonly resend: boolean;
  readonly timer: ReturnType<typeof setTimeout> | undefined;
};

export class Commands {
  readonly #connection: Connection;
  readonly #waiting = new Map<Ref, Waiting>();
  #ref = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Whether a connection is needed for what waits. */
  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /**
   * Resolves with what `onOk` made of the answer. Rejects with the server's error, and with `timeout` when there is no answer in
   * `timeoutMs`; then it is unknown whether the command was carried out.
   */
  ask<T>(command: Command, onOk: (ok: Ok) => T, timeoutMs: number): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const onTimeout = () => {
        this.#waiting.delete(frame.ref);
        const why = this.#connection.isOpen ? "" : ": the server cannot be reached";
        reject(clientError("timeout", `no answer to ${command.type} in ${timeoutMs} ms${why}`, true));
      };
      const timer = setTimeout(onTimeout, timeoutMs);
      const frame = this.#add(command, { onOk: (ok) => resolve(onOk(ok)), onError: reject, resend: true, timer });
      this.#connection.want();
    });
  }

  /** For a connection that is open now; when that is lost, so is the command and neither callback is called. */
  tell(command: Command, onOk: (ok: Ok) => void, onError: (error: EscapementError) => void): void {
    this.#add(command, { onOk, onError, resend: false, timer: undefined });
  }

  resend(): void {
    for (const { frame } of this.#waiting.values()) this.#connection.send(frame);
  }

  lost(): void {
    for (const [ref, { resend }] of this.#waiting) if (!resend) this.#waiting.delete(ref);
  }

  answered(frame: Extract<ServerFrame, { type: "ok" | "error" }>): void {
    const waiting = frame.ref === undefined ? undefined : this.#waiting.get(frame.ref);
    if (!waiting || frame.ref === undefined) return;
    // The server that goes down closes this connection next; the command goes to the one after it.
    if (frame.type === "error" && isDraining(frame.error) && waiting.resend) return;
    this.#waiting.delete(frame.ref);
    clearTimeout(waiting.timer);
    if (frame.type === "ok") waiting.onOk(frame);
    else waiting.onError(new EscapementError(frame.error));
  }

  failAll(error: EscapementError): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { onError, timer } of waiting) {
      clearTimeout(timer);
      onError(error);
    }
  }

  #add(command: Command, waiting: Omit<Waiting, "frame">): ClientFrame {
    const ref = ++this.#ref;
    // A command is a client frame without `ref`; this puts it back.
    const frame = { ...command, ref } as ClientFrame;
    this.#waiting.set(ref, { ...waiting, frame });
    if (this.#connection.isOpen) this.#connection.send(frame);
    return frame;
  }
}
