/** What commands that work on this machine's own runs begin with: the configuration, and a folder that runs can be kept in. */
import { loadConfig, type ResolvedConfig } from "../config/config.ts";
import { checkDataFolder } from "./data-folder.ts";

export async function localConfig(path: string | undefined): Promise<ResolvedConfig> {
  const resolved = await loadConfig(path === undefined ? {} : { path });
  checkDataFolder(resolved);
  return resolved;
}
