/** A cached answer told like a live one: its text in pieces, each in a turn of the event loop of its own, so that it can be cancelled. */
import type { CallOutput } from "../../machines/work.ts";
import type { Json } from "../protocol/json.ts";
import type { Performing, Reporter } from "../runtime/interpreter.ts";
import type { Account } from "../runtime/run.ts";
import type { CacheEntry } from "./cache.ts";

/** However long the text is, it is told in so many pieces at most. */
const maxPieces = 16;
const minPiece = 64;

export function replay(found: Promise<CacheEntry | null>, call: string, report: Reporter): Performing {
  const startedAt = performance.now();
  let isStopped = false;
  let model = "";
  let ttftMs: number | undefined;
  const since = (): number => Math.round(performance.now() - startedAt);
  const account = (): Account => ({
    costNano: 0,
    inputTokens: 0,
    cachedTokens: 0,
    outputTokens: 0,
    estimated: false,
    model,
    durationMs: since(),
    ...(ttftMs !== undefined && { ttftMs }),
  });

  const saved = ({ costNano }: CacheEntry): number => (Number.isSafeInteger(costNano) ? Math.max(0, costNano as number) : 0);

  const tell = (entry: CacheEntry, from: number): void => {
    if (isStopped) return;
    const { text, value } = entry;
    if (from < text.length) {
      ttftMs ??= since();
      const to = endOf(text, from + Math.max(minPiece, Math.ceil(text.length / maxPieces)));
      report.text(text.slice(from, to));
      setImmediate(tell, entry, to);
      return;
    }
    if (value !== undefined) report.partial(value);
    const output: CallOutput = { call, finish: "stop", text, ...(value !== undefined && { value }) };
    report.done({ ok: true, value: output as unknown as Json, account: { ...account(), savedNano: saved(entry) } });
  };

  void found
    .catch(() => null)
    .then((entry) => {
      if (isStopped) return;
      if (entry) {
        model = entry.model;
        tell(entry, 0);
        return;
      }
      const error = { code: "unavailable", message: "the cache no longer has this answer", retryable: false, call, shown: 0 };
      report.done({ ok: false, value: error, account: account() });
    });
  return {
    stop: () => {
      isStopped = true;
    },
    account,
  };
}

/** No surrogate pair is split. */
function endOf(text: string, wanted: number): number {
  if (wanted >= text.length) return text.length;
  const last = text.charCodeAt(wanted - 1);
  return last >= 0xd800 && last <= 0xdbff ? wanted + 1 : wanted;
}
