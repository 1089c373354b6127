/**
 * The tool `clock`: what time it is, in a time zone. It is `pure` because asking again after an interruption does no harm; a replay
 * is given the time that was recorded.
 */
import { z } from "zod";
// The one place of this group that imports `tool`; it becomes the public entry point.
import { type Tool, tool } from "../../src/runtime/tool.ts";

/** `now` gives milliseconds since the epoch; another one is for tests. */
export function createClock(now: () => number = Date.now): Tool {
  return tool({
    name: "clock",
    description:
      "Tells the current date, time and weekday. Use it whenever something depends on today or now. " +
      "Without time_zone it answers in UTC: ask for the person's zone by its IANA name where their local time matters.",
    class: "pure",
    input: z.strictObject({
      time_zone: z.string().max(64).optional().describe('An IANA time zone such as "Europe/Berlin" or "America/New_York"; UTC without.'),
    }),
    timeoutMs: 1_000,
    run: ({ time_zone = "UTC" }) => timeIn(time_zone, now()),
  });
}

/** Date and time as people there read them; `iso` is the same instant with the zone's offset. */
function timeIn(timeZone: string, at: number) {
  const format = formatOf(timeZone);
  const part = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]));
  const date = `${part.year}-${part.month}-${part.day}`;
  const time = `${part.hour}:${part.minute}:${part.second}`;
  // "GMT+02:00", and "GMT" alone for UTC.
  const offset = part.timeZoneName?.replace("GMT", "").replace("−", "-") || "+00:00";
  return {
    iso: `${date}T${time}${offset === "+00:00" ? "Z" : offset}`,
    time_zone: format.resolvedOptions().timeZone,
    weekday: part.weekday,
    date,
    time,
    utc_offset: offset,
  };
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat("en-GB-u-ca-iso8601-nu-latn", {
      timeZone,
      weekday: "long",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      hourCycle: "h23",
      timeZoneName: "longOffset",
    });
  } catch {
    const likely = zonesLike(timeZone);
    const way = likely.length > 0 ? `did you mean ${likely.join(" or ")}?` : 'give an IANA name such as "Europe/Berlin", or "UTC"';
    throw new Error(`"${timeZone}" is not a known time zone: ${way}`);
  }
}

/** Zones named by their city ("Tokyo", "new york"), at most three. */
function zonesLike(text: string): string[] {
  const wanted = text.trim().toLowerCase().replaceAll(" ", "_").split("/").at(-1) ?? "";
  if (wanted.length < 3) return [];
  return Intl.supportedValuesOf("timeZone")
    .filter((zone) => zone.toLowerCase().includes(wanted))
    .slice(0, 3);
}
