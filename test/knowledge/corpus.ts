/**
 * A small corpus, in all formats, and questions about it; each names the document and words of the passage that answers. Some questions
 * use the words of the answer, some other words for it ("by meaning").
 */
import { docx, pdf, pptx } from "./files.ts";

type Section = readonly [heading: string, text: string];
type Source = { readonly name: string; readonly title: string; readonly sections: readonly Section[] };

const sources: readonly Source[] = [
  {
    name: "people/leave.md",
    title: "Leave and absence",
    sections: [
      [
        "Holiday",
        "Every full-time employee has 28 days of holiday a year. Up to five unused days move to the next year and lapse at the end of March.",
      ],
      ["Illness", "Tell your manager before nine in the morning. From the fourth day on we need a certificate of a doctor."],
      ["Parents", "Parents may stay at home for up to fourteen months and keep their position. Ask eight weeks before the first day."],
      ["Bereavement", "When a close relative dies you have four paid days, and more without pay when you need them."],
      ["Moving house", "For a change of your own address the company gives one free day a year."],
      ["Volunteering", "Two days a year may be given to a charity of your choice; the time is paid."],
    ],
  },
  {
    name: "people/expenses.docx",
    title: "Travel and expenses",
    sections: [
      ["Trains", "Journeys under four hours are made by rail, second class. A discount card is paid after three trips a year."],
      ["Flights", "Fly economy. Business class is open to flights of more than nine hours, with the word of a director."],
      ["Hotels", "A night may cost 140 euros, 190 in London, Paris and Zurich. Breakfast is included in that sum."],
      ["Meals", "The daily allowance is 28 euros, 14 on days of arrival and departure. Alcohol is never refunded."],
      ["Receipts", "Hand in receipts within thirty days through the finance portal. A photo is enough below 250 euros."],
      ["Own car", "A kilometre in your own car is refunded with 30 cents; parking is refunded, fines are not."],
    ],
  },
  {
    name: "it/network.html",
    title: "Network and access",
    sections: [
      ["VPN", "Connect with the client WireGuard; the profile is on the intranet page of your device. Split tunnelling is switched off."],
      [
        "Passwords",
        "A password has fourteen characters or more and is never used twice. Change it only when it may be known to somebody else.",
      ],
      ["Second factor", "Sign-in asks for a hardware key. Lost keys are blocked by the service desk at extension 4400, day and night."],
      ["Guests", "Visitors use the network Guest; the reception prints a code that is valid for one day."],
      ["Printers", "Print jobs wait on the server until you hold your badge to any printer; after twelve hours they are deleted."],
      ["Error E-4012", "The message E-4012 means that the certificate of the laptop has expired: connect it by cable once and restart."],
    ],
  },
  {
    name: "it/security.txt",
    title: "Security incidents",
    sections: [
      ["Phishing", "Forward a suspicious mail to abuse@ and do not open its attachments. Nobody is blamed for asking."],
      ["Lost device", "Report a stolen or lost laptop within an hour; it is then wiped from afar."],
      [
        "Ransom",
        "If files cannot be opened and a demand for money appears, pull the cable, leave the machine running, and call extension 4411.",
      ],
      ["Visitors", "Walk with every guest; nobody without a badge is alone in the building."],
      ["Shredding", "Paper with personal data goes into the locked grey bins, which are emptied on Thursdays."],
      ["Classification", "Documents are public, internal, confidential or secret. Secret ones may not leave the building in any form."],
    ],
  },
  {
    name: "product/manual.pdf",
    title: "Coffee machine K7: manual",
    sections: [
      ["Before the first use", "Rinse the tank, fill it to the line with cold water and let two cups run through without coffee."],
      [
        "Descaling",
        "When the drop lights up in orange, put one tablet of citric acid into a full tank and hold both buttons for five seconds.",
      ],
      ["Milk foam", "Use cold whole milk; clean the steam pipe with a damp cloth right after each use."],
      ["Grinder", "Turn the wheel only while it grinds: to the left for finer powder, to the right for coarser."],
      ["Fault lamps", "Red and blinking: the drip tray is missing. Red and steady: the brewing unit is stuck, pull it out and rinse it."],
      [
        "Warranty",
        "The maker repairs defects for 24 months; wear of seals and the grinder's discs is excluded. The motor is covered for five years.",
      ],
    ],
  },
  {
    name: "product/plan.pptx",
    title: "Product plan",
    sections: [
      ["Markets", "Sales begin in Austria and Poland in spring and reach Spain in autumn."],
      ["Prices", "The K7 costs 649 euros, the K7 Pro 899 euros. Schools have a rebate of 15 percent."],
      ["Competition", "Two rivals undercut us below 500 euros; none of them can be repaired by its owner."],
      ["Risks", "The pump comes from one supplier alone. A second source is being tested in Brno."],
      ["People", "The team grows by six engineers and a designer until June."],
      ["Measure of success", "We aim at 40,000 machines in the first year and returns below two percent."],
    ],
  },
  {
    name: "legal/terms.md",
    title: "Terms of sale",
    sections: [
      ["Withdrawal", "Consumers may withdraw within 30 days without a reason. The goods come back at our cost."],
      ["Payment", "Invoices are due within 14 days. After that we charge interest of five points above the base rate."],
      ["Delivery", "Goods in stock leave within two working days. Islands and mountain huts may take a week."],
      ["Retention of title", "Until it is paid in full, everything that was delivered remains our property."],
      ["Liability", "For slight negligence we are liable only where a duty essential to the contract was broken."],
      ["Disputes", "The court of Hamburg decides; the law of Germany applies, that of the UN on sales does not."],
    ],
  },
  {
    name: "legal/privacy.html",
    title: "Privacy notice",
    sections: [
      ["What is collected", "We store name, address and orders. The machine itself sends nothing unless its owner switches statistics on."],
      ["How long", "Orders are kept for ten years because tax law demands it, support messages for two."],
      ["Your rights", "You may have a copy of all that is known about you, have it corrected, or have it erased. Write to privacy@."],
      ["Processors", "Parcels are handled by a carrier, mails by a provider in Finland; both act on our orders alone."],
      ["Cookies", "The shop sets one cookie for the basket. There is no advertising and no tracking."],
      ["Complaints", "Who is not content may turn to the supervisory authority of their state."],
    ],
  },
  {
    name: "office/building.docx",
    title: "The building",
    sections: [
      ["Opening hours", "Doors open with a badge from six to twenty-two; at other times the guard lets you in."],
      ["Bicycles", "A pump and tools hang in the cellar, next to the showers. Chargers for electric bikes are outside."],
      ["Canteen", "Lunch is from half past eleven to two; a vegan dish is always there. Pay with the badge."],
      ["Fire", "At the alarm leave by the nearest stairs, never by lift, and meet at the flagpole across the street."],
      ["Meeting rooms", "A room that is not entered within ten minutes is given to others."],
      ["Dogs", "Dogs are welcome on the second floor if nobody there is allergic."],
    ],
  },
  {
    name: "office/onboarding.pdf",
    title: "Your first week",
    sections: [
      ["Day one", "Bring your identity card and your tax number; the laptop waits at the service desk."],
      ["Mentor", "A colleague of another team goes with you for three months; you meet every week."],
      ["Courses", "The course on data protection must be done within two weeks, the one on first aid is voluntary."],
      ["Probation", "The first six months are on trial: both sides may end the contract with two weeks of notice."],
      ["Salary", "Money arrives on the 27th; a thirteenth salary is paid in November."],
      ["Pension", "The company adds half of what you save for your old age, up to four percent of your pay."],
    ],
  },
  {
    name: "notes/urlaub.md",
    title: "Hinweise für das Büro in Köln",
    sections: [
      ["Brückentage", "An Brückentagen bleibt das Büro in Köln geschlossen; dafür wird kein Urlaubstag abgezogen."],
      ["Schlüssel", "Wer seinen Schlüssel verliert, meldet das sofort beim Empfang. Die Kosten des Schlosses trägt die Firma."],
      ["Küche", "Die Spülmaschine läuft um achtzehn Uhr. Wer zuletzt geht, schaltet sie ein."],
    ],
  },
  {
    name: "notes/tokyo.txt",
    title: "東京オフィス",
    sections: [
      ["営業時間", "東京オフィスは午前九時から午後六時まで開いています。土曜日は休みです。"],
      ["通勤", "通勤の定期券は会社が払います。毎月の上限は二万円です。"],
    ],
  },
];

