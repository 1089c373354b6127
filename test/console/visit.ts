/** One visit to the page: a browser page with its own storage that keeps a book of all it asked for and of all it was refused. */
import type { Browser, Page } from "playwright-core";

export type Visit = {
  readonly page: Page;
  /** Addresses of every request and WebSocket that did not go to the server. */
  readonly strangers: readonly string[];
  /** What the content security policy refused, and errors of the page's own code. */
  readonly faults: readonly string[];
  /** Names of states that were lit or glowed at any time, in the order in which they first did. */
  lit(): Promise<readonly string[]>;
  close(): Promise<void>;
};

export type VisitOptions = {
  readonly width?: number;
  readonly height?: number;
  readonly scheme?: "light" | "dark";
  readonly reducedMotion?: "reduce" | "no-preference";
};

export async function visit(browser: Browser, url: string, options: VisitOptions = {}): Promise<Visit> {
  const { width = 1_280, height = 800, scheme = "light", reducedMotion = "no-preference" } = options;
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, reducedMotion, locale: "en-GB" });
  // The machine may be busy with other tests.
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const strangers: string[] = [];
  const faults: string[] = [];
  const home = new URL(url).host;
  const note = (address: string): void => {
    if (!/^(data|blob):/.test(address) && new URL(address).host !== home) strangers.push(address);
  };
  page.on("request", (request) => note(request.url()));
  page.on("websocket", (socket) => note(socket.url()));
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    if (/content security policy/i.test(message.text())) faults.push(message.text());
  });
  await page.addInitScript(watchPage);
  await page.goto(url);
  return {
    page,
    strangers,
    faults,
    lit: () => page.evaluate(() => (window as unknown as { lit: string[] }).lit),
    close: () => context.close(),
  };
}

/** Runs in the page, before its own code. */
function watchPage(): void {
  const lit: string[] = [];
  (window as unknown as { lit: string[] }).lit = lit;
  document.addEventListener("securitypolicyviolation", (event) => {
    throw new Error(`Content Security Policy: ${event.violatedDirective} ${event.blockedURI}`);
  });
  new MutationObserver(() => {
    for (const state of document.querySelectorAll(".visit-now > span:first-child, .visit-glow > span")) {
      const name = state.textContent;
      if (/^[a-z]/.test(name) && !lit.includes(name)) lit.push(name);
    }
  }).observe(document, { subtree: true, childList: true, attributes: true });
}
