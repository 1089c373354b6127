/** Where a command of this machine keeps its runs: looked at before the store is opened, because the system's word is an error code. */
import { accessSync, constants, existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { ResolvedConfig } from "../config/config.ts";
import { EscapementError } from "../protocol/errors.ts";

/** Makes the folder where it is missing. Throws `unavailable` when runs cannot be read and written there. */
export function checkDataFolder({ store }: Pick<ResolvedConfig, "store">): void {
  if ("commit" in store || "url" in store || store.path === ":memory:") return;
  const folder = dirname(store.path);
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    if (existsSync(store.path)) accessSync(store.path, constants.R_OK | constants.W_OK);
  } catch (error) {
    const { code = "", path = folder } = error as NodeJS.ErrnoException;
    throw new EscapementError(
      "unavailable",
      `runs cannot be kept in ${store.path}: ${reasons[code] ?? code} (${path}). Mend that, or choose another folder with ESCAPEMENT_DATA`,
      { retryable: false, details: { reason: "store" } },
    );
  }
}

const reasons: { readonly [code: string]: string } = {
  EACCES: "this user has no permission to read and write there",
  EPERM: "this user has no permission to read and write there",
  EROFS: "the file system is read-only",
  EEXIST: "there is a file where the folder should be",
  ENOTDIR: "there is a file where a folder should be",
  ENOENT: "the folder cannot be made there",
  ENOSPC: "the disk is full",
};
