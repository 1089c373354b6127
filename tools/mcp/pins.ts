/**
 * What was accepted of MCP servers: a lock file with each tool's definition and its hash. Owns the file, the hash, and the words for what
 * changed. The definitions are kept beside their hashes so that a change can be shown.
 */
import { createHash, randomUUID } from "node:crypto";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { EscapementError } from "../../src/protocol/errors.ts";
import type { Json } from "../../src/protocol/json.ts";

/** What of a tool a model sees, and what the server claims of it. Icons and `_meta` are neither. */
export type Definition = {
  readonly name: string;
  readonly title?: string;
  readonly description?: string;
  readonly inputSchema: Json;
  readonly outputSchema?: Json;
  readonly annotations?: Json;
};

export type Pin = { readonly hash: string; readonly definition: Definition };
export type ServerPins = { readonly [tool: string]: Pin };
/** Server → tool → what was accepted. */
type Lock = { readonly [server: string]: ServerPins };

export const hashOf = (definition: Definition): string =>
  `sha256-${createHash("sha256")
    .update(JSON.stringify(sorted(definition as Json)))
    .digest("base64url")}`;

export const pinOf = (definition: Definition): Pin => ({ hash: hashOf(definition), definition });

/** Undefined where the server was never used. Throws `invalid_request` when the file cannot be read. */
export function readPins(file: string, server: string): ServerPins | undefined {
  const lock = read(file);
  return Object.hasOwn(lock, server) ? lock[server] : undefined;
}

/** Replaces what was accepted of a server. The file is whole at every instant. */
export function writePins(file: string, server: string, pins: ServerPins): void {
  const next = `${file}.${randomUUID()}`;
  try {
    writeFileSync(next, `${JSON.stringify(sorted({ ...read(file), [server]: pins } as Json), null, 2)}\n`);
    renameSync(next, file);
  } catch (error) {
    rmSync(next, { force: true });
    if (error instanceof EscapementError) throw error;
    throw refused(
      `what was accepted of the MCP server "${server}" cannot be written to ${file} (${(error as NodeJS.ErrnoException).code}): ` +
        `run \`escapement mcp pin ${server}\` where it can be, and ship the file`,
    );
  }
}

/** What differs, one line a place: `description: "old" → "new"`. At most eight lines. */
export function differences(before: Json | undefined, after: Json | undefined): readonly string[] {
  const lines = [...changes("", before, after)];
  return lines.length > maxLines ? [...lines.slice(0, maxLines), `and ${lines.length - maxLines} more`] : lines;
}

const maxLines = 8;
const maxShown = 160;

function* changes(path: string, before: Json | undefined, after: Json | undefined): Generator<string> {
  if (isObject(before) && isObject(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)]))
      yield* changes(path === "" ? key : `${path}.${key}`, before[key], after[key]);
  } else if (JSON.stringify(sorted(before ?? null)) !== JSON.stringify(sorted(after ?? null))) {
    yield `${path}: ${shown(before)} → ${shown(after)}`;
  }
}

function shown(value: Json | undefined): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value);
  return text.length > maxShown ? `${text.slice(0, maxShown)}…` : text;
}

function read(file: string): Lock {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw refused(`${file} cannot be read (${(error as NodeJS.ErrnoException).code}): it says which MCP tools were accepted`);
  }
  try {
    const lock = JSON.parse(text) as Json;
    if (isObject(lock) && Object.values(lock).every(isPins)) return lock as Lock;
  } catch {
    // Said below.
  }
  throw refused(`${file} is not a lock file of MCP tools: restore it, or remove it and accept the tools again`);
}

const isPins = (value: Json | undefined): boolean =>
  isObject(value) && Object.values(value).every((pin) => isObject(pin) && typeof pin.hash === "string" && isObject(pin.definition));

const isObject = (value: Json | undefined): value is { readonly [key: string]: Json } =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Keys in one order at every depth: JSON that says the same is the same text. */
function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key] as Json)]),
  );
}

const refused = (message: string): EscapementError => new EscapementError("invalid_request", message, { details: { path: "mcp" } });
