/** A clone of this repository as it stands, in a folder of its own: what git knows, with nothing built. Dependencies are shared. */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");

export type Clone = Disposable & { readonly path: string };

export function freshClone(): Clone {
  const path = mkdtempSync(join(tmpdir(), "clone-"));
  const files = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root, encoding: "utf8" });
  for (const file of files.split("\0")) if (file !== "" && existsSync(join(root, file))) cpSync(join(root, file), join(path, file));
  symlinkSync(join(root, "node_modules"), join(path, "node_modules"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
