/** What the shop's people know. Small enough to be told whole; a larger one is searched by the `knowledge` group. */
import type { Validator } from "escapement";
import { grounded } from "escapement/validators";

export const handbook = `Delivery: parcels leave within 2 working days and take 3 to 5 days; express takes 1 day and costs 12.90 euros. Delivery is free from 60 euros, else 4.90 euros. We deliver to Germany, Austria and Denmark.
Returns: unused things may come back within 30 days; we pay the label from 40 euros on. Money is back within 14 days after the parcel arrived here. Opened tea cannot come back.
Broken: send a photo within 7 days; we send a new one at once and want nothing back under 25 euros.
Payment: card, PayPal, or invoice up to 200 euros. An invoice is due after 21 days; a reminder costs 5 euros.
Kettles: the K2 holds 1.7 litres, has 1800 watts and a guarantee of 3 years; the K1 holds 1.0 litre, has 1200 watts and a guarantee of 2 years. Both can be descaled with vinegar.
Tea: green tea keeps for 18 months, black tea for 36 months, closed and dark. Sencha is steeped at 70 degrees for 2 minutes, Assam at 95 degrees for 4 minutes.
Account: passwords are changed under Settings; an account is deleted within 30 days after you ask. Gift cards are valid for 3 years.
People: the telephone is open from 9 to 17 on working days; mails are answered within 24 hours.`;

const { check } = grounded();
/** Numbers and quotations of an answer must be the handbook's or the customer's. */
export const fromHandbook: Validator = {
  name: "grounded",
  check: (answer, given) => check(answer, { ...given, messages: [...given.messages, { role: "system", content: handbook }] }),
};
