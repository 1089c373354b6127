/**
 * A server that cannot be reached is said within two seconds: a command with one answer fails with it, one that follows a run says it
 * once and goes on trying.
 */
import type { ConnectionState } from "../client/client.ts";
import { EscapementError } from "../protocol/errors.ts";

const patienceMs = 1_500;

const unreachable = (url: string): string =>
  `no Escapement server answers at ${url}: start one with \`escapement serve\`, or name another with --url or ESCAPEMENT_URL`;

/** Throws `unavailable` unless a server of ours answers at `url`. */
export async function reach(url: string): Promise<void> {
  const base = url.replace(/^ws/, "http").replace(/\/+$/, "");
  try {
    const response = await fetch(`${base}/livez`, { signal: AbortSignal.timeout(patienceMs) });
    const { alive } = (await response.json()) as { readonly alive?: unknown };
    if (alive === true) return;
  } catch {
    // Refused, silent, or no JSON: to whoever called it is all the same.
  }
  throw new EscapementError("unavailable", unreachable(url));
}

/** Hears of a client's connection and says when it is missing, and when it is back. */
export function absence(url: string, say: (line: string) => void): (state: ConnectionState) => void {
  let timer: NodeJS.Timeout | undefined;
  let said = false;
  return (state) => {
    if (state === "connecting" || state === "waiting") {
      timer ??= setTimeout(() => {
        said = true;
        say(`${unreachable(url)}. Trying again until it does; Ctrl-C ends this.`);
      }, patienceMs);
      return;
    }
    clearTimeout(timer);
    timer = undefined;
    if (said && state === "open") say(`${url} answers`);
    said = false;
  };
}
