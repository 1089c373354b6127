/** A folder on disk, with everything around it that must not be reached. */
import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import type { Tool, ToolContext } from "../../../src/runtime/tool.ts";
import { files } from "../../../tools/files/index.ts";

const context: ToolContext = { run: "run_1", key: "k", signal: new AbortController().signal, progress() {}, data() {} };
const base = mkdtempSync(join(tmpdir(), "escapement-files-"));
const root = join(base, "root");
afterAll(() => rmSync(base, { recursive: true }));

const use = (name: string, input: object, options: { root: string; write?: boolean } = { root, write: true }) =>
  (files(options).find((each) => each.name === name) as Tool).run(input, context);

beforeEach(() => {
  rmSync(root, { recursive: true, force: true });
  mkdirSync(join(root, "notes/deep"), { recursive: true });
  writeFileSync(join(base, "secret.txt"), "SECRET");
  writeFileSync(join(root, "notes/today.md"), "first\nsecond SECOND\nthird");
  writeFileSync(join(root, "notes/deep/more.txt"), "the second one\n");
  writeFileSync(join(root, ".env"), "KEY=SECRET");
});

/** Paths by which a model may want out, or at what is hidden. */
const escapes = [
  "../secret.txt",
  "..",
  "notes/../../secret.txt",
  "notes/../today.md",
  "./../secret.txt",
  "/etc/passwd",
  "//etc/passwd",
  "/",
  "..\\secret.txt",
  "notes\\..\\..\\secret.txt",
  "C:\\Windows\\win.ini",
  "C:secret.txt",
  "\\\\server\\share",
  "~/.ssh/id_rsa/../../.env",
  "notes/today.md\0.png",
  "\0",
  "notes/\n../secret.txt",
  ".env",
  "./.env",
  "notes/.hidden",
  ".git/config",
  ".GIT/config",
  "...",
  "file:///etc/passwd",
  "today.md::$DATA",
  "a/".repeat(600),
  "a/".repeat(30),
];
/** Links and what is no file, made in the root. */
const made = ["link.txt", "absolute.txt", "dir/secret.txt", "loop", "inside.txt", "pipe", "dir"];

function makeLinks(): void {
  symlinkSync("../secret.txt", join(root, "link.txt"));
  symlinkSync(join(base, "secret.txt"), join(root, "absolute.txt"));
  symlinkSync("..", join(root, "dir"));
  symlinkSync("loop", join(root, "loop"));
  symlinkSync("notes/today.md", join(root, "inside.txt"));
  execFileSync("mkfifo", [join(root, "pipe")]);
}

