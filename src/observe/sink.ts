/**
 * Where log lines go: a stream of the process, a file, or what a program gives. Nothing that happens to it reaches the runtime: a reader
 * that left, a full pipe, a disk without room and a `write` that throws cost lines, never a run.
 */
import pino from "pino";

export type LogDestination = "stderr" | "stdout" | { readonly file: string } | { write(line: string): void };

/** Bytes that wait for a slow reader; what comes on top is dropped and counted. */
const maxWaiting = 4 * 1024 * 1024;

export type Sink = {
  write(line: string): void;
  /** Lines that were lost. */
  lost(): number;
  /** Hands over what waits, as far as it is taken at once. */
  close(): void;
};

export function logSink(destination: LogDestination): Sink {
  let lost = 0;
  if (typeof destination === "object" && "write" in destination) {
    return {
      write(line) {
        try {
          destination.write(line);
        } catch {
          lost++;
        }
      },
      lost: () => lost,
      close() {},
    };
  }
  const dest = destination === "stderr" ? 2 : destination === "stdout" ? 1 : destination.file;
  // Asynchronous: a pipe that nobody reads would otherwise stop the process at the next line.
  const stream = pino.destination({ dest, sync: false, maxLength: maxWaiting, mkdir: true });
  stream.on("drop", () => lost++);
  stream.on("error", () => lost++);
  return {
    write: (line) => void stream.write(line),
    lost: () => lost,
    close: () => stream.flush(),
  };
}
