/** What the tests' providers say. One of them has a bad day: the other takes over, calculates, wants to send a mail, and sums up. */
import { type ChatAnswer, chatError, chatScript } from "../../src/testing/fault-chat.ts";
import type { FaultHandler } from "../../src/testing/fault-server.ts";

/** `w0 w1 w2 …`: text of which any loss or repetition shows. */
export const counted = (words: number): string => Array.from({ length: words }, (_, at) => `w${at}`).join(" ");
export const slowly = (words: number): ChatAnswer => ({ text: counted(words), paceMs: 25 });

const mail = {
  to: ["finance@example.com", "board@example.com"],
  subject: "Third quarter, by region",
  body: "North 84,210.50\nSouth 61,233.25\nWest 40,020.00",
};

const summary = `The third quarter came to 185,463.75 in all.

North leads with 84,210.50, which is 45% of the total. South follows with 61,233.25, and West closes with 40,020.00.

Compared with the second quarter, North grew by a tenth while West stayed where it was. South is the surprise: two large orders that were expected in October were already booked in the last week of September, so the next quarter starts lower than it looks.

The mail with these figures has gone to finance and to the board.`;

/** `paceMs`: between two words of what is said at length. */
export function badDay({ paceMs = 0, usage = { input: 1_240, output: 96, cached: 512 } } = {}): FaultHandler {
  let northern = 0;
  return (request) => {
    if (request.path.startsWith("/north")) {
      northern++;
      if (northern === 1)
        return chatScript(request, { text: "The regional totals for the third quarter are", cut: { after: 6, by: "reset" } });
      return chatError(429, "slow down, please", { code: "rate_limit_exceeded" });
    }
    const { messages } = request.json() as { readonly messages: readonly { readonly role: string }[] };
    const results = messages.filter(({ role }) => role === "tool").length;
    if (results === 0) {
      const input = { expression: "84210.50 + 61233.25 + 40020" };
      return chatScript(request, { text: "I add up the regions first.", paceMs, tools: [{ name: "calculator", input }], usage });
    }
    if (results === 1) {
      return chatScript(request, { text: "Now I send the figures.", paceMs, tools: [{ name: "send_mail", input: mail }], usage });
    }
    return chatScript(request, { text: summary, paceMs, usage: { ...usage, output: 148 } });
  };
}
