/**
 * Makes a `Provider` of a wire and an address. What all providers share: the base URL, headers, the transport, refusals before anything is sent.
 */
import { EscapementError, errorBody } from "../protocol/errors.ts";
import { redaction } from "../safety/redaction.ts";
import { isRandom, isSecretKey } from "../safety/secret-shapes.ts";
import { Call } from "./call.ts";
import type { Provider } from "./provider.ts";
import { Transport, type TransportOptions } from "./transport.ts";
import type { Wire } from "./wire.ts";

/** Options of every provider over HTTP. */
export type HttpOptions = TransportOptions & {
  /** Name in prices, breakers, errors and logs. */
  readonly name?: string;
  /** Up to the part that the wire adds, for example `https://api.openai.com/v1`. Without user, password, query and fragment. */
  readonly baseURL?: string;
  /** Further headers of every call, for example `openai-organization`. */
  readonly headers?: { readonly [name: string]: string };
  /** Data stays with us: may be given sensitive runs. */
  readonly selfHosted?: boolean;
  readonly tokenizer?: Provider["tokenizer"];
};

export type HttpProvider = HttpOptions & {
  readonly name: string;
  readonly baseURL: string;
  readonly tokenizer: Provider["tokenizer"];
  readonly wire: Wire;
  /** Never shown: errors are searched for it. */
  readonly secret: string | undefined;
  /** Headers of the wire, with the secret where it belongs. */
  readonly wireHeaders: { readonly [name: string]: string };
  /** What to say instead of calling, when the provider needs a key that is not there. */
  readonly missingKey?: string | undefined;
};

export function httpProvider(options: HttpProvider): Provider {
  const { name, wire, secret, missingKey } = options;
  const url = parseBase(name, options.baseURL);
  const base = url.pathname.replace(/\/+$/, "");
  const headers = Object.entries({
    "content-type": "application/json",
    "user-agent": "escapement",
    ...options.wireHeaders,
    ...options.headers,
  }).flat();
  const transport = new Transport(url.origin, options);
  // Headers may hold keys too.
  const inHeaders = Object.entries(options.headers ?? {}).flatMap(([header, value]) =>
    isSecretKey(header) || isRandom(value) ? [value] : [],
  );
  const secrets = secret === undefined ? inHeaders : [secret, ...inHeaders];
  const speaker = { name, redaction: redaction({ secrets }) };
  return {
    name,
    endpoint: url.host + base,
    selfHosted: options.selfHosted ?? false,
    tokenizer: options.tokenizer,
    secrets: () => secrets,
    stream(request, sink) {
      const call = new Call(speaker, wire, request, sink);
      const written =
        missingKey === undefined ? wire.write(request) : errorBody("provider_rejected", missingKey, { details: { provider: name } });
      if ("code" in written) call.refuse(written);
      else call.send(transport, { path: base + written.path, headers, body: written.body, timeouts: request.timeouts });
      return () => call.abort();
    },
    close: () => transport.close(),
  };
}

function parseBase(name: string, baseURL: string): URL {
  const url = URL.parse(baseURL);
  const problem =
    url === null
      ? "is no URL"
      : url.protocol !== "https:" && url.protocol !== "http:"
        ? "must begin with https:// or http://"
        : url.username || url.password
          ? "must not hold a user or password: give `apiKey` or `headers`"
          : url.search || url.hash
            ? "must have no query and no fragment"
            : undefined;
  // The URL itself is not repeated: it may hold a secret, which is one of the reasons to refuse it.
  if (url === null || problem !== undefined) throw new EscapementError("invalid_request", `The baseURL of provider "${name}" ${problem}.`);
  return url;
}
