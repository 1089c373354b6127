/**
 * Which time zone a question names: a zone ("Europe/Berlin", "UTC"), or a place that a zone is named after ("in Tokyo", "in Japan").
 * What there is, Intl knows; no list of ours.
 */

/** A city's zone is `Area/City`; the areas are those of the zones that Intl knows. */
const areas = (): readonly string[] => [
  "",
  ...new Set(Intl.supportedValuesOf("timeZone").map((zone) => zone.slice(0, zone.lastIndexOf("/") + 1))),
];

/** Words of the longest names: "Port of Spain", "Ho Chi Minh". */
const maxWords = 4;
/** Each place is tried in each area: of a long text only the beginning is read. */
const maxLength = 1_000;

/** Undefined where the question names none that is known. */
export function findTimeZone(question: string): string | undefined {
  const text = question.slice(0, maxLength).normalize("NFD").replace(/\p{M}/gu, "");
  for (const [, named = ""] of text.matchAll(/\b([A-Za-z]+(?:\/[A-Za-z0-9_+-]+)+|UTC|GMT)\b/g)) {
    const zone = zoneOf(named);
    if (zone !== undefined) return zone;
  }
  for (const [, place = ""] of text.matchAll(/\b(?:in|for)\s+(?=([A-Za-z][A-Za-z .'-]*))/gi)) {
    const words = place.split(/\s+/).filter((word) => word !== "");
    for (let count = Math.min(maxWords, words.length); count > 0; count--) {
      const name = words.slice(0, count).join("_").replace(/[.']+/g, "");
      for (const area of areas()) {
        const zone = zoneOf(area + name);
        if (zone !== undefined) return zone;
      }
    }
  }
  return undefined;
}

function zoneOf(name: string): string | undefined {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone;
  } catch {
    return undefined;
  }
}
