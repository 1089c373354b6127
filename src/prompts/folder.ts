/** Prompts from a folder: `<name>@<version>.md`, the text of each a template. Read once, when the program defines its agents. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { EscapementError } from "../protocol/errors.ts";
import { type Prompt, prompt } from "./prompt.ts";

export type Prompts = {
  /** `name@version`. Throws `not_found` with those that there are. */
  get(id: string): Prompt;
  readonly ids: readonly string[];
};

/** Throws `invalid_request` where the folder cannot be read, or a file in it has another name or is no template. */
export function prompts(folder: string): Prompts {
  const known = new Map(filesOf(folder).map((file) => read(folder, file)));
  return {
    ids: [...known.keys()],
    get(id) {
      const found = known.get(id);
      if (!found)
        throw new EscapementError(
          "not_found",
          `there is no prompt "${id}" in ${folder}; there are: ${[...known.keys()].join(", ") || "none"}`,
        );
      return found;
    },
  };
}

function filesOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .filter((file) => file.endsWith(".md"))
      .sort();
  } catch (error) {
    throw new EscapementError("invalid_request", `the prompts cannot be read: ${(error as Error).message}`);
  }
}

function read(folder: string, file: string): readonly [string, Prompt] {
  const [, name, version] = /^([^@]+)@([^@]+)\.md$/.exec(file) ?? [];
  if (name === undefined || version === undefined)
    throw new EscapementError(
      "invalid_request",
      `${join(folder, file)} is not named as a prompt: <name>@<version>.md, for example guide@1.md`,
    );
  return [`${name}@${version}`, prompt({ name, version, template: readFileSync(join(folder, file), "utf8").trimEnd() })];
}
