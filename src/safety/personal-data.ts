/**
 * Personal data that can be told by its shape: mail addresses, phone numbers, cards (Luhn), IBANs (checksum), ids of persons that carry a
 * check or a shape of their own, and, where asked for, IP addresses. Names and postal addresses have no shape and are not found.
 */
import { isIP } from "node:net";
import { codiceFiscale, cpf, dni, iban, ibanLengths, nir } from "./checksums.ts";
import { numbers } from "./numbers.ts";
import { type Detector, eachMatch } from "./spans.ts";

export const personalData: Detector = (text, found) => {
  mails(text, found);
  if (!hasDigits(text, leastDigits)) return;
  ibans(text, found);
  shapes(text, found);
  numbers(text, found);
};

/** Of all that is made of digits, the least: a national insurance number. */
const leastDigits = 6;

function hasDigits(text: string, least: number): boolean {
  let left = least;
  for (let i = 0; i < text.length && left > 0; i++) {
    const code = text.charCodeAt(i);
    if (code >= 48 && code <= 57) left--;
  }
  return left === 0;
}

const at = /@|%40|\\u0040/gi;
const isLocal = (code: number): boolean =>
  (code >= 48 && code <= 57) ||
  (code >= 65 && code <= 90) ||
  (code >= 97 && code <= 122) ||
  ".!#$&'*+-/=?^_`{|}~".includes(String.fromCharCode(code)) ||
  code > 0xa0;
const domain = /(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,62})\.){1,8}(?:xn--[a-z0-9-]{2,59}|\p{L}{2,24})/uy;

/** From each `@` outwards; the parts are at most as long as the standard allows. */
const mails: Detector = (text, found) => {
  eachMatch(at, text, ({ index, 0: sign }) => {
    domain.lastIndex = index + sign.length;
    const host = domain.exec(text)?.[0];
    if (host === undefined) return;
    let start = index;
    while (start > 0 && index - start < 64 && isLocal(text.charCodeAt(start - 1))) start--;
    // What stands before an address in prose or an escape is no part of it.
    const local = text.slice(start, index).replace(/^(?:.*[=/?{}|])?['`.!#$&*^~]*/, "");
    if (local !== "") found.push({ start: index - local.length, end: index + sign.length + host.length, kind: "mail" });
  });
};

const ibanBegin = /(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?=[ -]?[A-Za-z0-9])/g;

const ibans: Detector = (text, found) => {
  eachMatch(ibanBegin, text, ({ index, 0: begin }) => {
    const length = ibanLengths[begin.slice(0, 2).toUpperCase()];
    if (length === undefined) return;
    let account = "";
    let end = index;
    // Groups of four are the usual way to write one.
    for (; end < text.length && account.length < length; end++) {
      const character = text[end] as string;
      if (/[A-Za-z0-9]/.test(character)) account += character.toUpperCase();
      else if (!/[ \u00a0\u202f-]/.test(character)) break;
    }
    if (account.length === length && iban(account)) found.push({ start: index, end, kind: "iban" });
  });
};

/** Ids of persons whose shape, or check, leaves little doubt. */
const ids: readonly (readonly [RegExp, (id: string) => boolean])[] = [
  // United States: social security number.
  [/(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])/g, () => true],
  // United Kingdom: national insurance number.
  [/(?<!\w)(?![DFIQUV])[A-Z](?![DFIQUVO])[A-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D](?!\w)/g, () => true],
  [/(?<!\w)(?:\d{8}|[XYZ]\d{7})-?[A-Z](?!\w)/g, (id) => dni(id.replace("-", ""))],
  [/(?<!\w)[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z](?!\w)/g, codiceFiscale],
  [/(?<![\d.-])\d{3}\.\d{3}\.\d{3}-\d{2}(?![\d-])/g, (id) => cpf(id.replace(/\D/g, ""))],
  [/(?<![\w.])[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?\d{2} ?\d{3} ?\d{3} ?\d{2}(?![\w.])/g, (id) => nir(id.replace(/ /g, ""))],
];

const shapes: Detector = (text, found) => {
  for (const [shape, isOne] of ids)
    eachMatch(shape, text, ({ index, 0: id }) => {
      if (isOne(id)) found.push({ start: index, end: index + id.length, kind: "national_id" });
    });
};

const address = /(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4})(?![\w:])/g;

export const addresses: Detector = (text, found) => {
  eachMatch(address, text, ({ index, 0: match }) => {
    if (isIP(match)) found.push({ start: index, end: index + match.length, kind: "ip" });
  });
};
