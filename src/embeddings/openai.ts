/**
 * Embeddings of OpenAI's wire (`POST /embeddings`), there or on a server that speaks it (vLLM, Ollama, LiteLLM, …).
 * What they cost is reported with each result and charged to no run: see docs/caching.md.
 */
import { EscapementError } from "../protocol/errors.ts";
import { type Embedded, type Embedder, normalised } from "./embedder.ts";

export type OpenAIEmbedderOptions = {
  readonly apiKey?: string;
  /** Up to and with `/v1`; OpenAI's own. */
  readonly baseURL?: string;
  /** `text-embedding-3-small`. */
  readonly model?: string;
  /** Of a model that is not in the table below. */
  readonly dimensions?: number;
  readonly usdPerMtok?: number;
  readonly threshold?: number;
  /** Texts stay with us: may be given those of sensitive runs. */
  readonly selfHosted?: boolean;
  /** Milliseconds for one call; 2,000. */
  readonly timeoutMs?: number;
};

/** Dimensions and list prices (dollars a million tokens) of OpenAI's models, looked up in November 2026. */
const models: { readonly [model: string]: { readonly dimensions: number; readonly usdPerMtok: number } } = {
  "text-embedding-3-small": { dimensions: 1_536, usdPerMtok: 0.02 },
  "text-embedding-3-large": { dimensions: 3_072, usdPerMtok: 0.13 },
};
/** Not measured here, since that takes a key: the field's usual figure, with the second gate behind it. */
const defaultThreshold = 0.95;
/** What a service may answer with at most; 2,048 texts of 3,072 numbers are more than any caller here asks for. */
const maxAnswerBytes = 64 * 1024 * 1024;

/** Throws `invalid_request` for a model whose dimensions are not known. */
export function openaiEmbedder(options: OpenAIEmbedderOptions = {}): Embedder {
  const { apiKey, model = "text-embedding-3-small", baseURL = "https://api.openai.com/v1", timeoutMs = 2_000 } = options;
  const known = Object.hasOwn(models, model) ? models[model] : undefined;
  const dimensions = options.dimensions ?? known?.dimensions;
  if (dimensions === undefined)
    throw new EscapementError("invalid_request", `the embedding model "${model}" is not known here: say its \`dimensions\``);
  const nanoPerToken = (options.usdPerMtok ?? (baseURL.startsWith("https://api.openai.com") ? known?.usdPerMtok : 0) ?? 0) * 1_000;
  const url = `${baseURL.replace(/\/+$/, "")}/embeddings`;
  const headers = { "content-type": "application/json", ...(apiKey && { authorization: `Bearer ${apiKey}` }) };
  const failed = (what: string): EscapementError => new EscapementError("unavailable", `embeddings of ${model}: ${what}`);

  return {
    name: `openai/${model}`,
    dimensions,
    threshold: options.threshold ?? defaultThreshold,
    local: options.selfHosted ?? false,
    async embed(texts): Promise<Embedded> {
      if (texts.length === 0) return { vectors: [], tokens: 0, costNano: 0 };
      const answer = await post(url, headers, { model, input: texts, encoding_format: "float" }, timeoutMs).catch((error: unknown) => {
        throw failed(
          error instanceof DOMException && error.name === "TimeoutError" ? `no answer within ${timeoutMs} ms` : words(error, apiKey),
        );
      });
      const vectors: Float32Array[] = [];
      for (const { index, embedding } of answer.data ?? [])
        if (Array.isArray(embedding) && embedding.length === dimensions) vectors[index] = normalised(embedding);
      if (vectors.filter(Boolean).length !== texts.length)
        throw failed(`the answer has not ${texts.length} vectors of ${dimensions} numbers; check \`dimensions\``);
      const tokens = answer.usage?.total_tokens ?? answer.usage?.prompt_tokens ?? 0;
      return { vectors, tokens, costNano: Math.ceil(tokens * nanoPerToken) };
    },
    close: async () => {},
  };
}

type Answer = {
  readonly data?: readonly { readonly index: number; readonly embedding: readonly number[] }[];
  readonly usage?: { readonly prompt_tokens?: number; readonly total_tokens?: number };
};

async function post(url: string, headers: Record<string, string>, body: object, timeoutMs: number): Promise<Answer> {
  const response = await fetch(url, {
    method: "POST",
    headers,
    body: JSON.stringify(body),
    redirect: "error",
    signal: AbortSignal.timeout(timeoutMs),
  });
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`HTTP ${response.status}`);
  }
  if (Number(response.headers.get("content-length") ?? 0) > maxAnswerBytes) throw new Error("the answer is too large");
  // Each member that is used is looked at.
  return (await response.json()) as Answer;
}

/** Never with the key in it. */
function words(error: unknown, secret: string | undefined): string {
  const cause = error instanceof Error ? ((error.cause as NodeJS.ErrnoException | undefined)?.code ?? error.message) : String(error);
  return secret ? cause.replaceAll(secret, "[key]") : cause;
}
