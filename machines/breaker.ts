/**
 * The circuit breaker of one provider, model and endpoint: a machine of the process, outside every run and journal.
 * A run meets it only as the outcome of a call. Time comes with the events (`at`, ms of a monotonic clock).
 *
 *  1. Only health errors count (unavailable, interrupted, timeout): a refusal or a bad request says nothing about health.
 *  2. It opens when more than half of at least `minCalls` calls in the window failed; after `cooldownMs` one probe may pass.
 *
 * Source of the figures: FEATURES A11 (50 % in 60 s, one half-open probe).
 */
import { assign, emit, setup } from "xstate";

export type BreakerInput = { readonly windowMs: number; readonly minCalls: number; readonly cooldownMs: number };
export const breakerDefaults: BreakerInput = { windowMs: 60_000, minCalls: 5, cooldownMs: 15_000 };

export type BreakerEvent =
  /** A call wants to pass; the state after it says whether it may: `closed`, or `probing` for this one. */
  | { readonly type: "asked"; readonly at: number }
  | { readonly type: "succeeded"; readonly at: number }
  /** With the calls and failures of the window, this one included; whoever counts them drops what is older than `windowMs`. */
  | { readonly type: "failed"; readonly at: number; readonly calls: number; readonly failures: number }
  /** The probe's call ended without saying anything about health (cancelled, refused by the caller). */
  | { readonly type: "abandoned"; readonly at: number };

type Context = BreakerInput & { readonly openedAt: number };

export const breakerMachine = setup({
  types: {
    input: {} as BreakerInput,
    context: {} as Context,
    events: {} as BreakerEvent,
    emitted: {} as { type: "breaker.opened" | "breaker.closed" | "breaker.probing"; at: number },
  },
  guards: {
    isUnhealthy: ({ context }, { calls, failures }: { calls: number; failures: number }) =>
      calls >= context.minCalls && failures * 2 > calls,
    isCool: ({ context }, { at }: { at: number }) => at - context.openedAt >= context.cooldownMs,
  },
  actions: {
    markOpened: assign({ openedAt: (_, { at }: { at: number }) => at }),
    tell: emit((_, { type, at }: { type: "breaker.opened" | "breaker.closed" | "breaker.probing"; at: number }) => ({ type, at })),
  },
}).createMachine({
  id: "breaker",
  version: "1",
  options: { maxIterations: 1_000 },
  context: ({ input }) => ({ ...input, openedAt: 0 }),
  initial: "closed",
  states: {
    closed: {
      on: {
        failed: {
          guard: { type: "isUnhealthy", params: ({ event }) => event },
          target: "open",
          actions: [
            { type: "markOpened", params: ({ event }) => event },
            { type: "tell", params: ({ event }) => ({ type: "breaker.opened", at: event.at }) },
          ],
        },
      },
    },
    open: {
      on: {
        asked: {
          guard: { type: "isCool", params: ({ event }) => event },
          target: "probing",
          actions: { type: "tell", params: ({ event }) => ({ type: "breaker.probing", at: event.at }) },
        },
      },
    },
    probing: {
      on: {
        succeeded: { target: "closed", actions: { type: "tell", params: ({ event }) => ({ type: "breaker.closed", at: event.at }) } },
        failed: {
          target: "open",
          actions: [
            { type: "markOpened", params: ({ event }) => event },
            { type: "tell", params: ({ event }) => ({ type: "breaker.opened", at: event.at }) },
          ],
        },
        abandoned: "open",
      },
    },
  },
});
