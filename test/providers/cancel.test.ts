/** Cancel reaches the provider's socket (FEATURES F6): measured here, printed, and left to the benchmarks to judge. */
import { expect, test } from "vitest";
import { openai } from "../../src/providers/openai.ts";
import { chat } from "../../src/testing/fault-chat.ts";
import { startFaultServer } from "../../src/testing/fault-server.ts";
import { plain } from "./collect.ts";

test("200 calls cancelled at once close 200 sockets, and none is opened in their place", { timeout: 60_000 }, async () => {
  const server = await startFaultServer(chat({ text: Array.from({ length: 1_000 }, () => "token "), paceMs: 20 }));
  const provider = openai({ baseURL: `${server.url}/v1` });
  const aborts: (() => void)[] = [];
  await Promise.all(
    Array.from(
      { length: 200 },
      () =>
        new Promise<void>((resolve) => {
          aborts.push(
            provider.stream(plain, ({ type }) => {
              expect(type).toBe("text");
              resolve();
            }),
          );
        }),
    ),
  );
  const at = performance.now();
  for (const abort of aborts) abort();
  const closed = await Promise.all(server.book.entries.map(({ over }) => over));
  const delays = closed.map((time) => time! - at).sort((a, b) => a - b);
  console.log(`server saw the close after p50 ${delays[100]!.toFixed(1)} ms, p99 ${delays[198]!.toFixed(1)} ms`);
  await server.book.idle();
  expect(delays).toHaveLength(200);
  expect(server.book.sockets()).toBe(200);
  await provider.close();
  await server.close();
});
