/** Serves agents over standard input and output, until the client closes its end. Nothing else may write to standard output meanwhile. */
import type { Server } from "@modelcontextprotocol/server";
import { StdioServerTransport, serveStdio } from "@modelcontextprotocol/server/stdio";

/** Bytes of one message. */
const maxMessageBytes = 4 * 1024 * 1024;

export type ServedStdio = {
  /** Settles when the client has gone. */
  readonly ended: Promise<void>;
  close(): Promise<void>;
};

export function serveOverStdio(servers: () => Server, onError: (message: string) => void): ServedStdio {
  const transport = new StdioServerTransport(process.stdin, process.stdout, { maxBufferSize: maxMessageBytes });
  const served = serveStdio(servers, { transport, onerror: (error) => onError(error.message) });
  const ended = new Promise<void>((resolve) => {
    process.stdin.once("end", resolve);
    process.stdin.once("close", resolve);
    process.stdout.once("error", () => resolve());
  });
  return { ended, close: () => served.close() };
}