describe("nothing beside the root is reached", () => {
  it(`by ${escapes.length} paths, ${made.length} links and a pipe: not read, not listed, not searched, not written`, async () => {
    makeLinks();
    const outside = () => readdirSync(base).sort();
    const before = outside();
    for (const path of [...escapes, ...made]) {
      await expect(use("read_file", { path }), path).rejects.toThrow();
      await expect(use("list_files", { path }), path).rejects.toThrow();
      await expect(use("search_files", { text: "SECRET", path }), path).rejects.toThrow();
      await expect(use("write_file", { path, text: "x", overwrite: true }), path).rejects.toThrow();
      await expect(use("write_file", { path: `${path}/new.txt`, text: "x", overwrite: true }), path).rejects.toThrow();
    }
    expect(outside()).toEqual(before);
    expect(readFileSync(join(base, "secret.txt"), "utf8")).toBe("SECRET");
    expect(await use("search_files", { text: "SECRET" })).toEqual({ matches: [] });
    expect(JSON.stringify(await use("list_files", { recursive: true }))).not.toMatch(/env|link|secret|pipe|dir/);
  });

  it("while a folder is exchanged for a link again and again", async () => {
    mkdirSync(join(base, "outer"), { recursive: true });
    writeFileSync(join(base, "outer/today.md"), "SECRET");
    const [here, aside] = [join(root, "notes"), join(root, "aside")];
    let isOver = false;
    let swaps = 0;
    // The tool that writes may make the folder anew while it is away.
    const instead = (act: () => void): void => {
      for (;;) {
        try {
          act();
          return;
        } catch {
          rmSync(here, { recursive: true, force: true });
        }
      }
    };
    const swapping = (async () => {
      while (!isOver) {
        renameSync(here, aside);
        instead(() => symlinkSync("../outer", here));
        await new Promise(setImmediate);
        rmSync(here, { recursive: true });
        instead(() => renameSync(aside, here));
        swaps += 1;
        await new Promise(setImmediate);
      }
    })();
    let read = 0;
    try {
      for (let i = 0; i < 60; i++) {
        const text = await Promise.resolve(use("read_file", { path: "notes/today.md" })).catch(() => "");
        expect(text).not.toContain("SECRET");
        if (text !== "") read += 1;
        await Promise.resolve(use("write_file", { path: `notes/new-${i}.txt`, text: "x" })).catch(() => {});
      }
    } finally {
      isOver = true;
      await swapping;
    }
    expect(readdirSync(join(base, "outer"))).toEqual(["today.md"]);
    expect(read).toBeGreaterThan(0);
    expect(swaps).toBeGreaterThan(0);
  });

  it("says nothing of where the root is", async () => {
    for (const [name, path] of [
      ["read_file", "none.txt"],
      ["list_files", "none"],
      ["read_file", "notes"],
    ] as const) {
      const error = await Promise.resolve(use(name, { path })).catch((thrown: Error) => thrown);
      expect((error as Error).message).toMatch(new RegExp(`^${path} `));
      expect((error as Error).message).not.toContain(base);
    }
    await expect(use("list_files", {}, { root: join(base, "none") })).rejects.toThrow("the root is not there");
    expect(() => files({ root: "" })).toThrow("tools.files.root is the path of a folder");
  });
});

describe("list_files", () => {
  it("lists a folder, or all below it, and says when it was cut", async () => {
    expect(await use("list_files", {})).toEqual({ entries: [{ path: "notes", type: "folder" }] });
    expect(await use("list_files", { path: "./notes/", recursive: true })).toEqual({
      entries: [
        { path: "notes/deep", type: "folder" },
        { path: "notes/deep/more.txt", type: "file", bytes: 15 },
        { path: "notes/today.md", type: "file", bytes: 25 },
      ],
    });
    mkdirSync(join(root, "many"));
    for (let i = 0; i < 301; i++) writeFileSync(join(root, "many", `${i}`), "");
    const { entries, cut } = (await use("list_files", { recursive: true })) as { entries: unknown[]; cut: string };
    expect([entries.length, cut]).toEqual([300, "there are more than 300: list a folder below"]);
  });
});

describe("read_file", () => {
  it("reads all, or some lines, and says which", async () => {
    expect(await use("read_file", { path: "notes/today.md" })).toBe("first\nsecond SECOND\nthird");
    expect(await use("read_file", { path: "notes/today.md", from_line: 2, to_line: 2 })).toBe("second SECOND\n[lines 2 to 2 of 3]");
    await expect(use("read_file", { path: "notes/today.md", from_line: 4 })).rejects.toThrow(
      "notes/today.md has 3 lines, so there is none from 4",
    );
    await expect(use("read_file", { path: "notes/today.md", from_line: 3, to_line: 2 })).rejects.toThrow("before from_line");
    writeFileSync(join(root, "empty.txt"), "");
    expect(await use("read_file", { path: "empty.txt" })).toBe("");
  });

  it("gives long files in parts, and refuses what is too large or no text", async () => {
    writeFileSync(join(root, "long.txt"), "0123456789\n".repeat(5_000));
    expect(await use("read_file", { path: "long.txt" })).toMatch(/\n\[lines 1 to 2000 of 5000\]$/);
    writeFileSync(join(root, "wide.txt"), "x".repeat(100_000));
    const wide = String(await use("read_file", { path: "wide.txt" }));
    expect(wide.length).toBeLessThan(24_200);
    expect(wide).toContain("line 1 is longer than can be shown");
    writeFileSync(join(root, "huge.txt"), Buffer.alloc(9 * 1024 * 1024, "x"));
    await expect(use("read_file", { path: "huge.txt" })).rejects.toThrow("huge.txt has 9,437,184 bytes, at most 8,388,608 are read");
    for (const bytes of [Buffer.from([0x50, 0x4b, 0, 1]), Buffer.from([0xff, 0xfe, 0x41]), Buffer.from("Größe", "latin1")]) {
      writeFileSync(join(root, "binary"), bytes);
      await expect(use("read_file", { path: "binary" })).rejects.toThrow("binary is binary: only text in UTF-8 is read");
    }
  });
});

