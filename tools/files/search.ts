/** The tool `search_files`: lines that have a text or fit a pattern. Patterns are RE2's, whose time grows with the text only. */
import { z } from "zod";
// The one place of this file that imports `tool`; it becomes the public entry point.
import { type Tool, tool } from "../../src/runtime/tool.ts";
import { pathInput } from "./read.ts";
import type { Root } from "./root.ts";
import { isBinary } from "./text.ts";

const maxMatches = 100;
const maxFiles = 2_000;
const maxFileBytes = 1024 * 1024;
const maxBytes = 32 * 1024 * 1024;
/** RE2 in JavaScript reads some megabytes a second. */
const maxPatternBytes = 8 * 1024 * 1024;
const maxLine = 300;

export const searchFiles = (root: Root): Tool =>
  tool({
    name: "search_files",
    description: `Finds the lines of text files that contain a text, or fit a regular expression; at most ${maxMatches} lines.`,
    class: "pure",
    untrusted: true,
    resultBytes: 64 * 1024,
    input: z.strictObject({
      text: z.string().min(1).max(1_000).describe("What to look for."),
      regex: z.boolean().optional().describe("The text is a regular expression in RE2's syntax: without back references and look-around."),
      ignore_case: z.boolean().optional(),
      path: pathInput.optional().describe("The folder that is searched, with those below it; without it all."),
      name: z.string().max(100).optional().describe('Only files whose name ends so, such as ".md".'),
    }),
    async run({ text, regex = false, ignore_case: ignoreCase = false, path = "", name = "" }, { signal }) {
      const fits = regex ? await patternOf(text, ignoreCase) : literal(text, ignoreCase);
      const found = await root.list(path, maxFiles, true);
      const files = found.entries.filter((entry) => entry.type === "file" && entry.path.endsWith(name));
      const matches: { path: string; line: number; text: string }[] = [];
      const skipped: string[] = [];
      let left = regex ? maxPatternBytes : maxBytes;
      let cut = found.isCut ? `only the first ${maxFiles} files and folders were looked at: search a folder below` : "";
      for (const { path: file, bytes = 0 } of files) {
        signal.throwIfAborted();
        if (bytes > maxFileBytes) {
          skipped.push(file);
          continue;
        }
        if (bytes > left) {
          cut = `the search ended before ${file}: search a folder below, or fewer files by name`;
          break;
        }
        left -= bytes;
        const content = await root.read(file, maxFileBytes).catch(() => undefined);
        // What went away meanwhile, or is no text.
        if (!content || isBinary(content)) continue;
        const lines = content.toString().split(/\r?\n/);
        for (const [index, line] of lines.entries()) {
          if (!fits(line)) continue;
          if (matches.length === maxMatches) return { matches, cut: `there are more than ${maxMatches} lines: look for something rarer` };
          matches.push({ path: file, line: index + 1, text: line.trim().slice(0, maxLine).toWellFormed() });
        }
      }
      return { matches, ...(skipped.length > 0 && { too_large: skipped.slice(0, 20) }), ...(cut && { cut }) };
    },
  });

function literal(text: string, ignoreCase: boolean): (line: string) => boolean {
  const wanted = text.toLowerCase();
  return ignoreCase ? (line) => line.toLowerCase().includes(wanted) : (line) => line.includes(text);
}

async function patternOf(text: string, ignoreCase: boolean): Promise<(line: string) => boolean> {
  // Loaded by who uses it.
  const { RE2JS } = await import("re2js");
  try {
    const pattern = RE2JS.compile(text, ignoreCase ? RE2JS.CASE_INSENSITIVE : 0);
    return (line) => pattern.test(line);
  } catch (error) {
    throw new Error(`the pattern cannot be used: ${(error as Error).message}; it is RE2's: without back references and look-around`);
  }
}
