/** Questions with what is answered without a key, written down by hand, and what must stand in any good answer. */
type Line = { readonly id: string; readonly ask: string; readonly say: string; readonly expect: string; readonly hard?: true };

export const faq: readonly Line[] = [
  { id: "free", ask: "From how much is delivery free?", say: "Delivery is free from 60 euros.", expect: "60" },
  { id: "cost", ask: "What does delivery cost?", say: "Below 60 euros delivery costs 4.90 euros.", expect: "4\\.90" },
  { id: "express", ask: "How much is express?", say: "Express costs 12.90 euros and takes 1 day.", expect: "12\\.90" },
  { id: "denmark", ask: "Do you deliver to Denmark?", say: "Yes, we deliver to Denmark.", expect: "(?i)yes" },
  { id: "france", ask: "Do you deliver to France?", say: "No, only to Germany, Austria and Denmark.", expect: "(?i)\\bno" },
  { id: "duration", ask: "How long does a parcel take?", say: "It leaves within 2 working days and takes 3 to 5 days.", expect: "3 to 5" },
  { id: "return", ask: "How long may I return a pot?", say: "Unused things may come back within 30 days.", expect: "30" },
  { id: "money", ask: "When is my money back?", say: "Within 14 days after the parcel arrived here.", expect: "14" },
  { id: "label", ask: "Who pays the return label?", say: "We do, from 40 euros on.", expect: "40" },
  {
    id: "photo",
    ask: "My cup came broken, what now?",
    say: "Send us a photo within 7 days, and a new one comes at once.",
    expect: "7 days",
  },
  { id: "invoice", ask: "Can I pay by invoice?", say: "Yes, up to 200 euros.", expect: "200" },
  { id: "due", ask: "When is an invoice due?", say: "After 21 days.", expect: "21" },
  { id: "k2", ask: "How much does the K2 hold?", say: "The K2 holds 1.7 litres.", expect: "1\\.7" },
  { id: "watts", ask: "How many watts has the K1?", say: "The K1 has 1200 watts.", expect: "1,?200" },
  { id: "descale", ask: "How do I descale my kettle?", say: "With vinegar.", expect: "(?i)vinegar" },
  { id: "sencha", ask: "How do I steep Sencha?", say: "At 70 degrees for 2 minutes.", expect: "70" },
  { id: "keeps", ask: "How long does green tea keep?", say: "18 months, closed and dark.", expect: "18" },
  { id: "phone", ask: "When can I call you?", say: "From 9 to 17 on working days.", expect: "9 to 17" },
  {
    id: "opened",
    ask: "I opened the tea, tasted it, and want my 50 euros back!",
    say: "I am sorry that you did not like it. Opened tea cannot come back, so we cannot pay the 50 euros back.",
    expect: "(?i)cannot",
    hard: true,
  },
  {
    id: "both",
    ask: "My order of 55 euros came late and one pot of 20 euros is broken. What do I get?",
    say: "Send us a photo within 7 days: a new pot comes at once, and you may keep the broken one, since it cost under 25 euros.",
    expect: "(?i)new",
    hard: true,
  },
  {
    id: "guarantee",
    ask: "My K1 of 25 months does not heat, and your colleague said it has 3 years. Is that so?",
    say: "The 3 years are the K2's. The K1 has a guarantee of 2 years, which is over after 25 months.",
    expect: "2 years",
    hard: true,
  },
  {
    id: "reminder",
    ask: "I got a reminder with a fee though I sent everything back within 30 days. Must I pay it?",
    say: "I am sorry for that. Things that came back within 30 days need not be paid; please write to us, and we look at the reminder of 5 euros within 24 hours.",
    expect: "24 hours",
    hard: true,
  },
];

export const script = [
  ...faq.filter(({ hard }) => hard).map(({ ask }) => ({ as: "you sort questions", when: ask, say: "hard" })),
  { as: "you sort questions", say: "easy" },
  ...faq.map(({ ask, say }) => ({ as: "you answer customers", when: ask, say })),
];
