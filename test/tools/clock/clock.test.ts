import { describe, expect, it } from "vitest";
import type { ToolContext } from "../../../src/runtime/tool.ts";
import { clock, createClock } from "../../../tools/clock/index.ts";

const context: ToolContext = { run: "run_1", key: "k", signal: new AbortController().signal, progress() {}, data() {} };
const at = Date.parse("2026-07-31T22:30:05.000Z");
const tool = createClock(() => at);

describe("clock", () => {
  it("answers in UTC unless a zone is asked for", () => {
    expect(tool.run({}, context)).toEqual({
      iso: "2026-07-31T22:30:05Z",
      time_zone: "UTC",
      weekday: "Friday",
      date: "2026-07-31",
      time: "22:30:05",
      utc_offset: "+00:00",
    });
  });

  it("gives the local date, time and offset of a zone", () => {
    expect(tool.run({ time_zone: "Europe/Berlin" }, context)).toMatchObject({
      iso: "2026-08-01T00:30:05+02:00",
      weekday: "Saturday",
      date: "2026-08-01",
    });
    expect(tool.run({ time_zone: "America/New_York" }, context)).toMatchObject({ iso: "2026-07-31T18:30:05-04:00" });
    expect(tool.run({ time_zone: "asia/kathmandu" }, context)).toMatchObject({ utc_offset: "+05:45" });
  });

  it("its iso is the same instant everywhere", () => {
    for (const time_zone of ["UTC", "Pacific/Chatham", "America/St_Johns", "Asia/Tokyo", "+03:30"]) {
      const { iso } = tool.run({ time_zone }, context) as { iso: string };
      expect(Date.parse(iso)).toBe(at);
    }
  });

  it("names the way out for a zone that it does not know", () => {
    expect(() => tool.run({ time_zone: "Tokyo" }, context)).toThrow('"Tokyo" is not a known time zone: did you mean Asia/Tokyo?');
    expect(() => tool.run({ time_zone: "new york" }, context)).toThrow(/America\/New_York/);
    expect(() => tool.run({ time_zone: "Mars/Base" }, context)).toThrow(/IANA name/);
  });

  it("tells the current time and refuses arguments that it does not have", () => {
    expect(clock.map(({ name }) => name)).toEqual(["clock"]);
    const current = createClock();
    const before = Date.now() - 1000;
    const { iso } = current.run({}, context) as { iso: string };
    expect(Date.parse(iso)).toBeGreaterThanOrEqual(before);
    expect(current.parse({ timezone: "UTC" })).toMatchObject({ ok: false, message: expect.stringContaining("timezone") });
  });
});
