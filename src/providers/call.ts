/**
 * One call: joins the transport's bytes, a wire's reader and the sink of the caller, and keeps the promises of `provider.ts`.
 *
 *  1. Exactly one `end`, last; none after `abort`. An end without the reader's proof is `interrupted` (FEATURES A12).
 *  2. Text is merged per read of the socket: undici hands over one callback per chunk of the body, many in one read, so text is given
 *     to the sink in the microtask that follows the read.
 *  3. Usage is told only with a proven end: what a provider says at the start of a stream that broke would undercharge it.
 */
import type { IncomingHttpHeaders } from "undici/types/header.js";
import type { ErrorBody, ErrorCode } from "../protocol/errors.ts";
import { errorBody } from "../protocol/errors.ts";
import { maxErrorBytes, requestId, type Speaker, statusError, streamError, transportError } from "./http-error.ts";
import type { ProviderElement, ProviderEnd, ProviderRequest, RateLimits } from "./provider.ts";
import { first, rateLimits } from "./rate-limits.ts";
import { maxEventLength, type SseHandler, SseParser } from "./sse.ts";
import type { Exchange, Failure, Post, Receiver, Transport } from "./transport.ts";
import { asAnswer, type Output, type Reader, type Wire } from "./wire.ts";

export class Call implements Receiver, SseHandler, Output {
  readonly #speaker: Speaker;
  readonly #model: string;
  readonly #isStreamed: boolean;
  readonly #sink: (element: ProviderElement) => void;
  readonly #reader: Reader;
  #exchange: Exchange | undefined;
  #parser: SseParser | undefined;
  /** The body of an error or of an unstreamed answer. */
  #body: Buffer[] | undefined;
  #bodyBytes = 0;
  #status = 0;
  #requestId: string | undefined;
  /** Kept of errors only. */
  #headers: IncomingHttpHeaders | undefined;
  #limits: RateLimits | undefined;
  #pending = "";
  #pendingType: "text" | "reasoning" = "text";
  #scheduled = false;
  #begun = false;
  #delivered = false;
  #error: ErrorBody | undefined;
  #ended = false;

  constructor(speaker: Speaker, wire: Wire, request: ProviderRequest, sink: (element: ProviderElement) => void) {
    this.#speaker = speaker;
    // Not the request itself: it holds the history, which a call in flight has no more use for.
    this.#model = request.model;
    this.#isStreamed = request.stream;
    this.#sink = sink;
    this.#reader = wire.read(request, this);
  }

  send(transport: Transport, post: Omit<Post, "streamed">): void {
    this.#exchange = transport.send({ ...post, streamed: this.#isStreamed }, this);
  }

