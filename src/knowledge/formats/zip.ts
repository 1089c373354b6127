/**
 * The parts of an Office file, which is a zip of XML. What a part unpacks to is counted as it comes, not believed from the directory: a
 * small file may hold gigabytes (a zip bomb), and its directory may lie.
 */
import { Unzip, UnzipInflate } from "fflate";
import { Parser } from "htmlparser2";
import { Depth, maxUnpackedBytes, UnreadableDocument } from "../content.ts";

/** Compressed bytes given at once: with deflate's best ratio (1 : 1,032) they unpack to 16 MB before they are counted. */
const step = 16 * 1024;
const maxParts = 20_000;

/** The wanted parts by name, as text; `maxBytes` of them together. */
export function unpack(bytes: Uint8Array, wanted: RegExp, maxBytes = maxUnpackedBytes): Map<string, string> {
  if (bytes[0] === 0xd0 && bytes[1] === 0xcf) throw new UnreadableDocument("it is protected by a password, or in the older binary format");
  if (bytes[0] !== 0x50 || bytes[1] !== 0x4b) throw new UnreadableDocument("it is not what its name says: no zip");
  const parts = new Map<string, string>();
  let total = 0;
  let count = 0;
  const unzip = new Unzip((part) => {
    if (++count > maxParts) throw new UnreadableDocument(`it has more than ${maxParts} parts`);
    if (!wanted.test(part.name)) return;
    const decoder = new TextDecoder();
    let text = "";
    part.ondata = (error, data, final) => {
      // What is thrown here comes back as an error of the part.
      if (error) throw error instanceof UnreadableDocument ? error : new UnreadableDocument(`its part ${part.name} is damaged`);
      total += data.length;
      if (total > maxBytes) throw new UnreadableDocument(`it unpacks to more than ${maxBytes / 1024 / 1024} MB (is it a zip bomb?)`);
      text += decoder.decode(data, { stream: !final });
      if (final) parts.set(part.name, text);
    };
    part.start();
  });
  unzip.register(UnzipInflate);
  try {
    for (let at = 0; at < bytes.length; at += step) unzip.push(bytes.subarray(at, at + step), at + step >= bytes.length);
  } catch (error) {
    throw error instanceof UnreadableDocument ? error : new UnreadableDocument("its zip is damaged");
  }
  return parts;
}

export function partOf(parts: ReadonlyMap<string, string>, name: string): string {
  const part = parts.get(name);
  if (part === undefined) throw new UnreadableDocument(`its part ${name} is missing or cut off`);
  return part;
}

export type XmlHandler = {
  open?(name: string, attributes: { readonly [name: string]: string }): void;
  text?(text: string): void;
  close?(name: string): void;
};

/** Walks XML by local names: `w:p` is `p`. Entities of its own are not known to the parser, so none can grow. */
export function walk(xml: string, { open, text, close }: XmlHandler): void {
  const depth = new Depth();
  const parser = new Parser(
    {
      onopentag(name, attributes) {
        depth.open();
        open?.(local(name), localNames(attributes));
      },
      ontext: (part) => text?.(part),
      onclosetag(name) {
        depth.close();
        close?.(local(name));
      },
    },
    { xmlMode: true },
  );
  parser.end(xml);
}

const local = (name: string): string => name.slice(name.indexOf(":") + 1);

/** Of two with one local name the one with a prefix stays. */
function localNames(attributes: { readonly [name: string]: string }): { [name: string]: string } {
  const named: { [name: string]: string } = {};
  for (const [key, value] of Object.entries(attributes)) if (key.includes(":") || !(key in named)) named[local(key)] = value;
  return named;
}

/** The title that the author gave, in `docProps/core.xml`. */
export function titleOf(parts: ReadonlyMap<string, string>): string | undefined {
  let title = "";
  let isIn = false;
  walk(parts.get("docProps/core.xml") ?? "", {
    open: (name) => {
      isIn = name === "title";
    },
    text: (part) => {
      if (isIn) title += part;
    },
    close: () => {
      isIn = false;
    },
  });
  return title.trim() || undefined;
}
