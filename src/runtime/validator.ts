/**
 * Validators: what an answer must be beyond its schema (FEATURES A16). They run where its call is performed, once the answer is whole
 * and fits its schema; a complaint goes back to the model as the reason to answer again.
 *
 *  1. They run in order; of those that block, the first complaint ends them.
 *  2. One that does not block never changes the answer: what it finds is told as a `data` event named `validation`.
 *  3. One that throws, or takes longer than {@link validatorMs}, has complained: an answer that nobody could check is not given.
 */
import type { Json } from "../protocol/json.ts";
import type { Message } from "../protocol/messages.ts";

export type Checked = { readonly text: string; readonly value?: Json };

export type CheckedFor = {
  /** The conversation that was answered. */
  readonly messages: readonly Message[];
  readonly agent: string;
  /** Aborted when the call is stopped. */
  readonly signal: AbortSignal;
};

export type Validator = {
  readonly name: string;
  /** Default true. */
  readonly blocking?: boolean;
  /** What is wrong with the answer, in words for the model; nothing when it is fine. */
  check(answer: Checked, about: CheckedFor): string | null | undefined | Promise<string | null | undefined>;
};

export type Complaints = {
  readonly problem?: string;
  readonly notes?: readonly { readonly validator: string; readonly problem: string }[];
};

/** Milliseconds that one validator may take. */
export const validatorMs = 10_000;

export async function validate(validators: readonly Validator[], answer: Checked, about: CheckedFor): Promise<Complaints> {
  const notes: { validator: string; problem: string }[] = [];
  for (const validator of validators) {
    const problem = await complaintOf(validator, answer, about);
    if (problem === null) continue;
    if (validator.blocking !== false) return { problem, ...(notes.length > 0 && { notes }) };
    notes.push({ validator: validator.name, problem });
  }
  return notes.length > 0 ? { notes } : {};
}

async function complaintOf(validator: Validator, answer: Checked, about: CheckedFor): Promise<string | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`the check "${validator.name}" did not end within ${validatorMs} ms`), validatorMs);
  });
  try {
    const said = await Promise.race([validator.check(answer, about), late]);
    return said === null || said === undefined || said === "" ? null : String(said);
  } catch (error) {
    return `the check "${validator.name}" failed: ${error instanceof Error ? error.message : String(error)}`;
  } finally {
    clearTimeout(timer);
  }
}
