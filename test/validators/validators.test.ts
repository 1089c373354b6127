/** The validators that come with the package: what they let through, and what they say. */
import { describe, expect, test } from "vitest";
import type { Message } from "../../src/protocol/messages.ts";
import type { Validator } from "../../src/runtime/validator.ts";
import { banned, grounded, language } from "../../src/validators/index.ts";

const said = (validator: Validator, text: string, messages: readonly Message[] = []) =>
  validator.check({ text }, { messages, agent: "a", signal: new AbortController().signal });

describe("banned", () => {
  const validator = banned(["casino", "free money", /\bguarantee[ds]?\b/i]);
  test.each([
    "The Casino is open.",
    "CASINO",
    "a ca\u200bsino",
    "ｃａｓｉｎｏ nights",
    "Get Free Money now",
    "We guarantee it.",
    "x (casino)",
  ])("%s", (text) => expect(said(validator, text)).toMatch(/must not be said/));
  test.each(["casinos", "occasion", "free the money", "a warranty", ""])("not %s", (text) => expect(said(validator, text)).toBeNull());
  test("does not repeat what it found, and finds it again the next time", () => {
    const global = banned([/secret/g]);
    for (let i = 0; i < 3; i++) expect(said(global, "a secret")).not.toContain("secret");
  });
  test("takes signs in a word as they are", () => {
    expect(said(banned(["a.b*"]), "axb")).toBeNull();
    expect(said(banned(["a.b*"]), "the a.b* one")).not.toBeNull();
  });
});

describe("language", () => {
  const texts = {
    en: "The invoice was sent yesterday evening, and the customer has already paid it in full by bank transfer.",
    de: "Die Rechnung wurde gestern Abend verschickt, und der Kunde hat sie bereits vollständig per Überweisung bezahlt.",
    fr: "La facture a été envoyée hier soir et le client l'a déjà payée intégralement par virement bancaire.",
    ja: "請求書は昨日の夜に送付され、お客様はすでに銀行振込で全額をお支払いいただいております。ご確認をお願いいたします。ありがとうございました。よろしくお願いします。",
  };
  for (const [expected, right] of Object.entries(texts)) {
    test(`${expected} is told from the others`, () => {
      for (const [other, text] of Object.entries(texts)) {
        const complaint = said(language(expected), text);
        if (other === expected) expect(complaint).toBeNull();
        else expect(complaint).toContain(`"${expected}"`);
      }
      expect(said(language(expected), right.slice(0, 20))).toBeNull();
    });
  }
  test("does not look at code and addresses", () => {
    expect(said(language("en"), `So:\n\`\`\`\n${texts.de}\n\`\`\`\nhttps://example.com/${"wort".repeat(30)}`)).toBeNull();
  });
  test("refuses what it cannot tell", () => expect(() => language("tlh")).toThrow(/cannot be told; there are ar, /));
});

describe("grounded", () => {
  const messages: readonly Message[] = [
    { role: "user", content: "What did we sell in 2025?" },
    { role: "tool", id: "t1", name: "sales", content: 'units: 1,204; revenue 88 400.50. The report says "a year without a loss".' },
  ];
  test.each([
    "In 2025 you sold 1204 units for 88,400.5.",
    "Two of the 3 reports agree.",
    "It was “A year without  a loss.”",
    "No numbers at all.",
  ])("%s", (text) => expect(said(grounded(), text, messages)).toBeNull());
  test("a number that nobody gave", () => expect(said(grounded(), "You sold 1,240 units.", messages)).toContain('"1240"'));
  test("a quotation that nobody said", () =>
    expect(said(grounded(), 'It says "a year without a gain".', messages)).toContain("a year without a gain"));
  test("only what tools said counts, where it is asked for", () => {
    expect(said(grounded({ sources: "tools" }), "In 2025.", messages)).toContain('"2025"');
    expect(said(grounded({ sources: "tools", blocking: false }), "1204.", messages)).toBeNull();
  });
  test("what the model has said before is no source", () =>
    expect(said(grounded(), "It is 77.", [...messages, { role: "assistant", content: "It is 77." }])).toContain('"77"'));
});
