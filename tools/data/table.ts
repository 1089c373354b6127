/** From a file to a table: CSV (comma, semicolon, tab, bar), JSON, JSON Lines. Cells are what JSON has; an empty cell of CSV is null. */
import { textOf } from "../files/text.ts";

export type Cell = string | number | boolean | null;
export type Table = { readonly columns: readonly string[]; readonly rows: readonly (readonly Cell[])[] };

const maxRows = 100_000;
const maxColumns = 200;
const delimiters = [",", ";", "\t", "|"];

/** `at`: where in a JSON file the list is (`data.items`). Throws with words for the model. */
export async function tableOf(bytes: Buffer, path: string, at?: string): Promise<Table> {
  const text = textOf(bytes, path).replace(/^\ufeff/, "");
  if (/\.(csv|tsv)$/i.test(path)) return ofCSV(text, path);
  if (/\.(jsonl|ndjson)$/i.test(path)) {
    const lines = text.split("\n").map((line, index) => ({ line, index }));
    return ofList(
      lines.flatMap(({ line, index }) => (line.trim() === "" ? [] : [parsed(line, `${path}, line ${index + 1},`)])),
      path,
    );
  }
  if (/\.json$/i.test(path)) return ofList(listAt(parsed(text, path), path, at), path);
  throw new Error(`${path} is no .csv, .tsv, .json, .jsonl or .ndjson file`);
}

async function ofCSV(text: string, path: string): Promise<Table> {
  // Loaded by who uses it.
  const { parse } = await import("csv-parse/sync");
  const header = text.slice(0, text.search(/[\r\n]|$/));
  const count = (delimiter: string): number => header.split(delimiter).length;
  const delimiter = delimiters.reduce((best, each) => (count(each) > count(best) ? each : best));
  let lines: string[][];
  try {
    lines = parse(text, { delimiter, skip_empty_lines: true, to: maxRows + 2 });
  } catch (error) {
    throw new Error(`${path} is no regular CSV: ${(error as Error).message}`);
  }
  const [columns = [], ...rows] = lines;
  const names = columns.map((name, index) => name.trim() || `column_${index + 1}`);
  return checked(
    {
      columns: names.map((name, index) => (names.indexOf(name) === index ? name : `${name}_${index + 1}`)),
      rows: rows.map((row) => row.map((cell) => (cell === "" ? null : cell))),
    },
    path,
  );
}

function parsed(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${where} is no JSON`);
  }
}

function listAt(value: unknown, path: string, at = ""): readonly unknown[] {
  let found = value;
  for (const key of at === "" ? [] : at.split(".")) {
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, key)) throw new Error(`${path} has nothing at "${at}"`);
    found = (found as { [key: string]: unknown })[key];
  }
  if (Array.isArray(found)) return found;
  const lists =
    typeof found === "object" && found !== null
      ? Object.entries(found).flatMap(([key, each]) => (Array.isArray(each) ? [at ? `${at}.${key}` : key] : []))
      : [];
  throw new Error(`${path} has no list at "${at}"${lists.length > 0 ? `; there are lists at: ${lists.slice(0, 20).join(", ")}` : ""}`);
}

/** A list of objects; what is nested in them is kept as JSON text. */
function ofList(list: readonly unknown[], path: string): Table {
  const columns = new Map<string, number>();
  const objects = list
    .slice(0, maxRows + 1)
    .map((each) => (typeof each === "object" && each !== null && !Array.isArray(each) ? each : { value: each }));
  for (const each of objects) {
    for (const key of Object.keys(each)) if (!columns.has(key)) columns.set(key, columns.size);
    if (columns.size > maxColumns) break;
  }
  const rows = objects.map((each) => {
    const row: Cell[] = new Array(columns.size).fill(null);
    for (const [key, value] of Object.entries(each))
      row[columns.get(key) ?? 0] = typeof value === "object" && value !== null ? JSON.stringify(value) : (value as Cell);
    return row;
  });
  return checked({ columns: [...columns.keys()], rows }, path);
}

function checked(table: Table, path: string): Table {
  if (table.columns.length > maxColumns) throw new Error(`${path} has more than ${maxColumns} columns, which are not read`);
  if (table.rows.length > maxRows) throw new Error(`${path} has more than ${maxRows.toLocaleString("en-US")} rows, which are not read`);
  return table;
}