export type Question = { readonly asked: string; readonly document: string; readonly words: string; readonly byMeaning?: true };

const q = (asked: string, document: string, words: string): Question => ({ asked, document, words });
const m = (asked: string, document: string, words: string): Question => ({ asked, document, words, byMeaning: true });

export const questions: readonly Question[] = [
  q("How many days of holiday does an employee have a year?", "people/leave.md", "28 days of holiday"),
  m("What happens to vacation I did not take?", "people/leave.md", "lapse at the end of March"),
  m("I am sick, when do I need a doctor's note?", "people/leave.md", "fourth day"),
  m("Do I get time off when my grandmother died?", "people/leave.md", "close relative"),
  m("maternity and paternity: how long can I be away", "people/leave.md", "fourteen months"),
  q("May I fly business class?", "people/expenses.docx", "nine hours"),
  m("maximum price for accommodation in Paris", "people/expenses.docx", "190 in London"),
  q("What is the daily allowance for meals?", "people/expenses.docx", "28 euros"),
  m("Is beer reimbursed?", "people/expenses.docx", "Alcohol is never refunded"),
  m("deadline to submit bills after a trip", "people/expenses.docx", "thirty days"),
  m("mileage rate for driving my private vehicle", "people/expenses.docx", "30 cents"),
  q("What does E-4012 mean?", "it/network.html", "certificate of the laptop"),
  q("How long must a password be?", "it/network.html", "fourteen characters"),
  m("I lost the token I log in with", "it/network.html", "4400"),
  m("wifi for a customer who visits us", "it/network.html", "code that is valid for one day"),
  q("WireGuard profile", "it/network.html", "intranet page"),
  m("I received a strange email with a link", "it/security.txt", "abuse@"),
  m("my notebook was stolen", "it/security.txt", "wiped from afar"),
  m("hackers encrypted our files and want bitcoin", "it/security.txt", "pull the cable"),
  q("Where does paper with personal data go?", "it/security.txt", "grey bins"),
  q("How do I start descaling?", "product/manual.pdf", "citric acid"),
  m("remove limescale from the coffee machine", "product/manual.pdf", "citric acid"),
  q("How long does the maker repair defects?", "product/manual.pdf", "24 months"),
  m("What does a flashing red light tell?", "product/manual.pdf", "drip tray is missing"),
  m("make the ground coffee less fine", "product/manual.pdf", "coarser"),
  q("What does the K7 Pro cost?", "product/plan.pptx", "899 euros"),
  m("In which countries do we launch first?", "product/plan.pptx", "Austria and Poland"),
  m("How many units do we want to sell?", "product/plan.pptx", "40,000"),
  m("Which component depends on a single vendor?", "product/plan.pptx", "pump comes from one supplier"),
  m("discount for education", "product/plan.pptx", "rebate of 15 percent"),
  q("When are invoices due?", "legal/terms.md", "14 days"),
  m("Can a customer send the machine back and get the money?", "legal/terms.md", "withdraw within 30 days"),
  m("Where would a lawsuit be heard?", "legal/terms.md", "court of Hamburg"),
  m("How fast is shipping?", "legal/terms.md", "two working days"),
  q("How long are orders kept?", "legal/privacy.html", "ten years"),
  m("delete my account data", "legal/privacy.html", "have it erased"),
  m("Does the appliance phone home?", "legal/privacy.html", "sends nothing"),
  q("When is the canteen open for lunch?", "office/building.docx", "half past eleven"),
  m("Where do we gather in an evacuation?", "office/building.docx", "flagpole"),
  m("can I bring my pet to work", "office/building.docx", "Dogs are welcome"),
  m("how early can I enter the office", "office/building.docx", "from six"),
  q("When is the salary paid?", "office/onboarding.pdf", "27th"),
  m("Which papers must a new colleague have with them?", "office/onboarding.pdf", "identity card"),
  m("retirement savings contribution of the employer", "office/onboarding.pdf", "half of what you save"),
  m("notice period for newcomers", "office/onboarding.pdf", "two weeks of notice"),
  q("Schlüssel verloren", "notes/urlaub.md", "beim Empfang"),
  q("Wann läuft die Spulmaschine?", "notes/urlaub.md", "achtzehn Uhr"),
  q("定期券の上限", "notes/tokyo.txt", "二万円"),
  q("土曜日は開いていますか", "notes/tokyo.txt", "土曜日は休み"),
];

