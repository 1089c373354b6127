/**
 * The words that the gate knows. Everything that is not in here is a word that must be the same on both sides, so what is missing
 * costs a hit and never makes a false one; what is added here must not change an answer.
 */

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

/** Say nothing. Tense and question are read before they are dropped. */
export const silent = words(`
  a an the of is are am be been being was were do does did have has had there its
  please kindly just actually really exactly so my mine
`);

/** Words of place and direction: their order says nothing that the other words do not, but they must be the same. */
export const soft = words("to for in on at with into onto about within during as");

/** Words of number and sign that the tokens are made of. */
export const operators: ReadonlyMap<string, string> = new Map([
  ["+", "plus"],
  ["*", "times"],
  ["×", "times"],
  ["÷", "divided"],
  ["/", "divided"],
]);

/** Who is meant. "My" says nothing: "my order" and "the order" are one. Where it is not "my" it is a word that matters. */
export const persons = words(`
  i me myself we us our ours ourselves you your yours yourself he him his himself she her hers herself it itself
  they them their theirs themselves
`);

/** Permission, advice, duty and will are different questions. */
export const modals: ReadonlyMap<string, string> = new Map(
  Object.entries({ can: "can could may", might: "might", should: "should ought", must: "must shall", will: "will would" }).flatMap(
    ([modal, all]) => [...words(all)].map((word) => [word, modal] as const),
  ),
);

export const negators = words(`
  not no never neither nor none nobody nothing nowhere without except excluding excluded unless non hardly barely cannot lacking lacks
`);

/** One line, one meaning, whatever the field. The first word stands for the others. */
const groups = `
  get obtain receive acquire
  buy purchase
  delete remove erase
  change update modify edit
  begin start commence
  end finish
  quit exit
  enable activate turn-on switch-on
  disable deactivate turn-off switch-off
  login log-in sign-in
  logout log-out sign-out
  register sign-up
  picture photo photograph
  movie film
  company firm
  car automobile
  phone telephone
  bicycle bike
  email e-mail
  invoice bill
  merge combine
  calculate compute
  reverse invert
  contact reach
  support customer-support customer-service
  hour business-hour opening-hour
  summary summarise summarize
  each every per
  large big
  small little
  quick fast
  difference differ
  allowed permitted
  shipping delivery
  ship deliver
  contain include
  kilometre kilometer km
  metre meter m
  centimetre centimeter cm
  millimetre millimeter mm
  mile mi
  foot feet ft
  litre liter l
  millilitre milliliter ml
  kilogram kilogramme kilo kg
  gram gramme g
  milligram milligramme mg
  microgram mcg
  pound lb
  ounce oz
  minute min
  hour hr
  percent pct
  dollar usd
  euro eur
  yen jpy
  gigabyte gb
  megabyte mb
  kilobyte kb
  terabyte tb
  celsius centigrade
  kmh kph
  javascript js
  typescript ts
  postgresql postgres
  person people
  child children
  man men
  woman women
  usa united-states
  uk united-kingdom
  eu european-union
`;

/** Two words that are one: joined before they are looked up. */
export const compounds: ReadonlyMap<string, string> = new Map(
  groups
    .split(/\s+/)
    .filter((word) => word.includes("-"))
    .map((word) => [word.replace("-", " "), word]),
);

export const synonyms: ReadonlyMap<string, string> = new Map(
  groups
    .trim()
    .split("\n")
    .flatMap((line) => {
      const [first = "", ...others] = line.trim().split(/\s+/);
      return others.map((word) => [word, first] as const);
    }),
);

const tens = { twenty: 20, thirty: 30, forty: 40, fifty: 50, sixty: 60, seventy: 70, eighty: 80, ninety: 90 };
const small =
  "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen";
export const numberWords: ReadonlyMap<string, number> = new Map([
  ...small.split(" ").map((word, value) => [word, value] as const),
  ...Object.entries(tens),
  ["dozen", 12],
]);
export const scales: ReadonlyMap<string, number> = new Map([
  ["hundred", 100],
  ["thousand", 1_000],
  ["million", 1_000_000],
  ["billion", 1_000_000_000],
]);
const nth = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth";
export const ordinals: ReadonlyMap<string, number> = new Map(nth.split(" ").map((word, index) => [word, index + 1]));
