/** The tool `write_file`: a whole file at once, so that writing again changes nothing. */
import { z } from "zod";
// The one place of this file that imports `tool`; it becomes the public entry point.
import { type Tool, tool } from "../../src/runtime/tool.ts";
import { pathInput } from "./read.ts";
import type { Root } from "./root.ts";

const maxCharacters = 512 * 1024;
const maxBefore = 8 * 1024 * 1024;

export const writeFile = (root: Root): Tool =>
  tool({
    name: "write_file",
    description:
      "Writes a text file as a whole, with the folders above it. A file that is there stays as it is, unless overwrite says otherwise: " +
      "then the text takes the place of all that was in it.",
    class: "idempotent",
    consequential: true,
    input: z.strictObject({
      path: pathInput.min(1),
      text: z.string().max(maxCharacters),
      overwrite: z.boolean().optional(),
    }),
    async run({ path, text, overwrite = false }) {
      const bytes = Buffer.from(text.toWellFormed());
      await root.write(
        path,
        bytes.toString(),
        (before) => {
          // The same again is no overwriting: this use may have been interrupted after it had written.
          if (before && !overwrite && !before.equals(bytes)) throw new Error(`${path} is there already: give overwrite, or another path`);
        },
        maxBefore,
      );
      return { path, bytes: bytes.byteLength };
    },
  });
