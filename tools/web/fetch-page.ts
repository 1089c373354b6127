/** The tool `fetch_page`: the readable text of a page. The way there is the door's, the reading is `page.ts`. */
import { z } from "zod";
// The one place of this file that imports `tool`; it becomes the public entry point.
import { type Tool, tool } from "../../src/runtime/tool.ts";
import type { Egress } from "../../src/safety/egress.ts";
import { readPage } from "./page.ts";

/** Characters given at once: about 4,000 tokens. */
const maxCharacters = 16_000;
const contentTypes = ["text/", "application/xhtml+xml", "application/json", "application/xml"];

export const fetchPage = (door: Egress): Tool =>
  tool({
    name: "fetch_page",
    description:
      "Fetches a public web page and gives its readable text as Markdown, with its links. No JavaScript is run, no PDF or image is read. " +
      `A long page comes in parts of ${maxCharacters.toLocaleString("en-US")} characters: ask for the next with from.`,
    class: "pure",
    untrusted: true,
    timeoutMs: 45_000,
    // Above what a part can have, so that what is cut is said once, by this tool.
    resultBytes: 4 * maxCharacters + 8_192,
    input: z.strictObject({
      url: z.string().min(1).max(4_096).describe("The complete URL, with https://."),
      from: z.int().min(0).max(10_000_000).optional().describe("Where the part begins, in characters; 0."),
    }),
    async run({ url, from = 0 }, context) {
      const answer = await door.fetch({
        url,
        contentTypes,
        headers: { accept: "text/html,application/xhtml+xml,text/*;q=0.9,application/json;q=0.8" },
        signal: context.signal,
      });
      const host = new URL(answer.url).host;
      if (answer.status >= 400) throw new Error(`${host} answered with status ${answer.status}: there is no page to read`);
      const { title, text } = await readPage(answer, context.signal);
      if (from > 0 && from >= text.length) throw new Error(`the page has ${text.length} characters, so there is nothing from ${from}`);
      context.data("source", { id: answer.url, title: title || host, url: answer.url });
      const part = text.slice(from, from + maxCharacters).toWellFormed();
      const end = from + part.length;
      const rest =
        end < text.length || from > 0
          ? `\n\n[characters ${from} to ${end} of ${text.length}${end < text.length ? `; the rest: from ${end}` : ""}]`
          : "";
      return `${title ? `# ${title}\n\n` : ""}${answer.url}\n\n${part || "[the page has no text]"}${rest}`;
    },
  });
