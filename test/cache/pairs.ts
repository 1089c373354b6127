/**
 * Pairs of questions, in several domains: the ones that one answer serves (`paraphrase`), and the ones that look alike and need
 * another answer, by what was changed. The semantic cache is tuned on one half and judged on the other: see {@link half}.
 */

export const kinds = [
  "paraphrase",
  "opposite",
  "number",
  "name",
  "unit",
  "order",
  "negation",
  "scope",
  "question",
  "time",
  "person",
  "comparison",
] as const;
export type Kind = (typeof kinds)[number];
export type Pair = { readonly kind: Kind; readonly a: string; readonly b: string };

/** Every second pair of a kind is held out: nothing was changed in the product because of it. */
export const half = (pairs: readonly Pair[], which: "tuned" | "held out"): Pair[] => {
  const seen = new Map<Kind, number>();
  return pairs.filter(({ kind }) => {
    const index = seen.get(kind) ?? 0;
    seen.set(kind, index + 1);
    return (index % 2 === 0) === (which === "tuned");
  });
};

const of = (kind: Kind, text: string): Pair[] =>
  text
    .trim()
    .split("\n")
    .map((line) => {
      const [a = "", b = ""] = line.split(" | ").map((part) => part.trim());
      return { kind, a, b };
    });

export const pairs: readonly Pair[] = [
  ...of(
    "paraphrase",
    `
How do I reset my password? | How can I reset my password?
How do I reset my password? | What is the way to reset my password?
I forgot my password, how do I get a new one? | How do I get a new password if I forgot mine?
How do I change my email address? | How can I update my e-mail address?
Where can I find my invoices? | Where do I find my invoices?
How do I cancel my subscription? | What do I need to do to cancel my subscription?
How do I cancel my subscription? | Please tell me how to cancel my subscription.
What is your refund policy? | Could you tell me what your refund policy is?
How long does shipping take? | How long does delivery take?
Do you ship to Canada? | Do you deliver to Canada?
How do I track my order? | How can I track my order?
What payment methods do you accept? | Which payment methods do you accept?
Can I pay with PayPal? | Is it possible to pay with PayPal?
How do I delete my account? | How can I remove my account?
How do I download my data? | What's the way to download my data?
What is the capital of France? | What's France's capital?
What is the capital of France? | Tell me the capital of France
What is the population of Japan? | How many people live in Japan?
Who wrote Hamlet? | Who is the author of Hamlet?
Who painted the Mona Lisa? | Who was the painter of the Mona Lisa?
When did World War II end? | When did the Second World War end?
When was the Eiffel Tower built? | In which year was the Eiffel Tower built?
How tall is Mount Everest? | What is the height of Mount Everest?
What is the largest planet in the solar system? | Which planet is the largest in the solar system?
What is the boiling point of water? | At what temperature does water boil?
How many bones are in the human body? | How many bones does the human body have?
What is photosynthesis? | Explain photosynthesis
What is photosynthesis? | Can you explain what photosynthesis is?
What causes rain? | Why does it rain?
Why is the sky blue? | What makes the sky blue?
Convert 5 miles to kilometers | How many kilometers are 5 miles?
Convert 5 miles to kilometers | Please convert 5 miles to kilometres.
What is 20% of 150? | What is 20 percent of 150?
What is 12 times 7? | What's twelve times seven?
What is the square root of 144? | Calculate the square root of 144
How many ounces are in a pound? | How many ounces does a pound have?
How many days are in a leap year? | How many days does a leap year have?
How do I reverse a list in Python? | How can I reverse a list in Python?
How do I reverse a list in Python? | What's the best way to reverse a list in Python?
How do I install Node.js on Ubuntu? | How to install Node.js on Ubuntu?
What is a closure in JavaScript? | Explain closures in JavaScript
What does the git rebase command do? | What does git rebase do?
How do I undo the last commit in git? | How can I undo my last git commit?
How do I exit vim? | How can I quit vim?
How do I read a file line by line in Go? | In Go, how do I read a file line by line?
What is the difference between TCP and UDP? | What's the difference between TCP and UDP?
What is the difference between a process and a thread? | How does a process differ from a thread?
How do I create an index in PostgreSQL? | How do you create an index in PostgreSQL?
What is the default port of Redis? | Which port does Redis use by default?
How do I enable two-factor authentication? | How can I turn on two-factor authentication?
How do I set up two-factor authentication? | How to set up 2-factor authentication?
What are the symptoms of diabetes? | Which symptoms does diabetes have?
What are the side effects of ibuprofen? | Which side effects does ibuprofen have?
How much water should I drink per day? | How much water should I drink every day?
Is it safe to take aspirin during pregnancy? | Can I take aspirin while pregnant?
How do I treat a sunburn? | What is the best treatment for a sunburn?
What is a normal blood pressure? | What's considered normal blood pressure?
How long does a cold last? | How long does a common cold last?
What is compound interest? | How does compound interest work?
What is compound interest? | Could you please explain compound interest?
How do I open a savings account? | What do I need to open a savings account?
What is the current VAT rate in Germany? | How high is the VAT in Germany?
How do I file my tax return online? | How can I submit my tax return online?
What documents do I need for a mortgage? | Which documents are needed for a mortgage?
How do I cook rice? | What's the way to cook rice?
How long should I boil eggs? | For how long should I boil eggs?
How long do I boil an egg? | How long do you boil an egg?
What can I use instead of butter? | What is a substitute for butter?
How do I make pancakes without eggs? | How can I make pancakes without eggs?
What are your opening hours? | What are your business hours?
When do you open on Saturday? | What time do you open on Saturday?
What time does the museum close? | When does the museum close?
Is the library open on Sundays? | Is the library open on Sunday?
How do I get to the airport? | What's the best way to get to the airport?
Can I bring my dog? | Are dogs allowed?
Can I bring a laptop on the plane? | May I take a laptop on the plane?
How early should I arrive at the airport? | How early do I need to be at the airport?
Do I need a visa for Brazil? | Is a visa required for Brazil?
What currency is used in Switzerland? | Which currency does Switzerland use?
What is the cheapest flight from Berlin to Madrid? | Which flight from Berlin to Madrid is cheapest?
How do I contact customer support? | How can I contact customer service?
How do I contact support? | How can I reach support?
Where is my order? | What is the status of my order?
My order has not arrived | My order hasn't arrived yet
The app crashes when I open it | The app crashes on opening
Why is my laptop so slow? | Why is my laptop running slowly?
How do I clear the browser cache? | How can I clear my browser's cache?
How do I take a screenshot on a Mac? | How to take a screenshot on Mac?
How do I connect to the office VPN? | How can I connect to the office VPN?
What does HTTP status 404 mean? | What is the meaning of HTTP status 404?
What does error 404 mean? | What is error 404?
How do I merge two PDF files? | How can I combine two PDF files?
Thanks, and how do I export the report? | How do I export the report?
Hi! Where can I download the app? | Where can I download the app?
I would like to know how to renew my passport | How do I renew my passport?
Summarize the plot of Romeo and Juliet | Give me a summary of the plot of Romeo and Juliet
Translate "good morning" into Spanish | How do you say "good morning" in Spanish?
List the planets of the solar system | What are the planets of the solar system?
Which vitamins are in carrots? | What vitamins do carrots contain?
Who is the CEO of the company? | Who is the company's CEO?
`,
  ),
  ...of(
    "opposite",
    `
How do I enable two-factor authentication? | How do I disable two-factor authentication?
How do I turn on notifications? | How do I turn off notifications?
How do I lock my account? | How do I unlock my account?
Is the store open on Sunday? | Is the store closed on Sunday?
How do I increase the font size? | How do I decrease the font size?
Should I buy Apple shares? | Should I sell Apple shares?
How do I upload a file? | How do I download a file?
How do I log in? | How do I log out?
How do I install the driver? | How do I uninstall the driver?
What is the maximum value? | What is the minimum value?
What is the highest mountain in Europe? | What is the lowest mountain in Europe?
How do I subscribe to the newsletter? | How do I unsubscribe from the newsletter?
What are the advantages of nuclear power? | What are the disadvantages of nuclear power?
Turn left at the station? | Turn right at the station?
How do I encrypt a file? | How do I decrypt a file?
How do I mute a conversation? | How do I unmute a conversation?
Is it legal to ride without a helmet? | Is it illegal to ride without a helmet?
How do I freeze my credit card? | How do I unfreeze my credit card?
What should I eat before a run? | What should I eat after a run?
How do I accept an invitation? | How do I decline an invitation?
What is the first day of the month? | What is the last day of the month?
How do I compress a folder? | How do I decompress a folder?
Why did the share price rise? | Why did the share price fall?
What happens if blood sugar is too high? | What happens if blood sugar is too low?
How do I add a user to the group? | How do I remove a user from the group?
How do I push my branch? | How do I pull my branch?
How do I gain weight? | How do I lose weight?
How do I show hidden files? | How do I hide files?
Who won the match? | Who lost the match?
What is the best hotel in Rome? | What is the worst hotel in Rome?
`,
  ),
  ...of(
    "number",
    `
Convert 5 miles to kilometers | Convert 6 miles to kilometers
What is 20% of 150? | What is 25% of 150?
What does HTTP status 404 mean? | What does HTTP status 403 mean?
How do I install Python 3.11? | How do I install Python 3.12?
What is new in version 2.10? | What is new in version 2.1?
What happened in 1989? | What happened in 1998?
How do I cook rice for two people? | How do I cook rice for four people?
What is twelve times seven? | What is twelve times eight?
What is the square root of 144? | What is the square root of 169?
Can I return an item within 30 days? | Can I return an item within 60 days?
Is 15 a prime number? | Is 17 a prime number?
What is the weather on 3 May? | What is the weather on 4 May?
Who was the first president of the United States? | Who was the third president of the United States?
How much is half of 90? | How much is a third of 90?
What is 1,000 dollars in euros? | What is 10,000 dollars in euros?
What is 2 + 3? | What is 2 - 3?
What is 6 x 7? | What is 6 / 7?
What is 2 to the power of 10? | What is 10 to the power of 2?
How long does it take to boil 2 eggs? | How long does it take to boil a dozen eggs?
When does chapter II begin? | When does chapter III begin?
What is ten minus four? | What is ten plus four?
Is Windows 10 still supported? | Is Windows 11 still supported?
What is -5 plus 3? | What is 5 plus 3?
What is 0.5 mg in micrograms? | What is 5 mg in micrograms?
Remind me at 7 am | Remind me at 7 pm
What is two hundred and five minus one? | What is two hundred and fifty minus one?
`,
  ),
  ...of(
    "name",
    `
What is the capital of France? | What is the capital of Spain?
Who wrote Hamlet? | Who wrote Macbeth?
How do I reverse a list in Python? | How do I reverse a list in Ruby?
What is the population of Japan? | What is the population of Korea?
How do I install Node.js on Ubuntu? | How do I install Node.js on Fedora?
How old is Tom Hanks? | How old is Tom Cruise?
What is the phone number of John Smith? | What is the phone number of Jane Smith?
Do you ship to Canada? | Do you ship to Mexico?
What are the side effects of ibuprofen? | What are the side effects of paracetamol?
What are the symptoms of diabetes? | What are the symptoms of dementia?
When does the museum close on Monday? | When does the museum close on Tuesday?
What is the weather like in March? | What is the weather like in May?
How do I create an index in PostgreSQL? | How do I create an index in MySQL?
What is the default port of Redis? | What is the default port of MongoDB?
Who is the CEO of Microsoft? | Who is the CEO of Google?
How do I say thank you in Spanish? | How do I say thank you in Portuguese?
Can I pay with Visa? | Can I pay with Mastercard?
How far is Mars from the Sun? | How far is Venus from the Sun?
What is the recipe for apple pie? | What is the recipe for cherry pie?
Can dogs eat grapes? | Can dogs eat apples?
How do I contact Anna in sales? | How do I contact Peter in sales?
What is a closure in JavaScript? | What is a closure in Java?
Is aspirin safe for children? | Is aspirin safe for cats?
How do I delete a branch in git? | How do I delete a tag in git?
What is the difference between TCP and UDP? | What is the difference between TCP and IP?
How do I clear the browser cache in Chrome? | How do I clear the browser cache in Firefox?
`,
  ),
  ...of(
    "unit",
    `
How many kilometers are 5 miles? | How many meters are 5 miles?
What is 70 kg in pounds? | What is 70 kg in ounces?
How hot is 100 degrees Celsius? | How hot is 100 degrees Fahrenheit?
How much is 100 dollars in euros? | How much is 100 dollars in yen?
How much is 100 euros in dollars? | How much is 100 pounds in dollars?
What is 3 hours in minutes? | What is 3 hours in seconds?
Can I return it within 2 weeks? | Can I return it within 2 months?
Is 500 mg of paracetamol too much? | Is 500 g of paracetamol too much?
How much is 5 GB of data? | How much is 5 MB of data?
How long is 6 feet in cm? | How long is 6 inches in cm?
What is 10 ml of syrup in teaspoons? | What is 10 l of syrup in teaspoons?
What is 50 km/h in mph? | What is 50 m/s in mph?
`,
  ),
  ...of(
    "order",
    `
Convert dollars to euros | Convert euros to dollars
How do I get from London to Paris? | How do I get from Paris to London?
Is Python faster than Java? | Is Java faster than Python?
How do I migrate from MySQL to PostgreSQL? | How do I migrate from PostgreSQL to MySQL?
Translate this word from English to German | Translate this word from German to English
Does the dog chase the cat? | Does the cat chase the dog?
Did Germany beat Brazil? | Did Brazil beat Germany?
Do I take the pill before the meal or the meal before the pill? | Do I take the meal before the pill or the pill before the meal?
How do I copy a file from the server to my laptop? | How do I copy a file from my laptop to the server?
What is 10 minus 4? | What is 4 minus 10?
Is Alice taller than Bob? | Is Bob taller than Alice?
Does the landlord owe the tenant money? | Does the tenant owe the landlord money?
How do I convert PDF to Word? | How do I convert Word to PDF?
Can a father sue his son? | Can a son sue his father?
Should I apply primer over paint? | Should I apply paint over primer?
Does smoking cause stress? | Does stress cause smoking?
`,
  ),
  ...of(
    "negation",
    `
Which foods are healthy? | Which foods are not healthy?
Can I take ibuprofen with alcohol? | Can I take ibuprofen without alcohol?
Why does my code compile? | Why doesn't my code compile?
What should I do in an interview? | What should I never do in an interview?
Which countries are in the EU? | Which countries are not in the EU?
Show me all invoices | Show me all invoices except paid ones
Is it possible to cancel? | Is it impossible to cancel?
Are these berries edible? | Are these berries inedible?
Is the contract valid? | Is the contract invalid?
Which numbers are even? | Which numbers are uneven?
What should I pack? | What should I not pack?
How do I make pancakes with eggs? | How do I make pancakes without eggs?
Why is he happy? | Why is he unhappy?
Does the plan include roaming? | Does the plan exclude roaming?
Which users have logged in? | Which users haven't logged in?
Who can vote? | Who cannot vote?
Is alcohol allowed? | Is alcohol no longer allowed?
Is the meeting mandatory? | Is the meeting optional?
List files that are tracked | List files that are untracked
Which of them is a vegetarian dish? | Which of them is a non-vegetarian dish?
`,
  ),
  ...of(
    "scope",
    `
What is the capital of Australia? | What is the largest city of Australia?
How do I delete a file? | How do I delete all files?
What are the side effects of ibuprofen? | What are the rare side effects of ibuprofen?
How many employees does the company have? | How many employees does the company have in Europe?
What is the price of the basic plan? | What is the price of the business plan?
How do I delete my account? | How do I delete my account picture?
Who won the election? | Who won the local election?
How many people live in New York? | How many people live in New York State?
What is the tax on income? | What is the tax on foreign income?
Show me my orders | Show me my open orders
How tall is the tower? | How tall is the tower with its antenna?
How do I restart the server? | How do I restart the server in safe mode?
Is the park open? | Is the park open at night?
What is the speed limit in Germany? | What is the speed limit in towns in Germany?
Can children enter? | Can children enter alone?
How do I read a file in Go? | How do I read a large file in Go?
How many calories are in an apple? | How many calories are in an apple pie?
Do some birds migrate? | Do all birds migrate?
What is the average salary of a teacher? | What is the starting salary of a teacher?
How much does a ticket cost? | How much does a return ticket cost?
`,
  ),
  ...of(
    "question",
    `
When did Mozart die? | Where did Mozart die?
Who invented the telephone? | When was the telephone invented?
How do I reset my password? | Why do I reset my password?
How much does it cost? | How long does it take?
How many floors does the tower have? | How high is the tower?
Can I cancel my order? | How do I cancel my order?
When does the shop open? | Where does the shop open?
What is a mortgage? | Who needs a mortgage?
Why did the server crash? | When did the server crash?
How often should I water the plant? | How much should I water the plant?
Who is the president? | What is the president?
How far is the airport? | How big is the airport?
Is it raining in Berlin? | Why is it raining in Berlin?
Where do I find my invoices? | When do I find my invoices?
`,
  ),
  ...of(
    "time",
    `
Who is the president of France? | Who was the president of France?
What is the weather today? | What is the weather tomorrow?
Did the shop open today? | Does the shop open today?
What happened last week? | What happens next week?
Who is the champion this year? | Who was the champion last year?
Will it rain this morning? | Will it rain this evening?
What did the pope say yesterday? | What did the pope say today?
Is the service down? | Was the service down?
How did the euro do in the last month? | How will the euro do in the next month?
Since when is the road closed? | Until when is the road closed?
`,
  ),
  ...of(
    "person",
    `
What is my name? | What is your name?
Can you call me? | Can I call you?
How do I see my salary? | How do I see her salary?
What did he tell her? | What did she tell him?
Where is my order? | Where is your order?
Do I owe them money? | Do they owe me money?
Does my wife need a visa? | Does my husband need a visa?
Is our account safe? | Is their account safe?
`,
  ),
  ...of(
    "comparison",
    `
Which phone is cheaper? | Which phone is more expensive?
Who is older, Anna or Ben? | Who is younger, Anna or Ben?
Is more sleep healthy? | Is less sleep healthy?
Which city has the most inhabitants? | Which city has the fewest inhabitants?
Is it better to rent? | Is it worse to rent?
What is a large city? | What is the largest city?
Which laptop is lighter? | Which laptop is heavier?
Is a fast car safe? | Is a faster car safe?
Can I save at least 100 euros? | Can I save at most 100 euros?
Is it warmer in Rome than in Athens? | Is it colder in Rome than in Athens?
`,
  ),
];
