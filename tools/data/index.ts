/** Tool group `data`: questions to the CSV and JSON files of a folder. */
import type { Tool } from "../../src/runtime/tool.ts";
import { Root } from "../files/root.ts";
import { queryData } from "./query-data.ts";

export type DataOptions = {
  /** The folder with the files; nothing beside it is reached. */
  readonly root: string;
};

export const data = ({ root }: DataOptions): readonly Tool[] => [queryData(new Root(root, "tools.data.root"))];
