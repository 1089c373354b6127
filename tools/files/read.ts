/** The tools `list_files` and `read_file`. What may be reached is `root.ts`. */
import { z } from "zod";
// The one place of this file that imports `tool`; it becomes the public entry point.
import { type Tool, tool } from "../../src/runtime/tool.ts";
import type { Root } from "./root.ts";
import { textOf } from "./text.ts";

const maxEntries = 300;
const maxFileBytes = 8 * 1024 * 1024;
const maxLines = 2_000;
const maxCharacters = 24_000;

export const pathInput = z.string().max(1_024);

export const listFiles = (root: Root): Tool =>
  tool({
    name: "list_files",
    description: `Lists the files and folders in a folder, with their sizes; at most ${maxEntries}. Hidden files and links are left out.`,
    class: "pure",
    untrusted: true,
    input: z.strictObject({
      path: pathInput.optional().describe('The folder, such as "reports/2026"; without it the topmost.'),
      recursive: z.boolean().optional().describe("Also the folders below it."),
    }),
    async run({ path = "", recursive = false }) {
      const { entries, isCut } = await root.list(path, maxEntries, recursive);
      return { entries, ...(isCut && { cut: `there are more than ${maxEntries}: list a folder below` }) };
    },
  });

export const readFile = (root: Root): Tool =>
  tool({
    name: "read_file",
    description:
      "Reads a text file. Its lines are numbered from 1. " +
      `At most ${maxLines.toLocaleString("en-US")} lines and ${maxCharacters.toLocaleString("en-US")} characters come at once; ask for others with from_line.`,
    class: "pure",
    untrusted: true,
    // Above what is given at once, so that what is cut is said once, by this tool.
    resultBytes: 4 * maxCharacters + 1_024,
    input: z.strictObject({
      path: pathInput.min(1),
      from_line: z.int().min(1).optional().describe("The first line; 1."),
      to_line: z.int().min(1).optional().describe("The last line, itself included; the file's last."),
    }),
    async run({ path, from_line: from = 1, to_line: to = Number.POSITIVE_INFINITY }) {
      if (to < from) throw new Error(`to_line (${to}) is before from_line (${from})`);
      const lines = textOf(await root.read(path, maxFileBytes), path).split(/\r?\n/);
      if (lines.at(-1) === "") lines.pop();
      if (from > Math.max(1, lines.length)) throw new Error(`${path} has ${lines.length} lines, so there is none from ${from}`);
      const wanted = lines.slice(from - 1, Math.min(to, from - 1 + maxLines));
      let size = 0;
      const fitting = wanted.findIndex((line) => {
        size += line.length + 1;
        return size > maxCharacters;
      });
      const shown = fitting === -1 ? wanted : wanted.slice(0, Math.max(1, fitting));
      // A single line may be longer than all that is given.
      const text = shown.join("\n").slice(0, maxCharacters).toWellFormed();
      const last = from - 1 + shown.length;
      const isCutInside = fitting === 0;
      const isWhole = from === 1 && last === lines.length && !isCutInside;
      const inside = isCutInside ? `; line ${from} is longer than can be shown` : "";
      return isWhole ? text : `${text}\n[lines ${from} to ${last} of ${lines.length}${inside}]`;
    },
  });
