/** Plays a program of examples/ as a reader would, without any key, and gives what it prints. */
import { spawn } from "node:child_process";
import { join } from "node:path";

export const root = join(import.meta.dirname, "../..");

/** `args`: of Node, from the project's root. */
export async function play(...args: readonly string[]): Promise<string> {
  const keys = Object.keys(process.env).filter((key) => /_API_KEY$|_BASE_URL$|^ESCAPEMENT_|^DATABASE_URL$|^REDIS_URL$/.test(key));
  const child = spawn(process.execPath, ["-C", "escapement-source", ...args], {
    cwd: root,
    env: { ...process.env, ...Object.fromEntries(keys.map((key) => [key, ""])) },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (data) => {
      output += data;
    });
  await new Promise((resolve) => child.once("close", resolve));
  return output.trim();
}
