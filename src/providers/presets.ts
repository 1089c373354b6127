/**
 * Servers that speak OpenAI's chat completions, with their addresses and what each lacks. Everything can be overridden by the options.
 * `selfHosted` ones may be given sensitive data. A gateway (LiteLLM) is none: what it passes data on to is not known here.
 */
import { compatible, foreign, type OpenAIOptions, openaiCompatible } from "./openai.ts";
import type { Provider } from "./provider.ts";

export type PresetOptions = Omit<OpenAIOptions, "wire">;

/** vLLM, `http://127.0.0.1:8000/v1`. Its own parameters (`priority`, `cache_salt`, `chat_template_kwargs`, …) go as `parameters`. */
export const vllm = (options: PresetOptions = {}): Provider =>
  openaiCompatible({ ...local, name: "vllm", baseURL: "http://127.0.0.1:8000/v1" }, options);

/** Text Generation Inference, `http://127.0.0.1:8080/v1`. Takes a schema as `{type: "json_object", value}`, and not together with tools. */
export const tgi = (options: PresetOptions = {}): Provider =>
  openaiCompatible(
    { ...local, name: "tgi", baseURL: "http://127.0.0.1:8080/v1", dialect: { ...compatible, schema: "json_value" } },
    options,
  );

/** Ollama, `http://127.0.0.1:11434/v1`. */
export const ollama = (options: PresetOptions = {}): Provider =>
  openaiCompatible({ ...local, name: "ollama", baseURL: "http://127.0.0.1:11434/v1" }, options);

/** llama.cpp's `llama-server`, `http://127.0.0.1:8080/v1`. Tells usage on the finish chunk. */
export const llamaCpp = (options: PresetOptions = {}): Provider =>
  openaiCompatible({ ...local, name: "llama-cpp", baseURL: "http://127.0.0.1:8080/v1" }, options);

/** A LiteLLM proxy, `http://127.0.0.1:4000/v1`; key `LITELLM_API_KEY`. */
export const litellm = (options: PresetOptions = {}): Provider =>
  openaiCompatible(
    {
      name: "litellm",
      baseURL: "http://127.0.0.1:4000/v1",
      key: { variable: "LITELLM_API_KEY", isRequired: false },
      // Whether what is behind it can tell log-probabilities is not known here.
      dialect: { ...compatible, logprobs: false },
      tokenizer: foreign,
    },
    options,
  );

/** Groq; key `GROQ_API_KEY`. Only some of its models take a schema, so all are asked for JSON and told the schema; `dialect` can say otherwise. */
export const groq = (options: PresetOptions = {}): Provider =>
  openaiCompatible(
    {
      name: "groq",
      baseURL: "https://api.groq.com/openai/v1",
      key: { variable: "GROQ_API_KEY", isRequired: true },
      dialect: { maxTokens: "max_completion_tokens", streamOptions: true, schema: "json_object", logprobs: false },
      tokenizer: foreign,
    },
    options,
  );

/** Together; key `TOGETHER_API_KEY`. Tells usage on the last chunk without being asked. Its log-probabilities have a form of their own. */
export const together = (options: PresetOptions = {}): Provider =>
  openaiCompatible(
    {
      name: "together",
      baseURL: "https://api.together.xyz/v1",
      key: { variable: "TOGETHER_API_KEY", isRequired: true },
      dialect: { ...compatible, streamOptions: false, logprobs: false },
      tokenizer: foreign,
    },
    options,
  );

/** Fireworks; key `FIREWORKS_API_KEY`. Tells usage on the last chunk without being asked. */
export const fireworks = (options: PresetOptions = {}): Provider =>
  openaiCompatible(
    {
      name: "fireworks",
      baseURL: "https://api.fireworks.ai/inference/v1",
      key: { variable: "FIREWORKS_API_KEY", isRequired: true },
      dialect: { ...compatible, streamOptions: false },
      tokenizer: foreign,
    },
    options,
  );

const local = { dialect: compatible, tokenizer: foreign, selfHosted: true } as const;
