/**
 * A browser for the tests of the page: Debian's Chromium, driven by playwright-core, with a fresh profile each time.
 * On Debian as root it is installed when it is missing; anywhere else the tests fail with the sentence that says what to do.
 * They never skip: a page that was not looked at is not tested.
 */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const flags = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The caller closes it. Its profile is a temporary folder that goes with it. */
export const launchChromium = (): Promise<Browser> => chromium.launch({ executablePath: chromiumPath(), args: flags });

function chromiumPath(): string {
  const named = process.env.CHROMIUM;
  if (named !== undefined && named !== "") {
    if (existsSync(named)) return named;
    throw new Error(`CHROMIUM says ${named}, and there is no such file.`);
  }
  const path = find();
  if (path) return path;
  const { platform } = process;
  if (platform === "linux" && existsSync("/etc/debian_version") && process.getuid?.() === 0) {
    const run = (...args: string[]): unknown =>
      execFileSync("apt-get", args, { stdio: "ignore", env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
    run("update");
    run("install", "-y", "--no-install-recommends", "chromium");
    const installed = find();
    if (installed) return installed;
  }
  throw new Error(
    platform === "linux"
      ? "The browser tests need Chromium: install it (`sudo apt-get install chromium`, or your system's package), or name a Chromium or Chrome by CHROMIUM=/path/to/it."
      : "The browser tests need Chromium: name a Chromium or Chrome by CHROMIUM=/path/to/it.",
  );
}

function find(): string | undefined {
  return ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) => existsSync(path));
}
