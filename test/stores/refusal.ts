import { expect } from "vitest";
import { EscapementError } from "../../src/protocol/errors.ts";

/** The error that a promise is rejected with; fails the test when it is not ours. */
export async function refusal(promise: Promise<unknown>): Promise<EscapementError> {
  const error = await promise.then(
    () => null,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(EscapementError);
  return error as EscapementError;
}
