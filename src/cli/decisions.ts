/** `escapement decisions`: every yes and no about a run on this machine, with its reason. */
import { runtimeOf } from "../index.ts";
import { localConfig } from "./local.ts";
import { printable } from "./progress.ts";

export async function decisions(run: string, options: { config?: string; json?: boolean }): Promise<void> {
  const resolved = await localConfig(options.config, true);
  const runtime = await runtimeOf(resolved, { passive: true });
  try {
    const { data } = await runtime.decisions(run);
    for (const decision of data) {
      const { seq, at, decision: what, reason } = decision;
      process.stdout.write(
        options.json
          ? `${JSON.stringify(decision)}\n`
          : `${String(seq).padStart(4)}  ${at}  ${what.padEnd(9)}  ${printable(reason).replace(/\s+/g, " ")}\n`,
      );
    }
  } finally {
    await runtime.close();
  }
}
