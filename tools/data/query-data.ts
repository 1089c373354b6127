/** The tool `query_data`: a file of the folder as a table, and a query over it. */
import { z } from "zod";
// The one place of this file that imports `tool`; it becomes the public entry point.
import { type Tool, tool } from "../../src/runtime/tool.ts";
import type { Root } from "../files/root.ts";
import { answerOf, query } from "./query.ts";
import { tableOf } from "./table.ts";

const maxFileBytes = 8 * 1024 * 1024;
/** Of the rows that are given at once, as JSON. */
const maxResultBytes = 24 * 1024;

export const queryData = (root: Root): Tool =>
  tool({
    name: "query_data",
    description:
      "Answers a question about a CSV or JSON file: filters its rows, groups them and computes count, sum, mean, min and max exactly, sorts and limits. " +
      "With the file alone it shows its columns and first rows: begin with that.",
    class: "pure",
    untrusted: true,
    timeoutMs: 20_000,
    input: query.extend({
      file: z.string().min(1).max(1_024).describe("Its path, such as sales/2026.csv: .csv, .tsv, .json, .jsonl or .ndjson."),
      at: z
        .string()
        .max(200)
        .optional()
        .describe("In a JSON file, where the list of rows is, such as data.items; without it the file is the list."),
    }),
    async run({ file, at, limit = 50, ...asked }) {
      const table = await tableOf(await root.read(file, maxFileBytes), file, at);
      const { columns, rows } = answerOf(table, asked);
      const given = [];
      let bytes = 0;
      for (const row of rows.slice(0, limit)) {
        bytes += Buffer.byteLength(JSON.stringify(row)) + 1;
        if (bytes > maxResultBytes) break;
        given.push(row);
      }
      const isCut = given.length < rows.length;
      return { columns, rows: given, total_rows: rows.length, ...(isCut && { cut: `${given.length} of ${rows.length} rows are shown` }) };
    },
  });
