/** `escapement cache purge`: cached answers of a running server that are to be given no more. */
import { type ErrorBody, EscapementError } from "../protocol/errors.ts";
import { reach } from "./reach.ts";

type Options = { url: string; tag?: string; key?: string; agent?: string; version?: string; all?: boolean };

export async function purge({ url, all, ...which }: Options): Promise<void> {
  const query = new URLSearchParams({ ...which, ...(all && { all: "true" }) });
  if (query.size === 0) throw new EscapementError("invalid_request", "say what is to go: --tag, --key, --agent or --version; or --all");
  await reach(url);
  const base = url.replace(/^ws/, "http").replace(/\/+$/, "");
  const response = await fetch(`${base}/v1/cache?${query}`, { method: "DELETE" });
  const body = (await response.json()) as { readonly purged: number; readonly error?: ErrorBody };
  if (body.error) throw EscapementError.from(body.error);
  process.stdout.write(`${body.purged} answers purged\n`);
}
