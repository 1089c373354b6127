/** The body of an answer, decoded and counted: neither what comes over the wire nor what it decodes to gets longer than the cap. */
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { EgressError } from "./error.ts";

/** What is asked for; of all others an answer is refused. */
export const encodings = "gzip, deflate, br";

const decoders: { readonly [encoding: string]: typeof createGunzip } = {
  gzip: createGunzip,
  "x-gzip": createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

export type BodySink = {
  write(chunk: Uint8Array): void;
  /** The wire's end: `done` follows when all is decoded. */
  end(): void;
  destroy(): void;
};

/** Calls exactly one of `done` and `fail`, unless it is destroyed before. Throws {@link EgressError} for an encoding that is not known. */
export function collectBody(
  encoding: string | undefined,
  maxBytes: number,
  done: (body: Buffer) => void,
  fail: (error: EgressError) => void,
): BodySink {
  const chunks: Uint8Array[] = [];
  let [wire, size, isOver] = [0, 0, false];
  const finish = (end: () => void): void => {
    if (isOver) return;
    isOver = true;
    decoder?.destroy();
    end();
  };
  const tooLarge = () => finish(() => fail(tooLong(maxBytes)));
  const keep = (chunk: Uint8Array): void => {
    size += chunk.byteLength;
    if (size > maxBytes) tooLarge();
    else chunks.push(chunk);
  };
  const decoder = decoderOf(encoding);
  decoder?.on("data", keep);
  decoder?.on("end", () => finish(() => done(Buffer.concat(chunks))));
  decoder?.on("error", () => finish(() => fail(new EgressError("encoding", `the answer says it is ${encoding}, and is not`))));
  return {
    write(chunk) {
      wire += chunk.byteLength;
      if (wire > maxBytes) tooLarge();
      else if (!isOver) decoder ? decoder.write(chunk) : keep(chunk);
    },
    end() {
      if (decoder && wire > 0) decoder.end();
      else finish(() => done(Buffer.concat(chunks)));
    },
    destroy: () => finish(() => {}),
  };
}

export const tooLong = (maxBytes: number): EgressError =>
  new EgressError("too_large", `the answer has more than ${maxBytes.toLocaleString("en-US")} bytes, which is the limit`);

function decoderOf(encoding = "identity"): ReturnType<typeof createGunzip> | undefined {
  const name = encoding.trim().toLowerCase();
  if (name === "identity" || name === "") return undefined;
  const decoder = Object.hasOwn(decoders, name) ? decoders[name] : undefined;
  if (!decoder) throw new EgressError("encoding", `the answer is encoded as "${name.slice(0, 40)}", which was not asked for`);
  return decoder();
}
