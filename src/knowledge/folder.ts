/**
 * The files of a folder that can be indexed: of a known format, not hidden, within the bounds. Links are not followed, so nothing outside
 * of the folder is read.
 */
import { constants } from "node:fs";
import { lstat, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { EscapementError } from "../protocol/errors.ts";
import { maxFileBytes, UnreadableDocument } from "./content.ts";
import { isKnownFormat } from "./formats/formats.ts";

/** Documents of one folder. */
export const maxDocuments = 5_000;
/** A tag has at most 200 characters, and a document's id is in one. */
const maxIdLength = 190;
const maxDepth = 32;

export type Failure = { readonly document: string; readonly reason: string };
export type Listing = {
  /** Paths from the folder with `/`, in their order. */
  readonly documents: readonly string[];
  /** Files of other formats. */
  readonly others: number;
  readonly failures: readonly Failure[];
  /** Folders that could not be read: what was known of them stays. */
  readonly unread: readonly string[];
};

/** Throws `invalid_request` when there is no such folder. */
export async function listed(folder: string): Promise<Listing> {
  const stat = await lstat(folder).catch(() => null);
  if (!stat?.isDirectory() && !stat?.isSymbolicLink())
    throw new EscapementError("invalid_request", `there is no folder ${folder} to index: correct \`folder\``);
  const documents: string[] = [];
  const failures: Failure[] = [];
  const unread: string[] = [];
  let others = 0;
  const visit = async (path: string, depth: number): Promise<void> => {
    const entries = await readdir(join(folder, path), { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
      unread.push(path);
      failures.push({ document: path || ".", reason: `the folder cannot be read (${error.code})` });
      return [];
    });
    for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
      const id = path ? `${path}/${entry.name}` : entry.name;
      if (entry.isDirectory() && depth < maxDepth) await visit(id, depth + 1);
      else if (!entry.isFile()) continue;
      else if (!isKnownFormat(entry.name)) others++;
      else if (id.length > maxIdLength) failures.push({ document: id, reason: `its path has more than ${maxIdLength} characters` });
      else if (documents.length >= maxDocuments) failures.push({ document: id, reason: `there are ${maxDocuments} documents before it` });
      else documents.push(id);
    }
  };
  await visit("", 0);
  return { documents, others, failures, unread };
}

/** The bytes of a document, never more than the bound. Throws {@link UnreadableDocument}. */
export async function bytesOf(folder: string, id: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    // Neither a link nor a pipe that it was replaced by meanwhile.
    const file = await open(join(folder, id), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const { size } = await file.stat();
      if (size > maxFileBytes) throw new UnreadableDocument(`it has ${size} bytes, at most ${maxFileBytes} are read`);
      const bytes = new Uint8Array(size);
      const { bytesRead } = await file.read(bytes, 0, size, 0);
      if (bytesRead < size) throw new UnreadableDocument("it was changed while it was read");
      return bytes;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof UnreadableDocument) throw error;
    throw new UnreadableDocument(`it cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}
