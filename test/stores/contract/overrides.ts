/** Limits of budgets that were set while running: kept, in the order in which they were set. */
import { describe, expect, it, onTestFinished } from "vitest";
import type { BudgetOverride } from "../../../src/stores/store.ts";
import { t0 } from "./entries.ts";
import { type MakePlace, world } from "./world.ts";

const set = (subject: string, more: Partial<BudgetOverride> = {}): BudgetOverride => ({ subject, by: "ada", at: t0, ...more });

export const overridesContract = (make: MakePlace, shared: boolean): void => {
  describe("overrides", () => {
    it("are kept as they were set last, and told from a position on", async () => {
      const { store } = await world(make);
      expect(await store.overrides(0)).toEqual({ rows: [], position: 0 });
      const first = set("user/acme/\u0000", { limitNano: 5, limitTokens: 0, limitCalls: Number.MAX_SAFE_INTEGER });
      await store.setOverride(first);
      await store.setOverride(set("system", { limitNano: 9 }));
      const all = await store.overrides(0);
      expect(all.rows).toEqual([first, set("system", { limitNano: 9 })]);
      expect(await store.overrides(all.position)).toEqual({ rows: [], position: all.position });
      const changed = { ...set("user/acme/\u0000", { limitCalls: 1 }), by: "bob\u0000", at: t0 + 1 };
      await store.setOverride(changed);
      const more = await store.overrides(all.position);
      expect(more.rows).toEqual([changed]);
      await store.setOverride(set("system"));
      expect((await store.overrides(more.position)).rows).toEqual([set("system")]);
      expect((await store.overrides(0)).rows).toEqual([changed, set("system")]);
    });

    it.each([Number.NaN, -1, 0.5, 2 ** 53])("do not limit to %d", async (limit) => {
      const { store } = await world(make);
      await expect(store.setOverride(set("system", { limitTokens: limit }))).rejects.toThrow();
      expect((await store.overrides(0)).rows).toEqual([]);
    });

    if (shared)
      it("are all seen by a reader who goes on from where it was, while several stores set them", async () => {
        const { store, open } = await world(make);
        const other = await open();
        onTestFinished(() => other.close());
        const seen = new Set<string>();
        let position = 0;
        let done = false;
        const reading = (async () => {
          for (let last = false; !last; ) {
            last = done;
            const more = await other.overrides(position);
            for (const { subject } of more.rows) seen.add(subject);
            position = more.position;
          }
        })();
        const setting = Array.from({ length: 40 }, (_, i) =>
          (i % 2 === 0 ? store : other).setOverride(set(`user/acme/${i}`, { limitNano: i })),
        );
        await Promise.all(setting);
        done = true;
        await reading;
        expect(seen.size).toBe(40);
      });
  });
};
