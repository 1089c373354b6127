/** Datasets: cases in a file, JSONL (a case a line) or a JSON list. What is wrong with one is told with its file and line. */
import { readFileSync, statSync } from "node:fs";
import { extname } from "node:path";
import { z } from "zod";
import { EscapementError } from "../protocol/errors.ts";
import { requirement } from "../protocol/requirement.ts";
import type { Case } from "./scorer.ts";

/** A case, and where it stands: `cases.jsonl:3`. */
export type PlacedCase = Case & { readonly at: string };

const maxBytes = 64 * 1024 * 1024;
const maxCases = 100_000;

const caseSchema = z.strictObject({
  id: z.string().min(1).max(200),
  input: z.json(),
  expect: z.json().optional(),
  metadata: z.record(z.string().max(200), z.json()).optional(),
});

type Item = { readonly at: string; readonly value: unknown };

/** Throws `invalid_request`. */
export function readDataset(file: string): PlacedCase[] {
  const text = contentOf(file);
  const kind = extname(file);
  if (kind === ".jsonl" || kind === ".ndjson") return checkCases(file, linesOf(file, text));
  if (kind === ".json") return checkCases(file, elementsOf(file, text));
  throw refused(`${file} is no dataset: its name ends with .jsonl (a case a line) or .json (a list of cases)`);
}

/** Cases that an eval file holds itself. */
export const checkInline = (cases: readonly unknown[]): PlacedCase[] =>
  checkCases(
    "dataset",
    cases.map((value, i) => ({ at: `dataset[${i}]`, value })),
  );

function checkCases(source: string, items: readonly Item[]): PlacedCase[] {
  if (items.length === 0) throw refused(`${source} has no cases: write at least {"id": "…", "input": "…"}`);
  if (items.length > maxCases) throw refused(`${source} has ${items.length} cases, at most ${maxCases} are taken`);
  const places = new Map<string, string>();
  return items.map(({ at, value }) => {
    const parsed = caseSchema.safeParse(value);
    if (!parsed.success) throw refused(`${at}: ${complaint(parsed.error)}`);
    const { id, input, expect, metadata } = parsed.data;
    const before = places.get(id);
    if (before !== undefined) throw refused(`${at}: the id "${id}" is that of ${before} too; give each case its own`);
    places.set(id, at);
    return { id, input, ...(expect !== undefined && { expect }), ...(metadata && { metadata }), at };
  });
}

function complaint(error: z.ZodError): string {
  // A failed check has at least one issue.
  const issue = error.issues[0] as z.core.$ZodIssue;
  if (issue.code === "unrecognized_keys") return `"${issue.keys[0]}" is not a key; there are ${Object.keys(caseSchema.shape).join(", ")}`;
  return `${issue.path.join(".") || "a case"} ${requirement(issue)}`;
}

function contentOf(file: string): string {
  try {
    const { size } = statSync(file);
    if (size > maxBytes) throw refused(`${file} has ${size} bytes, at most ${maxBytes} are read: split it`);
    return readFileSync(file, "utf8").replace(/^\uFEFF/, "");
  } catch (error) {
    if (error instanceof EscapementError) throw error;
    throw refused(`the dataset ${file} cannot be read: ${(error as Error).message}`);
  }
}

const linesOf = (file: string, text: string): Item[] =>
  text.split(/\r?\n/).flatMap((line, i) => {
    const at = `${file}:${i + 1}`;
    return line.trim() === "" ? [] : [{ at, value: parsed(at, line) }];
  });

function elementsOf(file: string, text: string): Item[] {
  const list = parsed(file, text);
  if (!Array.isArray(list)) throw refused(`${file} must be a list of cases: [{"id": "…", "input": "…"}, …]`);
  const lines = linesOfElements(text);
  return list.map((value, i) => ({ at: `${file}:${lines[i]}`, value }));
}

/** The line that each element of a JSON list begins at. */
function linesOfElements(text: string): number[] {
  const lines: number[] = [];
  let line = 1;
  let depth = 0;
  let isAwaited = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i] as string;
    if (char === "\n") line++;
    if (/\s/.test(char)) continue;
    if (isAwaited && char !== "]") lines.push(line);
    isAwaited = depth === 1 && char === ",";
    if (char === '"') {
      while (text[++i] !== '"') if (text[i] === "\\") i++;
    } else if (char === "[" || char === "{") {
      depth++;
      isAwaited = depth === 1;
    } else if (char === "]" || char === "}") depth--;
  }
  return lines;
}

function parsed(at: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw refused(`${at} is no JSON: ${(error as Error).message}`);
  }
}

const refused = (message: string): EscapementError => new EscapementError("invalid_request", message, { details: { path: "dataset" } });
