/** Tool group `files`: a folder that a model may list, read, search and, where that is said, write. */
import type { Tool } from "../../src/runtime/tool.ts";
import { listFiles, readFile } from "./read.ts";
import { Root } from "./root.ts";
import { searchFiles } from "./search.ts";
import { writeFile } from "./write.ts";

export type FilesOptions = {
  /** Nothing beside it is reached. */
  readonly root: string;
  /** With `write_file`; without, the group only reads. */
  readonly write?: boolean;
};

export function files({ root: path, write = false }: FilesOptions): readonly Tool[] {
  const root = new Root(path, "tools.files.root");
  return [listFiles(root), readFile(root), searchFiles(root), ...(write ? [writeFile(root)] : [])];
}
