import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { Log, type LogLevel } from "../../src/observe/log.ts";

function log(level: LogLevel = "info") {
  const lines: string[] = [];
  const time = { now: 0 };
  const it = new Log(
    { level, content: true, destination: { write: (line) => void lines.push(line) }, redaction: { secrets: ["a-known-secret"] } },
    () => time.now,
  );
  return { it, lines, time };
}

test("a failure that repeats a million times is a few lines (S30), and how many were left out is said", () => {
  const { it, lines, time } = log();
  for (let i = 0; i < 1_000_000; i++) {
    if (i % 100_000 === 0) time.now += 1_000;
    if (i % 10_000 === 0) it.error(`the store does not answer: attempt ${i}`, { run: `run_${i}`, cause: new Error("ECONNREFUSED") });
    else it.error(`the store does not answer: attempt ${i}`);
  }
  it.close();
  expect(lines.length).toBeLessThan(60);
  const left = lines.map((line) => JSON.parse(line)).filter(({ type }) => type === "repeated");
  expect(left.reduce((sum, { left_out }) => sum + left_out, 0) + lines.length - left.length).toBe(1_000_000);
});

test("a flood of different sentences keeps a bounded memory of them, and is written", () => {
  const { it, lines } = log();
  const letters = (n: number): string => n.toString(36).replace(/\d/g, (digit) => "ghijklmnop"[Number(digit)] as string);
  for (let i = 0; i < 5_000; i++) it.warn(`sentence ${letters(i * 7_919)}`);
  expect(lines.length).toBeGreaterThan(4_000);
});

test("one event is one line, without secrets in message, fields, keys and causes", () => {
  const { it, lines } = log();
  const cause = new Error("first\nsecond a-known-secret", { cause: { headers: { authorization: "x" }, "a-known-secret": 1 } });
  it.error("broke\r\n\u2028\u001b[2J a-known-secret", { run: "run_1\n", cause });
  expect(lines).toHaveLength(1);
  expect(lines[0]?.match(/[\n\r\u2028\u001b]/g)).toEqual(["\n"]);
  expect(lines[0]).not.toContain("a-known-secret");
  expect(JSON.parse(lines[0] as string)).toMatchObject({
    level: 50,
    run: "run_1\\n",
    err: { type: "Error", cause: { headers: { authorization: "[redacted]" } } },
  });
});

test("the level holds", () => {
  const { it, lines } = log("error");
  it.info("no");
  it.warn("no");
  it.error("yes");
  expect(lines).toHaveLength(1);
  const silent = log("silent");
  silent.it.error("no");
  expect(silent.lines).toHaveLength(0);
});

test("a pipe that nobody reads, and one whose reader has left, stop nothing", { timeout: 30_000 }, async () => {
  const script = `
    import { Log } from ${JSON.stringify(fileURLToPath(new URL("../../src/observe/log.ts", import.meta.url)))};
    const log = new Log({ level: "info", content: true, destination: "stderr", redaction: {} });
    for (let i = 0; i < 20_000; i++) log.info("x".repeat(1_000), { i });
    await new Promise((resolve) => setTimeout(resolve, 50));
    process.stdout.write("alive\\n");
    await new Promise((resolve) => process.stdin.once("data", resolve));
    for (let i = 0; i < 100; i++) log.info("y");
    await new Promise((resolve) => setTimeout(resolve, 50));
    process.stdout.write("still alive\\n");
    process.stdin.once("data", () => process.kill(process.pid, "SIGKILL"));
  `;
  const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", script], { stdio: ["pipe", "pipe", "pipe"] });
  const line = (): Promise<string> => new Promise((resolve) => child.stdout.once("data", (data) => resolve(String(data))));
  // Standard error is not read: 20 MB are far more than a pipe holds.
  expect(await line()).toBe("alive\n");
  child.stderr.destroy();
  const next = line();
  child.stdin.write("go\n");
  expect(await next).toBe("still alive\n");
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.stdin.write("end\n");
  await gone;
});