  /** The request could not be made. */
  refuse(error: ErrorBody): void {
    queueMicrotask(() => this.#end({ finish: "error", model: this.#model, error, unsent: true }));
  }

  abort(): void {
    this.#ended = true;
    this.#pending = "";
    this.#exchange?.abort();
  }

  // Output: the reader speaks.

  text(text: string): void {
    this.#add("text", text);
  }

  reasoning(text: string): void {
    this.#add("reasoning", text);
  }

  hidden(text: string): void {
    this.began();
    if (text !== "" && !this.#ended) this.#sink({ type: "hidden", text });
  }

  began(): void {
    if (this.#begun) return;
    this.#begun = true;
    this.#exchange?.began();
  }

  error(value: unknown): void {
    this.#error ??= streamError(this.#speaker, value, this.#requestId, this.#delivered);
  }

  reject(code: ErrorCode, message: string): void {
    this.#error ??= errorBody(code, `${this.#speaker.name}: ${message}.`, { details: this.#details() });
  }

  #add(type: "text" | "reasoning", text: string): void {
    if (text === "" || this.#ended) return;
    if (!this.#begun) this.began();
    this.#delivered = true;
    if (this.#pendingType !== type) {
      this.#flush();
      this.#pendingType = type;
    }
    this.#pending += text;
    if (this.#scheduled) return;
    this.#scheduled = true;
    // Not queueMicrotask, which makes an async resource each time: three times the price.
    void resolved.then(this.#flushLater);
  }

  readonly #flushLater = (): void => {
    this.#scheduled = false;
    this.#flush();
  };

  #flush(): void {
    if (this.#pending === "") return;
    const text = this.#pending;
    this.#pending = "";
    this.#sink({ type: this.#pendingType, text });
  }

  // Receiver: the transport speaks.

  head(status: number, headers: IncomingHttpHeaders): void {
    this.#status = status;
    this.#requestId = requestId(headers, this.#speaker);
    this.#limits = rateLimits(headers, Date.now());
    if (status >= 300) this.#headers = headers;
    const isStream = this.#isStreamed && !(first(headers["content-type"]) ?? "").includes("application/json");
    if (status < 300 && isStream) this.#parser = new SseParser(this);
    else this.#body = [];
  }

  data(chunk: Buffer): void {
    if (this.#parser) {
      this.#parser.push(chunk);
      return;
    }
    this.#body!.push(chunk);
    this.#bodyBytes += chunk.length;
    if (this.#status >= 300) {
      if (this.#bodyBytes >= maxErrorBytes) this.#fail(this.#statusError(), { rejected: true });
    } else if (this.#bodyBytes > maxEventLength) this.overflow();
  }

  end(): void {
    if (this.#status >= 300) this.#fail(this.#statusError(), { rejected: true });
    else if (this.#parser) {
      this.#parser.end();
      if (!this.#ended) this.#settle("the stream ended without its end mark");
    } else {
      const value = this.#parse(this.#bodyText());
      if (!value) return;
      this.#read(() => this.#reader.answer(value));
      if (!this.#ended) this.#settle("the answer is incomplete");
    }
  }

  fail(failure: Failure): void {
    if (this.#status >= 300) this.#fail(this.#statusError(), { rejected: true });
    else if (this.#reader.proven) this.#succeed();
    else {
      const error = transportError(this.#speaker, failure, this.#status !== 0, this.#delivered, this.#requestId);
      this.#fail(error, failure.unsent ? { unsent: true } : {});
    }
  }

  // SseHandler: the parser speaks.

  event(data: string): boolean {
    // OpenAI's end of a stream; some gateways send it on every wire. It proves nothing by itself.
    if (data === "[DONE]") this.#settle("the stream ended without its end mark");
    else if (this.#reader.skim?.(data) !== true) {
      const value = this.#parse(data);
      if (value) this.#read(() => this.#reader.event(value, data));
    }
    if (!this.#ended && this.#reader.done) this.#succeed();
    return !this.#ended;
  }

  overflow(): void {
    this.#fail(
      errorBody("interrupted", `${this.#speaker.name} sent more than ${maxEventLength} bytes at once.`, { details: this.#details() }),
    );
  }

  // What follows.

  #parse(data: string): ReturnType<typeof asAnswer> {
    try {
      const value = asAnswer(JSON.parse(data));
      if (value) return value;
    } catch {
      // Said below. The data is not: it may hold what must not be logged.
    }
    this.#malformed();
    return undefined;
  }

  #read(step: () => void): void {
    try {
      step();
    } catch (error) {
      // Only the reader runs in here: another shape than the provider documents.
      if (!(error instanceof TypeError)) throw error;
      this.#malformed();
    }
    if (this.#error) this.#fail(this.#error);
  }

  #malformed(): void {
    // After the proof only usage may have come: its loss is the smaller one.
    if (this.#reader.proven) this.#succeed();
    else this.#fail(errorBody("interrupted", `${this.#speaker.name} sent an answer that cannot be read.`, { details: this.#details() }));
  }

  #settle(problem: string): void {
    if (this.#reader.proven) this.#succeed();
    else this.#fail(errorBody("interrupted", `${this.#speaker.name}: ${problem}.`, { details: this.#details() }));
  }

  #succeed(): void {
    const { finish, tools, opaque, usage, model } = this.#reader.result();
    const requests = tools?.take();
    if (tools?.problem) this.reject("invalid_output", tools.problem);
    if (this.#error) {
      this.#fail(this.#error);
      return;
    }
    this.#exchange?.release();
    this.#end({
      finish,
      model: model || this.#model,
      ...(requests?.length && { tools: requests }),
      ...(opaque !== undefined && { opaque: { provider: this.#speaker.name, value: opaque } }),
      ...(usage && { usage }),
      ...(this.#limits && { limits: this.#limits }),
    });
  }

  #fail(error: ErrorBody, nothing: { unsent?: true; rejected?: true } = {}): void {
    if (this.#ended) return;
    this.#exchange?.abort();
    this.#end({
      finish: "error",
      model: this.#model,
      error,
      ...(this.#limits && { limits: this.#limits }),
      ...nothing,
    });
  }

  #end(end: Omit<ProviderEnd, "type">): void {
    if (this.#ended) return;
    this.#flush();
    // The sink may have aborted while it took the text.
    if (this.#ended) return;
    this.#ended = true;
    this.#sink({ type: "end", ...end });
  }

  #statusError(): ErrorBody {
    return statusError(this.#speaker, this.#status, this.#headers!, this.#bodyText(maxErrorBytes));
  }

  #bodyText(bytes?: number): string {
    const chunks = this.#body!;
    return (chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)).toString("utf8", 0, bytes);
  }

  #details(): { readonly provider: string; readonly status?: number; readonly request_id: string | undefined } {
    return {
      provider: this.#speaker.name,
      ...(this.#status !== 0 && { status: this.#status }),
      request_id: this.#requestId,
    };
  }
}

const resolved = Promise.resolve();
