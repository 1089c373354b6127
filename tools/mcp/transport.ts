/** The two ways to an MCP server: a program over its standard input and output, or HTTP. Owns what they may use of memory and of our environment. */
import { StreamableHTTPClientTransport, type Transport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

export type OpenTransport = {
  readonly transport: Transport;
  /** For errors: the program, or the address without its query. */
  readonly where: string;
  /** The end of what it wrote to its standard error. */
  readonly lastWords: () => string;
};

/** Of one message, and of one HTTP answer. */
const maxBytes = 8 * 1024 * 1024;
const maxLastWords = 2_000;

export function overStdio(command: string, args: readonly string[], env: { readonly [name: string]: string }, cwd: string): OpenTransport {
  const transport = new StdioClientTransport({ command, args: [...args], env: { ...env }, cwd, stderr: "pipe", maxBufferSize: maxBytes });
  let said = "";
  transport.stderr?.on("data", (chunk: Buffer) => {
    said = (said + chunk.toString("utf8")).slice(-maxLastWords);
  });
  return { transport, where: command, lastWords: () => said.trim() };
}

export function overHTTP(url: string, headers: { readonly [name: string]: string }): OpenTransport {
  const address = new URL(url);
  const transport = new StreamableHTTPClientTransport(address, {
    // Headers with secrets and what a model wrote go to the operator's address and to no other.
    requestInit: { headers, redirect: "error" },
    fetch: async (input, init) => bounded(await fetch(input, init)),
    reconnectionOptions: { initialReconnectionDelay: 1_000, maxReconnectionDelay: 30_000, reconnectionDelayGrowFactor: 2, maxRetries: 2 },
  });
  return { transport, where: `${address.origin}${address.pathname}`, lastWords: () => "" };
}

/** Its body ends with an error beyond {@link maxBytes}. */
function bounded(response: Response): Response {
  if (!response.body) return response;
  let bytes = 0;
  const body = response.body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        bytes += chunk.byteLength;
        if (bytes > maxBytes) controller.error(new Error(`the answer has more than ${maxBytes} bytes`));
        else controller.enqueue(chunk);
      },
    }),
  );
  return new Response(body, { status: response.status, statusText: response.statusText, headers: response.headers });
}
