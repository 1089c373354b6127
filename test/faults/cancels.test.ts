/** Cancelled streams are charged what had arrived, in a small size; `npm run cancels` plays a thousand. */
import { expect, test } from "vitest";
import { cancels, summaries } from "./cancels.ts";

test("streams cancelled at random points are charged what was read, or that and the margin", { timeout: 120_000 }, async () => {
  for (const { wire, streams, charged, read, margin, under, over } of summaries(await cancels(12))) {
    expect({ wire, streams, under, over }).toEqual({ wire, streams: 12, under: 0, over: 0 });
    if (margin === 0) expect(charged, wire).toBe(read);
  }
});
