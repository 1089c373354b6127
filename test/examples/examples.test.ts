/** Each small example runs without a key and prints what examples/README.md shows; `UPDATE_EXAMPLES=1 npx vitest run test/examples/examples.test.ts` writes the page anew. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { play, root } from "./play.ts";

const folder = join(root, "examples");
const page = join(folder, "README.md");
const names = readdirSync(folder).filter((name) => /^\d\d-.*\.ts$/.test(name));
const source = (name: string): string => readFileSync(join(folder, name), "utf8");
const isUpdate = process.env.UPDATE_EXAMPLES === "1";
const written: string[] = [];

/** How far a stream came before the cancel reached it depends on the machine. */
const normal = (output: string): string => output.replace(/(kept: "Once upon a time there was a story)[^"]*/, "$1").trim();

const section = (name: string, output: string): string => {
  const [first = "", ...code] = source(name).split("\n");
  return `## ${name.replace(".ts", "")}\n\n${first.replace("// ", "")}\n\n\`\`\`ts\n${code.join("\n").trim()}\n\`\`\`\n\n\`\`\`\n$ npm run example examples/${name}\n${normal(output)}\n\`\`\`\n`;
};

describe("small examples", () => {
  test("there are twelve, each of them under 40 lines", () => {
    expect(names).toHaveLength(12);
    expect(names.filter((name) => source(name).trimEnd().split("\n").length >= 40)).toEqual([]);
  });

  test.each(names)("%s prints what the page shows", async (name) => {
    const output = await play(join("examples", name));
    written.push(section(name, output));
    if (!isUpdate) expect(readFileSync(page, "utf8")).toContain(section(name, output));
  });

  afterAll(() => {
    if (!isUpdate) return;
    const [head = ""] = readFileSync(page, "utf8").split("## 01-");
    writeFileSync(page, `${head}${written.join("\n")}`);
  });
});