/** Path → bytes. */
export const corpus = (): Map<string, Uint8Array | string> => new Map(sources.map((source) => [source.name, file(source)]));

function file({ name, title, sections }: Source): Uint8Array | string {
  const ending = name.slice(name.lastIndexOf(".") + 1);
  switch (ending) {
    case "md":
      return [`# ${title}`, ...sections.map(([heading, text]) => `## ${heading}\n\n${text}`)].join("\n\n");
    case "txt":
      return [title, ...sections.map(([heading, text]) => `${heading}: ${text}`)].join("\n\n");
    case "html":
      return `<html><head><title>${title}</title></head><body><h1>${title}</h1>${sections.map(([heading, text]) => `<h2>${heading}</h2><p>${text}</p>`).join("")}</body></html>`;
    case "docx":
      return docx(title, [`# ${title}`, ...sections.flatMap(([heading, text]) => [`## ${heading}`, text])]);
    case "pptx":
      return pptx(
        title,
        sections.map(([heading, text]) => ({ title: heading, text: [text] })),
      );
    default:
      return pdf(
        title,
        sections.map(([heading, text]) => [
          { text: heading, size: 16 },
          ...(text.match(/.{1,80}(\s|$)/g) ?? []).map((line, index) => ({ text: line.trim(), gap: index === 0 ? 2 : 1 })),
        ]),
      );
  }
}
