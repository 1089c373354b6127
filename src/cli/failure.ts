/** How a command says that it did not work: one sentence for what somebody can mend, a stack only for a mistake of ours. */
import { EscapementError as ClientError } from "../client/error.ts";
import { EscapementError } from "../protocol/errors.ts";
import { redaction } from "../safety/redaction.ts";

export const failureWords = (error: unknown): string => redaction().text(words(error));

function words(error: unknown): string {
  if (error instanceof EscapementError || error instanceof ClientError) return `${error.message} (${error.code})`;
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `something unforeseen failed; please report this:\n${stack}`;
}
