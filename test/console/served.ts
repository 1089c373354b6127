/**
 * The real program for the tests of the page: `escapement serve` in a process of its own, on a free port and in a folder of its own,
 * with the page built from these sources. It can be killed and started again as the same server.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { globSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));

export class Served {
  readonly url: string;
  readonly #port: number;
  readonly #folder = mkdtempSync(join(tmpdir(), "escapement-console-"));
  readonly #environment: Readonly<Record<string, string>>;
  #child: ChildProcess | null = null;
  /** How the server ended although nobody had killed it. */
  #fault: Error | null = null;

  /** `environment` is all that the server is told beside its port and folder: no key of whoever runs the tests reaches it. */
  static async start(environment: Readonly<Record<string, string>> = {}): Promise<Served> {
    buildPage();
    const served = new Served(await freePort(), environment);
    await served.start();
    return served;
  }

  private constructor(port: number, environment: Readonly<Record<string, string>>) {
    this.#port = port;
    this.#environment = environment;
    this.url = `http://127.0.0.1:${port}`;
  }

  /** Resolves when the server has said that it is ready. */
  async start(): Promise<void> {
    const { PATH = "", HOME = "" } = process.env;
    const child = spawn(process.execPath, ["src/cli/main.ts", "serve"], {
      cwd: root,
      env: { PATH, HOME, HOST: "127.0.0.1", PORT: String(this.#port), ESCAPEMENT_DATA: this.#folder, ...this.#environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    let said = "";
    child.once("exit", (code, signal) => {
      if (this.#child === child) this.#fault = new Error(`the server ended by itself (${code ?? signal}):\n${said}`);
    });
    await new Promise<void>((resolve, reject) => {
      const listen = (text: Buffer): void => {
        said += text;
        if (said.includes(this.url)) resolve();
      };
      child.stdout.on("data", listen);
      child.stderr.on("data", listen);
      child.once("exit", () => reject(this.#fault));
    });
  }

  /** Throws, with the server's last words, when it ended by itself. */
  check(): void {
    if (this.#fault) throw this.#fault;
  }

  /** As a crash does it. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  }

  async close(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Builds `dist/console` unless it is newer than everything it is made of. */
function buildPage(): void {
  const at = (file: string): number => statSync(join(root, file), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = ["vite.config.ts", ...globSync("src/{console,client,protocol}/**/*.*", { cwd: root })];
  if (Math.max(...sources.map(at)) < at("dist/console/index.html")) return;
  // Vitest sets both; with them Vite would take another root and React's development build.
  const { VITEST: _, NODE_ENV: __, ...env } = process.env;
  execFileSync(process.execPath, [join(root, "node_modules/vite/bin/vite.js"), "build", "--logLevel", "warn"], { cwd: root, env });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("there is no free port");
  return address.port;
}
