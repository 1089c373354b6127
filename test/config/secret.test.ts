import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readSecret, type Secret } from "../../src/config/secret.ts";

const cwd = mkdtempSync(join(tmpdir(), "escapement-secret-"));
writeFileSync(join(cwd, "key"), "from-file\n");
writeFileSync(join(cwd, "empty"), "\n");
const read = (secret: Secret) => readSecret(secret, "providers.openai.api_key", { env: { KEY: "from-env", EMPTY: "" }, cwd });

describe("readSecret", () => {
  it("takes it as written, from the environment, a file or a command", () => {
    expect(read("written")).toBe("written");
    expect(read({ env: "KEY" })).toBe("from-env");
    expect(read({ file: "key" })).toBe("from-file");
    expect(read({ command: ["printf", "from-command\\n"] })).toBe("from-command");
  });

  it.each<[Secret, RegExp]>([
    [{ env: "EMPTY" }, /^providers\.openai\.api_key: the environment variable EMPTY is not set$/],
    [{ env: "NOPE" }, /NOPE is not set/],
    [{ file: "nowhere" }, /the file nowhere cannot be read \(ENOENT\)/],
    [{ file: "empty" }, /the file empty is empty/],
    [{ command: ["true"] }, /the command true is empty/],
    [{ command: ["no-such-program", "hunter2"] }, /the command no-such-program failed \(ENOENT\)/],
    [{ command: ["sh", "-c", "echo hunter2; echo hunter2 >&2; exit 3"] }, /the command sh failed \(exit code 3\)/],
  ])("says where %o should have been, and shows nothing of it", (secret, reason) => {
    expect(() => read(secret)).toThrow(reason);
    expect(() => read(secret)).not.toThrow(/hunter2/);
  });

  it("runs no shell", () => {
    expect(read({ command: ["printf", "%s", "$HOME; echo no"] })).toBe("$HOME; echo no");
  });
});
