/**
 * What a run was asked. Events do not repeat the input; the journal's first entry is it. What this page has just sent is known at once.
 */
import { useEffect, useState } from "react";
import { promptOf } from "./prompt.ts";
import { readInput } from "./server.ts";

/** The last question that this page sent. */
let sent: { readonly run: string; readonly input: unknown } | null = null;

export function rememberSent(run: string, input: unknown): void {
  sent = { run, input };
}

/** Null while it is unknown. `started`: before that a run has no journal. */
export function usePrompt(run: string, started: boolean): string | null {
  const [input, setInput] = useState<unknown>(sent?.run === run ? sent.input : undefined);
  const wanted = input === undefined && started;
  useEffect(() => {
    if (!wanted) return;
    const request = new AbortController();
    // Without it the conversation begins with the answer, which is no reason to show an error.
    readInput(run, request.signal).then(setInput, () => {});
    return () => request.abort();
  }, [run, wanted]);
  return input === undefined ? null : promptOf(input);
}
