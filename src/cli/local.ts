/** What commands that work on this machine's own runs begin with: the configuration, and a folder that runs can be kept in. */
import { loadConfig, type ResolvedConfig } from "../config/config.ts";
import { closeGroups } from "../config/tool-groups.ts";
import { checkDataFolder } from "./data-folder.ts";

/** `passive`: for commands that read runs and use no tools. */
export async function localConfig(path: string | undefined, passive = false): Promise<ResolvedConfig> {
  const resolved = await loadConfig({ passive, ...(path !== undefined && { path }) });
  try {
    checkDataFolder(resolved);
    return resolved;
  } catch (error) {
    await closeGroups(resolved.openGroups);
    throw error;
  }
}
