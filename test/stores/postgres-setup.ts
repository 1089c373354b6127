/** Names the folder of the run's Postgres, and ends the server that a test file may have started there. */
import { chmodSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { folderVariable, removeServers } from "./postgres-server.ts";

export default function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), "escapement-postgres-run-"));
  // The server's user has its own folder in it.
  chmodSync(folder, 0o711);
  process.env[folderVariable] = folder;
  return () => removeServers(folder);
}
