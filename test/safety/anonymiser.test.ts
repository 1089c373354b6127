import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Anonymiser, Restorer } from "../../src/safety/anonymiser.ts";

const of = (text: string, names: string[] = []) => {
  const anonymiser = new Anonymiser(names);
  anonymiser.look(text);
  return { hidden: anonymiser.hide(text), anonymiser };
};

describe("hides", () => {
  test.each([
    ["Write to ada.lovelace+news@mail.example.co.uk, please.", "Write to [MAIL_1], please."],
    ["größe@müller-und-söhne.de", "[MAIL_1]"],
    ["Call +49 (0)170 123 45-67 or 0170/1234567.", "Call [PHONE_1] or [PHONE_2]."],
    ["Card 4111 1111 1111 1111, exp. 12/27", "Card [CARD_1], exp. 12/27"],
    ["Card 4111-1111-1111-1112", "Card [NUMBER_1]"],
    ["IBAN DE89 3704 0044 0532 0130 00.", "IBAN [IBAN_1]."],
    ["IBAN GB29NWBK60161331926819", "IBAN [IBAN_1]"],
    ["customer AB1234567 and 99887766", "customer AB[NUMBER_1] and [NUMBER_2]"],
    ["a@b.de, c@d.de and a@b.de again", "[MAIL_1], [MAIL_2] and [MAIL_1] again"],
    ["My name is Ada Lovelace. Ask Ada, or Lovelace!", "My name is [NAME_1]. Ask [NAME_2], or [NAME_3]!"],
    ["Liebe Grete, Frau Dr. Meitner-Hahn kommt.", "Liebe [NAME_1], Frau Dr. [NAME_2] kommt."],
    ["I wrote [MAIL_1] myself to a@b.de", "I wrote [TEXT_1] myself to [MAIL_1]"],
  ])("%s", (text, hidden) => expect(of(text).hidden).toBe(hidden));

  test("listed names in any case, the longest first, and not within words", () => {
    expect(of("ADA BYRON met Ada. Adamant ada?", ["Ada", "Ada Byron"]).hidden).toBe("[NAME_1] met [NAME_2]. Adamant [NAME_3]?");
    expect(of("Use C++ (not C).", ["C++ (not C)"]).hidden).toBe("Use [NAME_1].");
  });
});

test.each([
  "On 2026-11-24 at 12:30 we sold 1,234,567 pieces for 12.50.",
  "Dear Sir, dear all, version 1.2.3 has 123456 users.",
  "The mail server @ home; 3 * 4 = 12",
])("leaves alone: %s", (text) => expect(of(text).hidden).toBe(text));

test("a name that comes to be known later is hidden in what was said before, and numbers stay as they were", () => {
  const first = new Anonymiser();
  const [one, two] = ["Mail a@b.de about Grace.", "By the way, my name is Grace. Mail c@d.de."];
  first.look(one);
  expect(first.hide(one)).toBe("Mail [MAIL_1] about Grace.");
  const second = new Anonymiser();
  for (const text of [one, two]) second.look(text);
  expect(second.hide(one)).toBe("Mail [MAIL_1] about [NAME_1].");
  expect(second.hide(two)).toBe("By the way, my name is [NAME_1]. Mail [MAIL_2].");
});

test("puts values back wherever a placeholder is cut", () => {
  const { anonymiser } = of("a@b.de 1234567");
  const text = "[[MAIL_1] x [NUMBER_1]] [MAIL_9] [X [MAIL_1";
  for (let i = 0; i <= text.length; i++)
    for (let j = i; j <= text.length; j++) {
      const restorer = new Restorer(anonymiser, false);
      const told = [text.slice(0, i), text.slice(i, j), text.slice(j)].map((piece) => restorer.push(piece)).join("") + restorer.end();
      expect(told).toBe("[a@b.de x 1234567] [MAIL_9] [X [MAIL_1");
    }
});

test("what is put back into JSON is escaped as JSON is", () => {
  const { anonymiser } = of('Say "Bob" O\\Neil', ['"Bob" O\\Neil']);
  const restored = new Restorer(anonymiser, true).push('{"name":"[NAME_1]"}');
  expect(JSON.parse(restored)).toEqual({ name: '"Bob" O\\Neil' });
});

test("values of tools keep their form, and their keys are hidden too", () => {
  const anonymiser = new Anonymiser();
  const value = { to: ["a@b.de"], "c@d.de": { amount: -12_345_678, count: 3, id: 99_887_766, note: "id 99887766" }, none: null };
  anonymiser.lookIn(value);
  const hidden = anonymiser.hideIn(value);
  expect(JSON.stringify(hidden)).not.toMatch(/@|12345678|99887766/);
  expect(hidden).toMatchObject({ to: ["[MAIL_1]"], none: null });
  expect(anonymiser.restoreIn(hidden)).toMatchObject({ to: ["a@b.de"], "c@d.de": { amount: -12_345_678, count: 3 } });
});

test("what is hidden and put back is what it was", () => {
  const word = fc.oneof(
    fc.string({ maxLength: 8 }),
    fc.constantFrom(
      "a@b.de",
      "+49 170 1234567",
      "[MAIL_1]",
      "[NAME_2]",
      "Ada",
      "4111 1111 1111 1111",
      "Dr. ",
      "my name is ",
      "Grace",
      "\n",
      "[",
    ),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 12 }), (words) => {
      const text = words.join(" ");
      const { hidden, anonymiser } = of(text, ["Ada"]);
      expect(anonymiser.restore(hidden)).toBe(text);
      expect(hidden).not.toMatch(/a@b\.de|1234567|4111/);
    }),
    { numRuns: 500, seed: 7 },
  );
});

test("takes a time that grows with the text alone", () => {
  const before = process.cpuUsage();
  for (const text of [
    "a".repeat(300_000),
    "1 ".repeat(150_000),
    "a.b@".repeat(75_000),
    "A1B2 ".repeat(60_000),
    "My name is ".repeat(30_000),
  ])
    of(text, ["Ada"]);
  const { user } = process.cpuUsage(before);
  // Quadratic time would be minutes.
  expect(user / 1e6).toBeLessThan(10);
});
