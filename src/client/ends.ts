/** Which statuses are ends. The protocol's own list is a value of a module that this client must not load; the type keeps the two equal. */
import type { EndStatus, RunStatus } from "../protocol/run.ts";

const ends: { readonly [status in EndStatus]: true } = {
  done: true,
  degraded: true,
  exhausted: true,
  refused: true,
  cancelled: true,
  failed: true,
};

export const hasEnded = (status: RunStatus): status is EndStatus => Object.hasOwn(ends, status);
