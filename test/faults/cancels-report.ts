/** `npm run cancels [streams]`: cancels streams at random points on all wires, prints what was charged, ends with 1 when it is not what was sent. */
import { cancels, summaries } from "./cancels.ts";

const streams = Number(process.argv[2] ?? 1_000);
const all = summaries(await cancels(Math.ceil(streams / 4)));
const percent = (part: number): string => `${(100 * part).toFixed(2)} %`;
console.log("wire               streams  charged     read     sent  margin  charged/read  charged/sent  under  over  worst");
let failed = false;
for (const { wire, streams, charged, read, sent, margin, under, over, worst } of all) {
  console.log(
    `${wire.padEnd(19)}${String(streams).padStart(7)}${String(charged).padStart(9)}${String(read).padStart(9)}${String(sent).padStart(9)}${percent(margin).padStart(10)}` +
      `${percent(charged / read).padStart(12)}${percent(charged / sent).padStart(14)}${String(under).padStart(7)}${String(over).padStart(6)}${percent(worst).padStart(8)}`,
  );
  failed ||= under > 0 || over > 0 || (margin === 0 && Math.abs(charged / sent - 1) > 0.02) || worst > 0.02;
}
console.log(
  "read: tokens of the events that our sockets had handed over; sent: of all that the provider had handed to the system when it saw us leave",
);
process.exitCode = failed ? 1 : 0;
