/**
 * The tool `web_search`: asks the search endpoint that was configured. Owns how an answer of any shape becomes results.
 * The endpoint is the operator's, so its own host is let through; what it answers is not: size, time and redirects are the door's.
 */
import { z } from "zod";
import { EscapementError } from "../../src/protocol/errors.ts";
// The one place of this file that imports `tool`; it becomes the public entry point.
import { type Tool, tool } from "../../src/runtime/tool.ts";
import { egress } from "../../src/safety/egress.ts";

export type SearchEndpoint =
  /** The address of a SearXNG whose `search.formats` has `json`. */
  | { readonly searxng: string }
  | {
      /** With `{query}` in it, and `{count}` where the endpoint takes one: `https://api.search.example/v1?q={query}&n={count}`. */
      readonly url: string;
      readonly headers?: { readonly [name: string]: string };
      /** Where in its JSON they are: a path to the list (`web.results`; empty: the answer is the list), and of each result. */
      readonly mapping: { readonly results: string; readonly title: string; readonly url: string; readonly text?: string };
    };

const maxResults = 10;
const maxText = 500;

export function webSearch(endpoint: SearchEndpoint): Tool {
  const { url, headers = {}, mapping } = "searxng" in endpoint ? searxng(endpoint.searxng) : endpoint;
  const target = URL.parse(url.replaceAll("{query}", "q").replaceAll("{count}", "1"));
  if (!target || !/^https?:$/.test(target.protocol) || !url.includes("{query}")) {
    throw new EscapementError(
      "invalid_request",
      "the search endpoint of web is a URL that begins with https:// or http://, with {query} where the query belongs",
      { details: { path: "tools.web.search" } },
    );
  }
  const port = target.port || (target.protocol === "https:" ? "443" : "80");
  const door = egress({ allow: [`${target.hostname}:${port}`] });
  return tool({
    name: "web_search",
    description:
      "Searches the web and gives titles, URLs and short texts of what was found. Read a page with fetch_page before you rely on it.",
    class: "pure",
    untrusted: true,
    timeoutMs: 30_000,
    input: z.strictObject({
      query: z.string().trim().min(1).max(400),
      count: z.int().min(1).max(maxResults).optional().describe("Results; 5."),
    }),
    async run({ query, count = 5 }, { signal }) {
      const answer = await door.fetch({
        url: url.replaceAll("{query}", encodeURIComponent(query.toWellFormed())).replaceAll("{count}", String(count)),
        headers: { accept: "application/json", ...headers },
        contentTypes: ["application/json"],
        signal,
      });
      if (answer.status >= 400) throw new Error(`the search endpoint answered with status ${answer.status}`);
      return { results: resultsOf(answer.body, mapping).slice(0, count) };
    },
  });
}

const searxng = (address: string): Exclude<SearchEndpoint, { searxng: string }> => ({
  url: `${address.replace(/\/+$/, "")}/search?format=json&q={query}`,
  mapping: { results: "results", title: "title", url: "url", text: "content" },
});

function resultsOf(body: Buffer, mapping: Exclude<SearchEndpoint, { searxng: string }>["mapping"]) {
  let answer: unknown;
  try {
    answer = JSON.parse(body.toString());
  } catch {
    throw new Error("the search endpoint answered with something that is no JSON");
  }
  const list = at(answer, mapping.results);
  if (!Array.isArray(list)) throw new Error(`the search endpoint's answer has no list at "${mapping.results}"`);
  return list.flatMap((result) => {
    const url = at(result, mapping.url);
    if (typeof url !== "string" || !/^https?:\/\//i.test(url)) return [];
    const text = mapping.text === undefined ? "" : words(at(result, mapping.text));
    return [{ title: words(at(result, mapping.title)), url: url.slice(0, 2_048), ...(text && { text }) }];
  });
}

const words = (value: unknown): string => (typeof value === "string" ? value.slice(0, maxText).toWellFormed() : "");

function at(value: unknown, path: string): unknown {
  let found = value;
  for (const key of path === "" ? [] : path.split(".")) {
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, key)) return undefined;
    found = (found as Record<string, unknown>)[key];
  }
  return found;
}
