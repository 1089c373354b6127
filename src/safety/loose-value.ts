/** Any value that a program may want logged, as bounded JSON: errors with their causes, maps, what throws when it is read. */
import type { Json } from "../protocol/json.ts";

/** Levels below the value itself. */
const maxDepth = 12;
const maxParts = 1_000;

export type Under = (key: string, text: string, show: (text: string) => string) => string;

/** `line` is what becomes of a text, `under` of a text under a key that may say what it is. Never throws. */
export const looseValue = (value: unknown, line: (text: string) => string, under: Under): Json => new Walk(line, under).value(value, 0, "");

/** A card may be written as a number. */
export function maskedNumber(value: number, text: (text: string) => string): Json {
  const shown = text(String(value));
  return shown === String(value) ? value : shown;
}

class Walk {
  private parts = 0;
  private readonly line: (text: string) => string;
  private readonly under: Under;
  private readonly above = new Set<object>();

  constructor(line: (text: string) => string, under: Under) {
    this.line = line;
    this.under = under;
  }

  value(value: unknown, depth: number, key: string): Json {
    switch (typeof value) {
      case "string":
        return this.under(key, value, this.line);
      case "number":
        return Number.isFinite(value) ? (Math.abs(value) < 1e11 ? value : maskedNumber(value, this.line)) : String(value);
      case "boolean":
        return value;
      case "object":
        return value === null ? null : this.object(value, depth, key);
      case "undefined":
        return null;
      default:
        return this.line(String(value).slice(0, 200));
    }
  }

  private object(value: object, depth: number, key: string): Json {
    if (depth >= maxDepth) return "[too deep]";
    if (this.above.has(value)) return "[circular]";
    if (++this.parts > maxParts) return "[too large]";
    this.above.add(value);
    try {
      if (value instanceof Error) return this.error(value, depth);
      if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
      if (value instanceof URL) return this.line(value.href);
      if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
      if (value instanceof Map || value instanceof Headers) return this.entries([...value.entries()].slice(0, maxParts), depth);
      if (Array.isArray(value) || value instanceof Set) return this.list([...value], depth, key);
      if ("toJSON" in value && typeof value.toJSON === "function") return this.value(value.toJSON(), depth + 1, key);
      return this.entries(Object.entries(value), depth);
    } catch {
      return "[unreadable]";
    } finally {
      this.above.delete(value);
    }
  }

  private list(all: readonly unknown[], depth: number, key: string): Json {
    const shown: Json[] = [];
    for (const one of all) {
      if (++this.parts > maxParts) return [...shown, `[cut: ${all.length - shown.length} more]`];
      shown.push(this.value(one, depth + 1, key));
    }
    return shown;
  }

  private entries(all: readonly (readonly [unknown, unknown])[], depth: number): Json {
    const shown: { [key: string]: Json } = {};
    let count = 0;
    for (const [key, one] of all) {
      if (one === undefined) continue;
      if (++this.parts > maxParts) return { ...shown, "[cut]": `${all.length - count} more` };
      const name = String(key);
      shown[this.line(name)] = this.value(one, depth + 1, name);
      count++;
    }
    return shown;
  }

  private error(error: Error, depth: number): Json {
    const { name, message, stack, cause } = error;
    const more = Object.entries(error).filter(([key]) => !["name", "message", "stack", "cause"].includes(key));
    return {
      type: this.line(String(name)),
      message: this.line(String(message)),
      ...(stack !== undefined && { stack: this.line(String(stack)) }),
      ...(more.length > 0 && (this.entries(more, depth) as object)),
      ...(cause !== undefined && { cause: this.value(cause, depth + 1, "") }),
      ...(error instanceof AggregateError && { errors: this.list(error.errors, depth, "") }),
    };
  }
}
