/** Ids. Those of a run are random; those inside a run are counted, so that a replay makes the same ones. */
import { nanoid } from "nanoid";

/** `run_` and 21 characters of `A-Za-z0-9_-` (126 random bits). */
export const newRunId = (): string => `run_${nanoid()}`;
/** The call of an ask: `c3` is the work with ordinal 3. */
export const callId = (ordinal: number): string => `c${ordinal}`;
/** The tool use of an ask. */
export const toolId = (ordinal: number): string => `t${ordinal}`;
/** The question of an ask: what `input.requested.id` says and an answer names. */
export const askId = (ordinal: number): string => `q${ordinal}`;
