import { expect, test } from "vitest";
import { conformance } from "./conformance.ts";

test("of the official server scenarios, those fail that are listed, and no others", async () => {
  const { code, output } = await conformance();
  expect({ code, output }).toMatchObject({ code: 0, output: expect.stringContaining("tools-call-with-progress: 1 passed") });
});
