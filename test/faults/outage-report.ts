/**
 * `npm run outage [requests] [per second]`: outages of the primary until that many requests were made while it was down, and as many
 * requests with a fifth of its answers broken. Prints what was seen and ends with 1 when it is less than was promised.
 */
import { lostOf, mixedFaults, type Outage, outage, outageMs, scale, ways } from "./outage.ts";

const wanted = Number(process.argv[2] ?? 10_000);
const perSecond = Number(process.argv[3] ?? 400);
const percent = (part: number, of: number): string => `${((100 * part) / of).toFixed(2)} %`;
let failed = false;
const promise = (what: string, isKept: boolean): void => {
  if (isKept) return;
  failed = true;
  console.error(`NOT KEPT: ${what}`);
};

console.log(`outages of ${outageMs} ms (a minute, all time constants divided by ${scale}), ${perSecond} requests/s over HTTP`);
console.log("way      requests  by 1st  by 2nd  lost  calls of primary  retries  probes  opened after  closed after");
const all: Outage[] = [];
for (let made = 0; made < wanted; ) {
  const one = await outage(ways[all.length % ways.length] as (typeof ways)[number], perSecond);
  all.push(one);
  made += one.tally.requests;
  const { way, tally, calls, retries, probes, openedAfterMs, closedAfterMs, closedAfterProbes } = one;
  console.log(
    `${way.padEnd(9)}${String(tally.requests).padStart(8)}${String(tally.by.first).padStart(8)}${String(tally.by.second).padStart(8)}${String(lostOf(tally)).padStart(6)}` +
      `${String(calls).padStart(18)}${String(retries).padStart(9)}${String(probes).padStart(8)}${`${openedAfterMs.toFixed(1)} ms`.padStart(14)}` +
      `${`${Math.round(closedAfterMs)} ms`.padStart(14)} (${closedAfterProbes} probe${closedAfterProbes === 1 ? "" : "s"})`,
  );
  for (const [end, count] of Object.entries(tally.lost)) console.log(`         lost ${count}: ${end}`);
  promise(`breaker open within ${1_000 / scale} ms of the threshold (${way})`, openedAfterMs <= 1_000 / scale);
  promise(`recovered by one probe (${way})`, closedAfterProbes === 1);
  // At least 10 retries are always allowed.
  promise(`retries at most 10 % of the primary's calls (${way})`, retries <= Math.max(10, 0.1 * calls));
}
const sum = (of: (one: Outage) => number): number => all.reduce((total, one) => total + of(one), 0);
const requests = sum(({ tally }) => tally.requests);
const answered = sum(({ tally }) => tally.by.first + tally.by.second);
console.log(
  `answered ${answered} of ${requests} (${percent(answered, requests)}), ${sum(({ tally }) => tally.by.second)} by the lower tier`,
);
promise("99.9 % of the requests answered during an outage", answered >= 0.999 * requests);

const mixed = await mixedFaults(wanted, perSecond);
const { tally } = mixed;
const done = tally.by.first + tally.by.second;
console.log(
  `mixed faults: ${mixed.broken} of ${mixed.calls} calls broken (${percent(mixed.broken, mixed.calls)}); ${done} of ${tally.requests} answered (${percent(done, tally.requests)}), ` +
    `${tally.by.first} by the primary, ${tally.by.second} by the lower tier; ${mixed.retries} retries`,
);
for (const [end, count] of Object.entries(tally.lost)) console.log(`         lost ${count}: ${end}`);
promise("99.95 % of the requests answered under mixed faults", done >= 0.9995 * tally.requests);
process.exitCode = failed ? 1 : 0;
