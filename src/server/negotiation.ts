/** Content negotiation between the two forms that runs and events have. */

export type Form = "application/json" | "text/event-stream";

/**
 * The form that `Accept` likes better; `fallback` where it has no opinion or names neither of them (a browser's address bar), since
 * an answer in our form helps more than a refusal.
 */
export function preferredForm(accept: string | null | undefined, fallback: Form): Form {
  let best = fallback;
  let bestQuality = 0;
  for (const range of accept?.split(",") ?? []) {
    const [type = "", ...parameters] = range.split(";").map((word) => word.trim().toLowerCase());
    if (type !== "application/json" && type !== "text/event-stream") continue;
    const weight = parameters.find((parameter) => parameter.startsWith("q="));
    const quality = weight === undefined ? 1 : Number(weight.slice(2));
    // Of equals the first counts.
    if (quality > bestQuality) {
      best = type;
      bestQuality = quality;
    }
  }
  return best;
}
