/** The tools' own book: a file to which each use appends a line when it begins and when it is over, whatever becomes of its process. */
import { appendFileSync, existsSync, readFileSync } from "node:fs";

export type ToolLine = {
  readonly tool: string;
  /** The key of the use: the same for every repetition of it. */
  readonly key: string;
  readonly run: string;
  readonly text: string;
  readonly what: "begun" | "over" | "aborted";
  /** Monotonic nanoseconds of the machine, the same clock in all of its processes. */
  readonly at: string;
};

/** Written at once: what is in the book has happened, even if the process dies in the next line. */
export function enter(file: string, line: Omit<ToolLine, "at">): void {
  appendFileSync(file, `${JSON.stringify({ ...line, at: String(process.hrtime.bigint()) })}\n`);
}

export function readBook(file: string): readonly ToolLine[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as ToolLine); // written by `enter`
}
