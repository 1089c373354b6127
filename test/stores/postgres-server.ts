/**
 * A real Postgres for tests: its own data in a temporary folder, on a free port of the loopback, as a user without privileges.
 * On Debian as root it is installed when it is missing; anywhere else the tests fail with the sentence that says what to do. They never skip.
 *
 * `sharedPostgres` is one server for all files of a test run, started by the first that asks (it costs seconds) and stopped by
 * `postgres-setup.ts`. `startPostgres` is a server of one's own, which may be stopped and started again.
 */
import { execFileSync } from "node:child_process";
import {
  chownSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { until } from "../whole-path/until.ts";

export type PostgresServer = {
  /** Of its one database, as its superuser. */
  readonly url: string;
  /** `immediate` is as after a crash: connections break, and it recovers at the next start. */
  stop(mode?: "fast" | "immediate"): void;
  start(): void;
  /** Stops it and deletes its data. */
  close(): void;
};

export async function startPostgres(): Promise<PostgresServer> {
  return openServer(mkdtempSync(join(tmpdir(), "escapement-postgres-")), await freePort());
}

/** The folder that one test run's server is in; set by `postgres-setup.ts` before the test files run. */
export const folderVariable = "ESCAPEMENT_TEST_POSTGRES";

/** The address of the run's server. */
export async function sharedPostgres(): Promise<string> {
  const folder = process.env[folderVariable];
  if (!folder) throw new Error("The shared Postgres belongs to a run of vitest; elsewhere start one of your own.");
  const address = join(folder, "url");
  let isFirst = true;
  try {
    mkdirSync(join(folder, "started"));
  } catch {
    isFirst = false;
  }
  if (isFirst) {
    const { url } = openServer(mkdtempSync(join(folder, "server-")), await freePort());
    writeFileSync(`${address}.new`, url);
    renameSync(`${address}.new`, address);
  }
  return until("the shared Postgres to start", () => existsSync(address) && readFileSync(address, "utf8"));
}

/** Stops whatever server was started below a folder, and deletes the folder. */
export function removeServers(folder: string): void {
  for (const data of globSync(join(folder, "server-*", "data"))) run("pg_ctl", ["stop", "-D", data, "-m", "immediate"], dirname(data));
  rmSync(folder, { recursive: true, force: true });
}

function openServer(folder: string, port: number): PostgresServer {
  if (isRoot) chownSync(folder, ...unprivileged());
  const data = join(folder, "data");
  run("initdb", ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"], folder);
  // The machine does not lose its power here; what the server's death costs is tested all the same.
  const options = `-h 127.0.0.1 -p ${port} -k ${folder} -c fsync=off -c max_connections=200`;
  const server: PostgresServer = {
    url: `postgres://postgres:not-a-secret@127.0.0.1:${port}/postgres`,
    stop: (mode = "fast") => run("pg_ctl", ["stop", "-D", data, "-m", mode], folder),
    start: () => run("pg_ctl", ["start", "-w", "-D", data, "-l", join(folder, "log"), "-o", options], folder),
    close: () => {
      try {
        server.stop("immediate");
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  };
  server.start();
  return server;
}

const isRoot = process.getuid?.() === 0;

/** User and group that a server may run as: Postgres refuses root. */
function unprivileged(): [uid: number, gid: number] {
  const id = (what: "-u" | "-g"): number => {
    for (const user of ["postgres", "nobody"]) {
      try {
        return Number(execFileSync("id", [what, user], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
      } catch {
        // There is no such user.
      }
    }
    throw new Error("Postgres does not run as root, and there is neither a user `postgres` nor `nobody` here.");
  };
  return [id("-u"), id("-g")];
}

function run(program: string, args: readonly string[], cwd: string): void {
  const [uid, gid] = isRoot ? unprivileged() : [undefined, undefined];
  try {
    // What a server inherits it keeps open, so it inherits nothing.
    execFileSync(join(programs(), program), args, { cwd, stdio: "ignore", ...(uid !== undefined && { uid, gid }) });
  } catch (error) {
    const log = join(cwd, "log");
    throw new Error(`${program} ${args.join(" ")}: ${error}${existsSync(log) ? `\n${readFileSync(log, "utf8").slice(-2_000)}` : ""}`);
  }
}

let found: string | undefined;

/** The folder that has `initdb`, `pg_ctl` and `postgres`. */
function programs(): string {
  found ??= find();
  if (found) return found;
  if (process.platform === "linux" && existsSync("/etc/debian_version") && isRoot) {
    const apt = (...args: string[]): unknown =>
      execFileSync("apt-get", args, { stdio: "ignore", env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
    apt("update");
    apt("install", "-y", "--no-install-recommends", "postgresql");
    found = find();
    if (found) return found;
  }
  throw new Error(
    "The tests of the Postgres store need Postgres: install it (`sudo apt-get install postgresql`, or your system's package), or name the folder of its programs by POSTGRES_BIN=/path/to/bin.",
  );
}

function find(): string | undefined {
  const named = process.env.POSTGRES_BIN;
  if (named) {
    if (existsSync(join(named, "initdb"))) return named;
    throw new Error(`POSTGRES_BIN says ${named}, and there is no initdb in it.`);
  }
  const onPath = (process.env.PATH ?? "").split(delimiter).flatMap((folder) => {
    const program = join(folder, "postgres");
    return existsSync(program) ? [dirname(realpathSync(program))] : [];
  });
  // Debian keeps one folder a version; the newest.
  const versions = globSync("/usr/lib/postgresql/*/bin").sort((a, b) => Number(b.split("/")[4]) - Number(a.split("/")[4]));
  return [...onPath, ...versions].find((folder) => existsSync(join(folder, "initdb")));
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (address && typeof address === "object" ? resolve(address.port) : reject(new Error("no port"))));
    });
  });
}
