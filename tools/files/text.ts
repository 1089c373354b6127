/** Text in files: what is no text is refused. */
const looked = 8_192;

/** Throws for a binary file; `path` is how it is called. */
export function textOf(bytes: Buffer, path: string): string {
  if (isBinary(bytes)) throw new Error(`${path} is binary: only text in UTF-8 is read`);
  return new TextDecoder().decode(bytes);
}

export function isBinary(bytes: Buffer): boolean {
  if (bytes.subarray(0, looked).includes(0)) return true;
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return false;
  } catch {
    return true;
  }
}
