/** What is said without a key, in place of models. Written down by hand: lengths as of real articles, quality of nobody. */
const outline = `1. Why loose leaf is worth the trouble
2. What you need: a pot, a scale, hot water
3. The three numbers: grams, degrees, minutes
4. What goes wrong, and how to tell by the taste
5. A first cup to try tonight`;

const draft = `Most of us learned to make tea from a bag on a string, and there is nothing wrong with that. But the leaves in a bag are the dust that is left when everything else has been sorted out, and dust gives up all it has in half a minute. Whole leaves take their time. They open slowly, they can be used two or three times, and they taste of the place that they come from.

You need very little. A pot or a large cup, a sieve, a kitchen scale that shows single grams, and water that has just boiled. A thermometer helps in the beginning. After a week you will hear from the kettle how hot the water is.

Then there are three numbers to remember: two grams of leaves for a cup, eighty degrees for green and ninety-five for black, and three minutes. Everything else is a matter of taste. If the cup is bitter, the water was too hot or the leaves stayed in too long. If it is thin, there were too few of them.

Try it tonight. Weigh the leaves, pour the water, set a clock to three minutes and do nothing else until it rings. It may be the quietest part of your day.`;

const edited = `Most of us learned to make tea from a bag. But the leaves in a bag are the dust that is left when the rest has been sorted out, and dust gives up all it has in half a minute. Whole leaves open slowly, can be used two or three times, and taste of the place that they come from.

You need little: a pot, a sieve, a scale that shows single grams, and hot water.

Three numbers are enough: two grams for a cup, eighty degrees for green and ninety-five for black, three minutes. If the cup is bitter, the water was too hot or the leaves stayed in too long. If it is thin, there were too few of them.

Try it tonight. Weigh the leaves, pour the water, and do nothing else for three minutes. It may be the quietest part of your day.`;

const fitted = edited.replace("Whole leaves open", "Loose leaf tea opens").replace("can be used two", "can be brewed two");

export const script = [
  { as: "you outline", say: outline },
  { as: "you write articles", say: draft },
  { as: "you edit", say: edited },
  { as: "you fit articles", use: { tool: "keyword_density", input: { text: edited, keyword: "loose leaf tea" } } },
  { as: "you fit articles", after: "keyword_density", say: fitted },
  { as: "you find a title", say: "Loose leaf tea: three numbers are enough" },
  // The naive design asks one strong model all of it, in one conversation.
  { as: "you do it all", when: "outline it", say: outline },
  { as: "you do it all", when: "write it", say: draft },
  { as: "you do it all", when: "edit it", say: edited },
  { as: "you do it all", when: "search word", say: fitted },
  { as: "you do it all", when: "title", say: "Loose leaf tea: three numbers are enough" },
];
