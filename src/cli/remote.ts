/** `escapement cancel` and `escapement tail`: commands to a running server, through the client. */
import { connect } from "../client/index.ts";
import { showProgress } from "./progress.ts";
import { absence, reach } from "./reach.ts";

export async function cancel(run: string, { url, reason }: { url: string; reason?: string }): Promise<void> {
  const client = connect(url);
  try {
    await reach(url);
    const { status } = await client.run(run).cancel(reason);
    process.stdout.write(`${run}: ${status}\n`);
  } finally {
    await client.close();
  }
}

export async function tail(run: string, { url, json, after }: { url: string; json?: boolean; after?: string }): Promise<void> {
  const client = connect(url, { onState: absence(url, (line) => void process.stderr.write(`escapement: ${line}\n`)) });
  // Whoever read the lines has left (`escapement tail … | head`).
  process.stdout.once("error", () => void client.close());
  try {
    const show = showProgress({ json: json ?? false });
    for await (const event of client.run(run).events(after === undefined ? {} : { after })) show(event);
  } finally {
    await client.close();
  }
}
