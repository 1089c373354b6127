/** `escapement serve`: the runtime and its server in one process, until SIGTERM or SIGINT. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { logOf, runtimeOf } from "../index.ts";
import { EscapementError } from "../protocol/errors.ts";
import { createServer } from "../server/server.ts";
import { localConfig } from "./local.ts";

const drainMs = 5_000;

export async function serve({ config }: { config?: string }): Promise<void> {
  const resolved = await localConfig(config);
  const log = logOf(resolved);
  const runtime = await runtimeOf(resolved, { log, alerts: true });
  const page = pageFolder();
  const server = createServer(runtime, {
    ...(page !== undefined && { page }),
    origins: resolved.server.origins,
    onDefect: (message, cause) => log.error(message, { cause }),
    redaction: runtime.redaction,
  });
  const { host, port } = resolved.server;
  let listening: Awaited<ReturnType<typeof server.listen>>;
  try {
    listening = await server.listen({ host, port });
  } catch (error) {
    await runtime.close();
    throw listenError(error, host, port);
  }
  let ending = false;
  const end = async (signal: string): Promise<void> => {
    // A second signal: go at once; the journal has everything.
    if (ending) process.exit(0);
    ending = true;
    log.info("draining", { signal });
    runtime.drain();
    // The runtime's part ends before the server's, so that requests under way meanwhile are answered.
    await Promise.all([runtime.close(drainMs - 2_500), listening.close(drainMs - 500)]);
    process.exit(0);
  };
  process.on("SIGTERM", () => void end("SIGTERM"));
  process.on("SIGINT", () => void end("SIGINT"));

  // Whoever reads this line may send a signal at once.
  process.stdout.write(`Escapement is ready at ${listening.url}\n`);
  const { runs } = runtime.load();
  if (runs > 0) log.info("runs that an earlier process left go on here", { runs });
  if (resolved.offline)
    log.warn(
      "no model is connected: answers are scripted by the offline provider. Set OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, … or configure a provider",
    );
  if (page === undefined) log.warn("the page is not built: run `npm run build:console`");
}

/** What Node says of an address that cannot be had, with the way out. */
function listenError(error: unknown, host: string, port: number): unknown {
  switch ((error as NodeJS.ErrnoException).code) {
    case "EADDRINUSE":
      return new EscapementError(
        "unavailable",
        `port ${port} of ${host} is taken: stop what listens there, or set PORT to another (PORT=0 takes any free one)`,
      );
    case "EACCES":
      return new EscapementError("forbidden", `this user may not listen on port ${port}: set PORT to one from 1024 on`);
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new EscapementError("invalid_request", `this machine has no address ${host}: leave HOST unset or set it to 127.0.0.1`);
    default:
      return error;
  }
}

/** Where Vite put the console: beside the sources in the repository, beside the compiled files in the package. */
function pageFolder(): string | undefined {
  return ["../../dist/console", "../../console"]
    .map((path) => fileURLToPath(new URL(path, import.meta.url)))
    .find((folder) => existsSync(`${folder}/index.html`));
}
