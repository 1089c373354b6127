/**
 * Makes the pictures of the page in `docs/images`, from the real server with the tests' own providers behind it:
 * `node test/console/screenshots.ts`
 */
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { chat, chatError } from "../../src/testing/fault-chat.ts";
import { startFaultServer } from "../../src/testing/fault-server.ts";
import { launchChromium } from "./chromium.ts";
import { badDay, slowly } from "./office.ts";
import { Served } from "./served.ts";
import { type Visit, type VisitOptions, visit } from "./visit.ts";

const provider = await startFaultServer(chat({ text: "Hello." }));
const browser = await launchChromium();
const served = await Served.start({ ESCAPEMENT_CONFIG: "test/console/office.config.ts", OFFICE_URL: provider.url, OFFICE_KEY: "unused" });
const plain = await Served.start();

const views: Visit[] = [];
async function open(address: string, options: VisitOptions): Promise<Page> {
  const visited = await visit(browser, address, options);
  views.push(visited);
  return visited.page;
}
const ask = async (page: Page, question: string, agent: string): Promise<void> => {
  await page.getByRole("combobox", { name: "Agent" }).selectOption(agent);
  await page.getByRole("textbox", { name: "Question" }).fill(question);
  await page.keyboard.press("Enter");
  await page.waitForURL(/\?run=run_/);
};
const ended = (page: Page, status: string): Promise<void> => page.locator(".run-status", { hasText: status }).waitFor();
const shoot = async (page: Page, name: string): Promise<void> => {
  await page.evaluate(() =>
    Promise.all(document.getAnimations().map((animation) => animation.effect?.getTiming().iterations !== 1 || animation.finished)),
  );
  await page.screenshot({ path: fileURLToPath(new URL(`../../docs/images/${name}.png`, import.meta.url)) });
};

try {
  // Runs of every kind, for the list.
  const page = await open(`${served.url}/`, { width: 1_280, height: 800, scheme: "light" });
  provider.use(chat({ text: "A state machine is in one state at a time.", usage: { input: 310, output: 52 } }));
  await ask(page, "What is a state machine?", "assistant");
  await ended(page, "Done");
  provider.use(() => chatError(400, "this model does not exist"));
  await ask(page, "Who are you?", "assistant");
  await ended(page, "Failed");
  provider.use(chat(slowly(400)));
  await ask(page, "Count to four hundred", "assistant");
  await page.locator(".answer", { hasText: "w12 " }).waitFor();
  await page.keyboard.press("Escape");
  await ended(page, "Cancelled");
  await ask(page, "Spend more than you may", "thrifty");
  await ended(page, "Waiting for you");

  // One that goes wrong, recovers, and asks: waiting for a yes.
  provider.use(badDay({ paceMs: 45 }));
  await ask(page, "Send finance the totals of the third quarter by region", "clerk");
  await page.getByRole("region", { name: "Approve this?" }).waitFor();
  await ended(page, "Waiting for you");
  await page.locator(".row[aria-current]", { hasText: "Waiting" }).waitFor();
  await shoot(page, "console-approval-1280-light");
  const address = page.url();

  // The same while it writes its answer, wide and dark; then at its end.
  const wide = await open(address, { width: 1_920, height: 1_080, scheme: "dark" });
  const narrow = await open(address, { width: 1_280, height: 800, scheme: "dark" });
  await wide.getByRole("button", { name: "Approve" }).click();
  await wide.locator(".answer", { hasText: "South follows" }).waitFor();
  await wide.locator(".row[aria-current]", { hasText: "Running" }).waitFor();
  await wide.screenshot({ path: fileURLToPath(new URL("../../docs/images/console-running-1920-dark.png", import.meta.url)) });
  await narrow.screenshot({ path: fileURLToPath(new URL("../../docs/images/console-running-1280-dark.png", import.meta.url)) });
  await ended(wide, "Done");
  const end = await open(address, { width: 1_920, height: 1_080, scheme: "light" });
  await ended(end, "Done");
  await end.locator(".row[aria-current]", { hasText: "Done" }).waitFor();
  await shoot(end, "console-done-1920-light");

  // Without any provider, as it is at first; on a phone too.
  const first = await open(`${plain.url}/`, { width: 1_280, height: 800, scheme: "light" });
  await ask(first, "What is 12.5% of 8460?", "assistant");
  await ended(first, "Done");
  await first.locator(".row[aria-current]", { hasText: "Done" }).waitFor();
  await shoot(first, "console-scripted-1280-light");
  const phone = await open(first.url(), { width: 390, height: 844, scheme: "dark" });
  await ended(phone, "Done");
  await shoot(phone, "console-phone-dark");
} finally {
  for (const view of views) await view.close();
  await browser.close();
  await Promise.all([served.close(), plain.close(), provider.close()]);
}
