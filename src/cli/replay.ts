/** `escapement replay`: feeds a run's journal to its machine again and shows what each turn led to. Nothing is performed. */
import { runtimeOf } from "../index.ts";
import { localConfig } from "./local.ts";

export async function replayRun(run: string, options: { config?: string; json?: boolean }): Promise<void> {
  const resolved = await localConfig(options.config, true);
  const runtime = await runtimeOf(resolved, { passive: true });
  try {
    let turns = 0;
    for await (const turn of runtime.replay(run)) {
      turns++;
      if (options.json) process.stdout.write(`${JSON.stringify(turn)}\n`);
      else
        process.stdout.write(
          `${String(turn.position).padStart(4)}  ${String(turn.at_ms).padStart(8)} ms  ${turn.input.padEnd(28)}  ${turn.actors.map(({ actor, value }) => `${actor}: ${JSON.stringify(value)}`).join("  ")}\n`,
        );
    }
    if (!options.json) process.stdout.write(`${turns} turns, the same as recorded\n`);
  } finally {
    await runtime.close();
  }
}
