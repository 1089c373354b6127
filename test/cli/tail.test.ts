/** `escapement tail` shows the same answer to whoever comes late. */
import { afterEach, expect, test } from "vitest";
import { endAll, newFolder, run, serve } from "../whole-path/served.ts";

afterEach(endAll);

test("a run that has ended is shown with its answer, once", async () => {
  const { url } = await serve({ cwd: newFolder() });
  const started = await fetch(`${url}/v1/runs`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ agent: "assistant", input: "What is 12.5% of 8460?" }),
  });
  const { id } = (await started.json()) as { id: string };
  const { code, stdout, stderr } = await run({ cwd: newFolder(), args: ["tail", id, "--url", url] });
  expect({ code, stdout }).toEqual({ code: 0, stdout: "12.5% of 8460 is 1057.5.\n" });
  expect(stderr).toContain("done: 2 steps, 2 calls");
});
