/**
 * Finds the arithmetic in a question: "What is 12.5% of 8460?" asks for `12.5 / 100 * 8460`.
 * Words in, expression out; the calculator does the rest. Dates, versions, ranges and telephone numbers are no arithmetic.
 */

/** `subject` is how the question calls it, for the answer. */
export type Arithmetic = { readonly expression: string; readonly subject: string };

export function findArithmetic(question: string): Arithmetic | undefined {
  const asked = question.trim();
  // A question of several parts has its arithmetic in one of them.
  const parts = asked.split(
    /[?;\n]+|\.(?!\d)|,?\s+(?:and|then|also)\s+(?=(?:what|how|calculate|compute|evaluate|work out|tell|add|subtract|multiply|divide)\b)/i,
  );
  for (const part of parts) {
    const found = inPart(part.trim());
    if (found) return found;
  }
  return undefined;
}

const opening =
  /^(?:(?:hi|hello|hey|please|so|ok(?:ay)?|and|then|also|now|tell me|can you|could you|would you|i need|i want to know)\b[\s,:!]*)*(what\s+is|what['’]?s|what\s+are|what\s+does|how\s+much\s+is|how\s+much\s+are|how\s+many\s+is|how\s+much|calculate|compute|evaluate|work\s+out|solve|find|give\s+me)?(?:\s+the\s+(?:value|result|answer)\s+(?:of|to))?\b\s*:?\s*/i;
const closing = /\s*(?:=\s*\??|\bequals?\b|\bequal\s+to\b|\bmake\b|\bgive\b|\bplease\b|\bfor\s+me\b|[.!?…\s])*$/i;

function inPart(part: string): Arithmetic | undefined {
  const cue = opening.exec(part);
  const subject = part
    .slice(cue?.[0].length ?? 0)
    .replace(/(\d)!$/, "$1\u0000")
    .replace(closing, "")
    .replace("\u0000", "!")
    .trim();
  if (subject === "") return undefined;
  const whole = asExpression(subject);
  if (whole) return { expression: whole, subject };
  // Not all of it is arithmetic: with a word that asks for it, the longest stretch that is.
  if (!cue?.[1] && !/\b(what|how much|calculate|compute|evaluate|work out|result)\b/i.test(part)) return undefined;
  const words = subject.split(/\s+/);
  for (let length = words.length - 1; length >= 1; length--)
    for (let from = 0; from + length <= words.length; from++) {
      const piece = words
        .slice(from, from + length)
        .join(" ")
        .replace(/[,:]$/, "");
      const expression = asExpression(piece);
      if (expression) return { expression, subject: piece };
    }
  return undefined;
}

/** Phrases in the order in which they are replaced; numbers are digits by then. */
const phrases: readonly (readonly [RegExp, string])[] = [
  [/\b(?:the\s+)?(?:sum|total)\s+of\s+(.+?)\s+and\s+(.+)$/, "($1) + ($2)"],
  [/\b(?:the\s+)?product\s+of\s+(.+?)\s+and\s+(.+)$/, "($1) * ($2)"],
  [/\b(?:the\s+)?difference\s+(?:between|of)\s+(.+?)\s+and\s+(.+)$/, "($1) - ($2)"],
  [/\b(?:the\s+)?(?:quotient|ratio)\s+of\s+(.+?)\s+(?:and|to)\s+(.+)$/, "($1) / ($2)"],
  [/\b(?:the\s+)?(?:average|mean)\s+of\s+(.+)$/, "mean($1)"],
  [/^add\s+(.+?)\s+(?:and|to)\s+(.+)$/, "($1) + ($2)"],
  [/^subtract\s+(.+?)\s+from\s+(.+)$/, "($2) - ($1)"],
  [/^multiply\s+(.+?)\s+(?:by|with|and)\s+(.+)$/, "($1) * ($2)"],
  [/^divide\s+(.+?)\s+by\s+(.+)$/, "($1) / ($2)"],
  [/(\d(?:[\d.]*\d)?)\s*(?:%|percent|per\s+cent)\s+of\s+/g, "$1 / 100 * "],
  [/\bhalf\s+of\s+/g, "1 / 2 * "],
  [/\b(?:a|one)\s+third\s+of\s+/g, "1 / 3 * "],
  [/\b(?:a|one)\s+quarter\s+of\s+/g, "1 / 4 * "],
  [/\b(?:the\s+)?square\s+root\s+of\s+(-?[\d.]+|\([^()]*\))/g, "sqrt($1)"],
  [/√\s*(-?[\d.]+|\([^()]*\))/g, "sqrt($1)"],
  [/\b(?:the\s+)?(?:cube|cubic|third)\s+root\s+of\s+(-?[\d.]+|\([^()]*\))/g, "cbrt($1)"],
  [/\bfactorial\s+of\s+(\d+)/g, "$1!"],
  [/(\d)\s+factorial\b/g, "$1!"],
  [/\bsquared\b|²/g, " ^ 2"],
  [/\bcubed\b|³/g, " ^ 3"],
  [/\b(?:raised\s+)?to\s+the\s+(?:power\s+(?:of\s+)?)?(?=-?\d)/g, " ^ "],
  [/(\^\s*-?\d+)\s*(?:st|nd|rd|th)(?:\s+power)?\b/g, "$1"],
  [/\b(?:times|multiplied\s+by)\b|[×·]/g, " * "],
  [/(?<=[\d)]\s*)x(?=\s*[\d(])/g, " * "],
  [/\bdivided\s+by\b|\bover\b|÷/g, " / "],
  [/\bplus\b|\badded\s+to\b/g, " + "],
  [/\b(?:minus|less)\b|[−–]/g, " - "],
  [/\b(?:mod|modulo)\b/g, " % "],
  [/\*\*/g, "^"],
];

function asExpression(words: string): string | undefined {
  if (/\d{4}-\d{1,2}-\d{1,2}|\d+\/\d+\/\d+|\d+(?:\.\d+){2,}|\d{3}-\d{4}\b|\d{1,2}:\d\d|^24\s?\/\s?7$/.test(words)) return undefined;
  let text = spelled(words.toLowerCase())
    .replace(/(?<=\d),(?=\d{3}(?!\d))/g, "")
    .replace(/(?<![a-z])[$€£]\s*(?=\d)/g, "");
  for (const [phrase, written] of phrases) text = text.replace(phrase, written);
  text = text.replace(/\bmean\(([^()]*)\)/g, (_, list: string) => `mean(${list.replace(/,?\s+and\s+/g, ", ")})`);
  text = text.replace(/\s+/g, " ").trim();
  // Numbers in the parentheses that phrases put around them need none.
  text = text.replace(/(^|[^a-z])\((-?[\d.]+)\)/g, "$1$2");
  const isArithmetic = /^(?:\d+(?:\.\d+)?|\.\d+|[-+*/^%()!,]|\bsqrt\b|\bcbrt\b|\bmean\b|\babs\b|\blog10\b|\bpi\b|\s)+$/.test(text);
  const hasOperation = /[\d)!.]\s*[-+*/^%]\s*[-(\d.a-z]|\d!|\b(?:sqrt|cbrt|mean|abs|log10)\(/.test(text);
  return isArithmetic && hasOperation && /\d/.test(text) && isBalanced(text) && !/[-+*/^%,]$/.test(text) ? text : undefined;
}

function isBalanced(text: string): boolean {
  let open = 0;
  for (const char of text) {
    if (char === "(") open++;
    else if (char === ")" && --open < 0) return false;
  }
  return open === 0;
}

const units =
  "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(
    " ",
  );
const tens = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const scales: { readonly [word: string]: number } = { thousand: 1_000, million: 1_000_000, billion: 1_000_000_000 };
const numberWord = `(?:${[...units, ...tens.slice(2), "hundred", ...Object.keys(scales)].join("|")})`;
const numberWords = new RegExp(`\\b${numberWord}(?:(?:\\s+|-|\\s+and\\s+)${numberWord})*\\b`, "g");

/** "seventeen times twenty-three" → "17 times 23". "One third of" and "one quarter of" are fractions and stay. */
function spelled(text: string): string {
  return text.replace(numberWords, (words, at: number) => {
    if (/^\s+(third|quarter)\b/.test(text.slice(at + words.length))) return words;
    let total = 0;
    let current = 0;
    for (const word of words.split(/[\s-]+/)) {
      const unit = units.indexOf(word);
      const ten = tens.indexOf(word);
      if (unit !== -1) current += unit;
      else if (ten > 1) current += ten * 10;
      else if (word === "hundred") current = (current || 1) * 100;
      else if (scales[word] !== undefined) {
        total += (current || 1) * scales[word];
        current = 0;
      }
    }
    return String(total + current);
  });
}
