/** Settings of the server with their defaults. Numbers that the protocol names are its defaults; the others say where they come from. */

import type { Caller } from "../protocol/caller.ts";
import { type Redaction, redaction } from "../safety/redaction.ts";

export type Intervals = {
  /** Between two pings of a WebSocket; two unanswered end it. */
  readonly pingMs: number;
  /** A WebSocket or event stream that takes nothing for so long is closed. */
  readonly slowMs: number;
  /** How often sockets are looked at for `pingMs` and `slowMs`. */
  readonly sweepMs: number;
  /** Between two comments of an event stream. */
  readonly commentMs: number;
  /** How long `POST /v1/runs` waits for the end when `Prefer` names no time. */
  readonly waitMs: number;
  /** The longest wait that `Prefer` can ask for. */
  readonly maxWaitMs: number;
  /** A run that is still queued after so long counts as staying queued. */
  readonly queuedMs: number;
  /** Request line and headers must have arrived after so long; also how long a connection may stay silent before its first request. */
  readonly headersMs: number;
  /** The whole request must have arrived after so long. */
  readonly bodyMs: number;
  /** How long a closing handshake may take before the socket is destroyed. */
  readonly closeMs: number;
  /** Bounds of the random time that clients are told to wait before they come back. */
  readonly retryMs: readonly [least: number, most: number];
};

export type ServerLimits = {
  readonly bodyBytes: number;
  /** Nesting of a body or frame, the outermost object included. */
  readonly depth: number;
  readonly frameBytes: number;
  /** Fragments of one message. A client has no reason for more than a few. */
  readonly fragments: number;
  /** Chunks that one unfinished message may arrive in; keeps a frame sent byte by byte from costing a buffer object each. */
  readonly chunks: number;
  readonly subscriptions: number;
  /** Frames taken at once, and a second after that. */
  readonly burst: number;
  readonly framesPerSecond: number;
  /** Frames in a row that could not be read before the socket is closed. */
  readonly badFrames: number;
  /** Bytes unsent to a socket from which on no event is added. Half of the promised 1 MiB, since one event may be large itself. */
  readonly unsentBytes: number;
  /** Frames of a socket waiting for their turn before it is not read any further. */
  readonly waitingFrames: number;
  /** Bytes of the frames waiting for their turn, likewise. */
  readonly waitingBytes: number;
};

export type ServerOptions = {
  /** Folder of the built console (what Vite wrote). Without it `/` says how to build one. */
  readonly page?: string | undefined;
  /** Browser origins allowed beside our own, each like `https://app.example.com`. */
  readonly origins?: readonly string[] | undefined;
  /** Who every request is, as long as there is no auth. */
  readonly caller?: Caller | undefined;
  readonly intervals?: Partial<Intervals> | undefined;
  readonly limits?: Partial<ServerLimits> | undefined;
  /** Told of every defect (what clients see as `internal`) with its cause. */
  readonly onDefect?: ((message: string, cause: unknown) => void) | undefined;
  /** The door that errors pass through before a client is told; the runtime's, which knows the secrets of the configuration. */
  readonly redaction?: Redaction | undefined;
};

export type ServerSettings = {
  readonly page: string | undefined;
  readonly origins: ReadonlySet<string>;
  readonly caller: Caller;
  readonly intervals: Intervals;
  readonly limits: ServerLimits;
  readonly onDefect: (message: string, cause: unknown) => void;
  readonly redaction: Redaction;
};

const intervals: Intervals = {
  pingMs: 20_000,
  slowMs: 30_000,
  sweepMs: 1_000,
  commentMs: 15_000,
  waitMs: 30_000,
  maxWaitMs: 600_000,
  queuedMs: 250,
  headersMs: 5_000,
  bodyMs: 15_000,
  closeMs: 10_000,
  retryMs: [1_000, 3_000],
};

const limits: ServerLimits = {
  bodyBytes: 8 * 1024 * 1024,
  depth: 64,
  frameBytes: 256 * 1024,
  fragments: 1_024,
  chunks: 16_384,
  subscriptions: 2_000,
  burst: 2_000,
  framesPerSecond: 200,
  badFrames: 10,
  unsentBytes: 512 * 1024,
  waitingFrames: 64,
  waitingBytes: 1024 * 1024,
};

/** The one caller there is while auth is off: the person at this machine, who may do everything. */
export const localCaller: Caller = { tenant: "local", scopes: ["admin", "tenant", "users"] };

export function resolveOptions(options: ServerOptions): ServerSettings {
  return {
    page: options.page,
    origins: new Set((options.origins ?? []).map((origin) => origin.trim().toLowerCase().replace(/\/$/, ""))),
    caller: options.caller ?? localCaller,
    intervals: { ...intervals, ...options.intervals },
    limits: { ...limits, ...options.limits },
    onDefect: options.onDefect ?? (() => {}),
    redaction: options.redaction ?? redaction(),
  };
}

/** A random time in the bounds, so that clients which lost the server together do not come back together. */
export function retryAfter([least, most]: readonly [number, number]): number {
  return Math.round(least + Math.random() * (most - least));
}
