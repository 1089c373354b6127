/** The thread that reads one page: what of it is content, and that as Markdown. Nothing of the page is run or loaded. */
import { parentPort, workerData } from "node:worker_threads";
import { Readability } from "@mozilla/readability";
// linkedom as one file, which loads in a third of the time: every page's thread loads it.
import { parseHTML } from "linkedom/worker";
import { NodeHtmlMarkdown } from "node-html-markdown";
import type { PageReply, PageSource } from "./page.ts";

/** Levels that elements may be nested: the time of the libraries grows with the square of it. */
const maxDepth = 500;
const maxElements = 50_000;

const markdown = new NodeHtmlMarkdown({ bulletMarker: "-", maxConsecutiveNewlines: 2 });

function read({ html, url }: PageSource): PageReply {
  const { document } = parseHTML(complete(html));
  if (document.documentElement && isTooDeep(document.documentElement))
    return { error: `the page nests its elements more than ${maxDepth} levels deep, which is not read` };
  const title = document.querySelector("title")?.textContent?.trim() ?? "";
  if (!document.body) return { title, text: document.documentElement?.textContent?.trim() ?? "" };
  const base = URL.parse(document.querySelector("base")?.getAttribute("href") ?? "", url) ?? new URL(url);
  for (const link of document.querySelectorAll("a[href]")) {
    const target = URL.parse(link.getAttribute("href") ?? "", base);
    // A page's own places and what is no page are no links to anybody who reads its text.
    if (target && /^https?:$/.test(target.protocol) && !link.getAttribute("href")?.startsWith("#")) link.setAttribute("href", target.href);
    else link.removeAttribute("href");
  }
  for (const element of document.body.querySelectorAll("title, img, picture, svg, video, audio, iframe")) element.remove();
  const whole = document.body.innerHTML;
  const article = new Readability(document as unknown as Document, { maxElemsToParse: maxElements }).parse();
  const text = markdown.translate(article?.content || withoutScripts(whole)).trim();
  return { title: (article?.title || title).replace(/\s+/g, " "), text };
}

/** The parser takes a page's first element for its root. */
const complete = (html: string): string =>
  /<html[\s>]/i.test(html) ? html : `<html>${/<body[\s>]/i.test(html) ? html : `<body>${html}</body>`}</html>`;

/** A page without an article: all of it. */
function withoutScripts(html: string): string {
  const { document } = parseHTML(`<html><body>${html}</body></html>`);
  for (const element of document.querySelectorAll("script, style, noscript, template, nav, footer")) element.remove();
  return document.body.innerHTML;
}

/** Walks without recursion, and ends where it is too deep. */
function isTooDeep(root: Element): boolean {
  let depth = 0;
  for (let at: Element | null = root; at; ) {
    if (at.firstElementChild) {
      if (++depth > maxDepth) return true;
      at = at.firstElementChild;
      continue;
    }
    while (at && at !== root && !at.nextElementSibling) {
      at = at.parentElement;
      depth -= 1;
    }
    at = at === root ? null : (at?.nextElementSibling ?? null);
  }
  return false;
}

parentPort?.postMessage(read(workerData as PageSource));
