/** `escapement reconcile`: holds that no open call has, of this configuration's store, while it is at work or not. */
import { runtimeOf } from "../index.ts";
import { correctionWords } from "../stores/store.ts";
import { localConfig } from "./local.ts";

export async function reconcile({ config, json }: { config?: string; json?: boolean }): Promise<void> {
  const runtime = await runtimeOf(await localConfig(config, true), { passive: true });
  try {
    const corrections = await runtime.reconcile();
    for (const one of corrections) process.stdout.write(`${json ? JSON.stringify(one) : correctionWords(one)}\n`);
    if (!json && corrections.length === 0) process.stdout.write("everything that is held is held by an open call\n");
  } finally {
    await runtime.close();
  }
}