describe("search_files", () => {
  it("finds lines by text and by pattern", async () => {
    expect(await use("search_files", { text: "second" })).toEqual({
      matches: [
        { path: "notes/deep/more.txt", line: 1, text: "the second one" },
        { path: "notes/today.md", line: 2, text: "second SECOND" },
      ],
    });
    expect(await use("search_files", { text: "SECOND ONE", ignore_case: true })).toMatchObject({
      matches: [{ path: "notes/deep/more.txt" }],
    });
    expect(await use("search_files", { text: "^th(e|ird)", regex: true, name: ".md" })).toMatchObject({ matches: [{ line: 3 }] });
    expect(await use("search_files", { text: "^FIRST$", regex: true, ignore_case: true, path: "notes" })).toMatchObject({
      matches: [{ line: 1 }],
    });
    expect(await use("search_files", { text: "a.c" })).toEqual({ matches: [] });
    await expect(use("search_files", { text: "(a)\\1", regex: true })).rejects.toThrow(/cannot be used: .* RE2/);
  });

  it("is not held up by a pattern that backtracking would never end", async () => {
    writeFileSync(join(root, "a.txt"), `${"a".repeat(2_000)}!`);
    expect(await use("search_files", { text: "^(a+)+$", regex: true })).toEqual({ matches: [] });
  });

  it("says what was left out", async () => {
    writeFileSync(join(root, "many.txt"), "hit\n".repeat(200));
    writeFileSync(join(root, "binary"), Buffer.from("hit\0hit"));
    const { matches, cut } = (await use("search_files", { text: "hit" })) as { matches: unknown[]; cut: string };
    expect([matches.length, cut]).toEqual([100, "there are more than 100 lines: look for something rarer"]);
    writeFileSync(join(root, "large.txt"), "x".repeat(1_100_000));
    expect(await use("search_files", { text: "never" })).toEqual({ matches: [], too_large: ["large.txt"] });
  });
});

describe("write_file", () => {
  it("writes whole files with their folders, and again without a difference", async () => {
    expect(await use("write_file", { path: "new/er/a.txt", text: "Größe" })).toEqual({ path: "new/er/a.txt", bytes: 7 });
    expect(await use("write_file", { path: "new/er/a.txt", text: "Größe" })).toEqual({ path: "new/er/a.txt", bytes: 7 });
    await expect(use("write_file", { path: "new/er/a.txt", text: "other" })).rejects.toThrow("is there already: give overwrite");
    await use("write_file", { path: "new/er/a.txt", text: "other", overwrite: true });
    expect(readFileSync(join(root, "new/er/a.txt"), "utf8")).toBe("other");
    expect(readdirSync(join(root, "new/er"))).toEqual(["a.txt"]);
    await expect(use("write_file", { path: "notes", text: "x", overwrite: true })).rejects.toThrow("notes is there and is no file");
    await expect(use("write_file", { path: "notes/today.md/x", text: "x" })).rejects.toThrow("its folder is a file");
  });

  it("takes the place of a file that has another name elsewhere, and leaves that as it was", async () => {
    linkSync(join(base, "secret.txt"), join(root, "hard.txt"));
    await use("write_file", { path: "hard.txt", text: "mine", overwrite: true });
    expect(readFileSync(join(base, "secret.txt"), "utf8")).toBe("SECRET");
  });

  it("is there only when it is asked for; what is read is not to be trusted, what is written changes something", () => {
    const shape = (options: { root: string; write?: boolean }) =>
      files(options).map((each) => [each.name, each.class, each.untrusted, each.consequential]);
    const reading = ["list_files", "read_file", "search_files"].map((name) => [name, "pure", true, false]);
    expect(shape({ root })).toEqual(reading);
    expect(shape({ root, write: true })).toEqual([...reading, ["write_file", "idempotent", false, true]]);
  });
});
