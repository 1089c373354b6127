/**
 * A folder that tools may reach, and nothing beside it. Owns the way from a path that a model wrote to an open file.
 *
 *  1. A path is names apart by `/`. No `..`, no absolute path, no backslash, drive or control character, and no name that begins with a
 *     dot: what is hidden (`.env`, `.git`) is not there, in any spelling.
 *  2. A link is followed nowhere: each folder is opened from the one above it and refuses to be a link, so that what is exchanged meanwhile
 *     changes nothing. Where a system has no /proc, what was opened is compared with what stands at the path.
 *  3. Only regular files are opened, and no open waits (a pipe would).
 *  4. What is written is complete or not there: a file beside it takes its place.
 */
import { randomUUID } from "node:crypto";
import { constants, existsSync } from "node:fs";
import { type FileHandle, lstat, mkdir, open, readdir, realpath, rename, unlink } from "node:fs/promises";
import { join, resolve } from "node:path";
import { EscapementError } from "../../src/protocol/errors.ts";

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

export type Entry = { readonly path: string; readonly type: "file" | "folder"; readonly bytes?: number };

const maxPath = 1_024;
const maxDepth = 20;
/** A folder by its handle: what stands at its path later does not matter. */
const byHandle = existsSync("/proc/self/fd");

export class Root {
  readonly #path: string;

  /** Throws `invalid_request` under `option` when it is no path. That it is a folder is seen when it is used. */
  constructor(path: string, option: string) {
    if (path === "" || path.includes("\0"))
      throw new EscapementError("invalid_request", `${option} is the path of a folder`, { details: { path: option } });
    this.#path = resolve(path);
  }

  /** The bytes of a file of at most `maxBytes`; a longer one is refused. */
  async read(path: string, maxBytes: number): Promise<Buffer> {
    const names = namesOf(path);
    const name = names.pop();
    if (name === undefined) throw new Error(`"${path}" is the folder itself: give the path of a file in it`);
    return this.#inFolder(names, false, async (folder, plain) => {
      const file = await open(join(folder, name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch(explain(path));
      try {
        const { size } = await this.#checked(file, join(plain, name), path);
        if (size > maxBytes) throw new Error(`${path} has ${figure(size)} bytes, at most ${figure(maxBytes)} are read`);
        // What grows meanwhile is cut at its size before.
        const bytes = Buffer.alloc(size);
        let at = 0;
        for (let read = 1; read > 0 && at < size; at += read) ({ bytesRead: read } = await file.read(bytes, at, size - at, at));
        return bytes.subarray(0, at);
      } finally {
        await file.close();
      }
    });
  }

