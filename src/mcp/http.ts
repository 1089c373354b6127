/**
 * Serves agents over streamable HTTP at `/mcp`, on this machine alone. There is no session: each request stands for itself.
 * Whoever may open a connection to this machine may use the agents, as with the tools of any local program; pages in a browser may not:
 * requests for another host's name, and from another origin, are refused.
 */
import type { Server as NodeServer } from "node:http";
import { serve } from "@hono/node-server";
import {
  createMcpHandler,
  hostHeaderValidationResponse,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  originValidationResponse,
  type Server,
} from "@modelcontextprotocol/server";

const maxBodyBytes = 4 * 1024 * 1024;

export type ServedHTTP = { readonly url: string; close(): Promise<void> };

export async function serveOverHTTP(servers: () => Server, port: number, onError: (message: string) => void): Promise<ServedHTTP> {
  const handler = createMcpHandler(servers, { maxRequestBodySize: maxBodyBytes, onerror: (error) => onError(error.message) });
  const fetch = async (request: Request): Promise<Response> => {
    const refused =
      hostHeaderValidationResponse(request, localhostAllowedHostnames()) ?? originValidationResponse(request, localhostAllowedOrigins());
    if (refused) return refused;
    return new URL(request.url).pathname === "/mcp" ? handler.fetch(request) : new Response("the endpoint is /mcp\n", { status: 404 });
  };
  const { server, address } = await new Promise<{ server: NodeServer; address: number }>((resolve, reject) => {
    // Without a certificate it is a plain HTTP server.
    const made = serve({ fetch, hostname: "127.0.0.1", port }, (info) => resolve({ server: made, address: info.port })) as NodeServer;
    made.once("error", reject);
  });
  return {
    url: `http://127.0.0.1:${address}/mcp`,
    async close() {
      await handler.close();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
