/** Whether an answer names something that is open, and that nobody has answered. */
import type { OpenAsk } from "../store.ts";
import type { PackedRecord } from "./packed.ts";

/** Why an answer is refused; null when it is not. `hash` is what the sender has read. */
export function answerConflict(
  record: PackedRecord,
  ordinal: number | null,
  hash: string | undefined,
  isAnswered: () => boolean,
): string | null {
  // Written by a writer as JSON of this type.
  const ask = (JSON.parse(record[9]) as OpenAsk[]).find((open) => open.ordinal === ordinal && open.kind === "ask");
  if (!ask || ask.denied !== undefined) return `nothing waits for an answer under "q${ordinal}"`;
  if (isAnswered()) return `"q${ordinal}" was answered already`;
  if (hash !== undefined && hash !== ask.hash) return `what "q${ordinal}" asks about has changed: its hash is ${ask.hash}, not ${hash}`;
  return null;
}