  /** What is in a folder, sorted by name; with `deep` also in those below it. Ends after `max` entries and says so. */
  async list(path: string, max: number, deep = false): Promise<{ readonly entries: readonly Entry[]; readonly isCut: boolean }> {
    const entries: Entry[] = [];
    const add = async (names: readonly string[]): Promise<boolean> => {
      const found = await this.#inFolder(names, false, async (folder) => {
        const inside = (await readdir(folder, { withFileTypes: true })).filter((each) => isName(each.name));
        const kept = inside.filter((each) => each.isFile() || each.isDirectory()).sort((a, b) => (a.name < b.name ? -1 : 1));
        return Promise.all(
          kept.slice(0, max + 1 - entries.length).map(async (each) => ({
            name: each.name,
            bytes: each.isFile()
              ? await lstat(join(folder, each.name)).then(
                  ({ size }) => size,
                  () => 0,
                )
              : undefined,
          })),
        );
      });
      for (const { name, bytes } of found) {
        if (entries.length === max) return true;
        const at = [...names, name];
        entries.push({ path: at.join("/"), ...(bytes === undefined ? { type: "folder" } : { type: "file", bytes }) });
        if (bytes === undefined && deep && at.length < maxDepth && (await add(at))) return true;
      }
      return false;
    };
    const isCut = await add(namesOf(path));
    return { entries, isCut };
  }

  /** Writes a whole file, with the folders above it. `check` gets what is there and throws to leave it. */
  async write(path: string, text: string, check: (before: Buffer | undefined) => void, maxBefore: number): Promise<void> {
    const names = namesOf(path);
    const name = names.pop();
    if (name === undefined) throw new Error(`"${path}" is the folder itself: give the path of a file in it`);
    await this.#inFolder(names, true, async (folder, plain) => {
      const target = join(folder, name);
      const there = await lstat(target).catch(() => undefined);
      if (there && !there.isFile()) throw new Error(`${path} is there and is no file`);
      check(there && (await this.read(path, maxBefore)));
      const beside = join(folder, `.${randomUUID()}.tmp`);
      const file = await open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, there ? there.mode & 0o777 : 0o644);
      try {
        await this.#checked(file, join(plain, beside.slice(folder.length + 1)), path);
        await file.writeFile(text);
        await file.sync();
        await rename(beside, target);
      } catch (error) {
        await unlink(beside).catch(() => {});
        throw error;
      } finally {
        await file.close();
      }
    });
  }

  /** `use` gets the folder as it is reached safely, and as it is written. */
  async #inFolder<T>(names: readonly string[], create: boolean, use: (folder: string, plain: string) => Promise<T>): Promise<T> {
    const shown = names.join("/") || ".";
    let plain = await realpath(this.#path).catch(explain("the root"));
    let folder = await open(plain, O_RDONLY | O_DIRECTORY).catch(explain("the root"));
    try {
      for (const name of names) {
        const below = join(reach(folder, plain), name);
        if (create) await mkdir(below).catch(ignoreExisting);
        const next = await open(below, O_RDONLY | O_DIRECTORY | O_NOFOLLOW).catch(explain(shown));
        await folder.close();
        [folder, plain] = [next, join(plain, name)];
      }
      await this.#same(folder, plain, shown);
      return await use(reach(folder, plain), plain);
    } finally {
      await folder.close();
    }
  }

  async #checked(file: FileHandle, plain: string, shown: string): Promise<{ readonly size: number }> {
    const stats = await file.stat();
    if (!stats.isFile()) throw new Error(`${shown} is no regular file`);
    await this.#same(file, plain, shown);
    return stats;
  }

  /** Invariant 2, where a handle cannot be opened from. */
  async #same(file: FileHandle, plain: string, shown: string): Promise<void> {
    if (byHandle) return;
    const [opened, there, real] = await Promise.all([file.stat(), lstat(plain), realpath(plain)]);
    if (opened.ino !== there.ino || opened.dev !== there.dev || real.toLowerCase() !== plain.toLowerCase())
      throw new Error(`${shown} is a link or was exchanged: it is not read`);
  }
}

const reach = (folder: FileHandle, plain: string): string => (byHandle ? `/proc/self/fd/${folder.fd}` : plain);

const isName = (name: string): boolean => name !== "" && !name.startsWith(".") && !/[\u0000-\u001f\u007f/\\:]/.test(name);

/** The names of a path; none for the folder itself. */
function namesOf(path: string): string[] {
  if (path.length > maxPath) throw new Error(`the path has ${path.length} characters, at most ${figure(maxPath)} are taken`);
  const names = path.split("/").filter((name, index) => !(name === "." || (name === "" && index > 0)));
  const wrong = path === "" ? undefined : names.find((name) => !isName(name));
  if (wrong !== undefined || names.length > maxDepth) {
    throw new Error(
      `${JSON.stringify(path.slice(0, 200))} cannot be used: write a path below the folder, such as "notes/today.md", ` +
        "without .., hidden names (that begin with a dot), backslashes or colons",
    );
  }
  return path === "" ? [] : names;
}

/** What the system says, without the path where the folder really is. */
const explain =
  (path: string) =>
  (error: NodeJS.ErrnoException): never => {
    const why: { readonly [code: string]: string } = {
      ENOENT: "is not there",
      ENOTDIR: "is not there, or its folder is a file or a link, which is not followed",
      ELOOP: "is a link, which is not followed",
      EACCES: "may not be opened",
      EPERM: "may not be opened",
      EISDIR: "is a folder",
      ENXIO: "is no regular file",
      ENAMETOOLONG: "has a name that is too long",
    };
    throw new Error(`${path} ${why[error.code ?? ""] ?? `cannot be opened (${error.code ?? "unknown"})`}`);
  };

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST") explain("the folder")(error);
}

const figure = (value: number): string => value.toLocaleString("en-US");
