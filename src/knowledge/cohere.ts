/** Cohere's rerank API (`POST /v2/rerank`), there or on a server that speaks it. What it costs is charged to no run. */
import { EscapementError } from "../protocol/errors.ts";
import type { Reranker } from "./reranker.ts";

export type CohereOptions = {
  readonly apiKey?: string;
  /** Up to and without `/v2`; Cohere's own. */
  readonly baseURL?: string;
  /** `rerank-v3.5`. */
  readonly model?: string;
  /** Milliseconds; 3,000. */
  readonly timeoutMs?: number;
};

const maxAnswerBytes = 1024 * 1024;

export function cohereReranker(options: CohereOptions = {}): Reranker {
  const { apiKey, baseURL = "https://api.cohere.com", model = "rerank-v3.5", timeoutMs = 3_000 } = options;
  const url = `${baseURL.replace(/\/+$/, "")}/v2/rerank`;
  const failed = (what: string): EscapementError => new EscapementError("unavailable", `reranking by ${model}: ${what}`);
  return {
    name: `cohere/${model}`,
    local: false,
    async rerank(query, candidates, signal) {
      const documents = candidates.map(({ text }) => text);
      const answer = await post(
        url,
        apiKey,
        { model, query, documents, top_n: documents.length },
        AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      ).catch((error: unknown) => {
        if (error instanceof DOMException && error.name === "TimeoutError") throw failed(`no answer within ${timeoutMs} ms`);
        // Never with the key in it.
        const words = error instanceof Error ? ((error.cause as NodeJS.ErrnoException | undefined)?.code ?? error.message) : String(error);
        throw failed(apiKey ? words.replaceAll(apiKey, "[key]") : words);
      });
      const scores = candidates.map(() => Number.NEGATIVE_INFINITY);
      let scored = 0;
      for (const { index, relevance_score: score } of Array.isArray(answer.results) ? answer.results : []) {
        if (!Number.isInteger(index) || index < 0 || index >= scores.length || typeof score !== "number") continue;
        scores[index] = score;
        scored++;
      }
      if (scored === 0) throw failed("the answer has no scores");
      return scores;
    },
  };
}

type Answer = { readonly results?: readonly { readonly index: number; readonly relevance_score: number }[] };

async function post(url: string, apiKey: string | undefined, body: object, signal: AbortSignal): Promise<Answer> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...(apiKey && { authorization: `Bearer ${apiKey}` }) },
    body: JSON.stringify(body),
    redirect: "error",
    signal,
  });
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`HTTP ${response.status}`);
  }
  const text = await response.text();
  if (text.length > maxAnswerBytes) throw new Error("the answer is too large");
  // Each member that is used is looked at.
  return JSON.parse(text) as Answer;
}
