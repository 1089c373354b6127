/**
 * Secrets in a configuration: written out, or said where they are: `{env}`, `{file}`, `{command}`.
 * No error of this file shows a secret, what a command printed, or a file's content.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import { EscapementError } from "../protocol/errors.ts";

export const secretSchema = z.union([
  z.string().min(1),
  z.strictObject({ env: z.string().min(1) }),
  /** Relative to the working folder. */
  z.strictObject({ file: z.string().min(1) }),
  /** Program and arguments; no shell. Its first 64 KiB of output without the line break at the end. */
  z.strictObject({ command: z.array(z.string()).min(1) }),
]);
export type Secret = z.infer<typeof secretSchema>;

const commandMs = 10_000;

/** Throws `invalid_request` that names `path` (`providers.openai.api_key`) and where the secret should have been. */
export function readSecret(secret: Secret, path: string, from: SecretSource): string {
  const value = typeof secret === "string" ? secret : find(secret, path, from).replace(/\r?\n$/, "");
  if (value === "" && typeof secret !== "string") throw missing(path, `${whereOf(secret)} is empty`);
  from.secrets?.add(value);
  return value;
}

/** `secrets` gets what was read, so that it is shown nowhere. */
export type SecretSource = { readonly env: Environment; readonly cwd: string; readonly secrets?: Set<string> };

/** As `process.env`; empty counts as unset. */
export type Environment = { readonly [name: string]: string | undefined };

function find(secret: Exclude<Secret, string>, path: string, { env, cwd }: { readonly env: Environment; readonly cwd: string }): string {
  if ("env" in secret) {
    const value = env[secret.env];
    if (!value) throw missing(path, `the environment variable ${secret.env} is not set`);
    return value;
  }
  if ("file" in secret) {
    try {
      return readFileSync(resolve(cwd, secret.file), "utf8");
    } catch (error) {
      throw missing(path, `${whereOf(secret)} cannot be read (${codeOf(error)})`);
    }
  }
  const [program = "", ...args] = secret.command;
  try {
    return execFileSync(program, args, {
      cwd,
      encoding: "utf8",
      timeout: commandMs,
      maxBuffer: 64 * 1024,
      stdio: ["ignore", "pipe", "ignore"],
    });
  } catch (error) {
    throw missing(path, `${whereOf(secret)} failed (${codeOf(error)})`);
  }
}

/** Arguments of a command may hold secrets of their own, so only the program is named. */
const whereOf = (secret: Exclude<Secret, string>): string =>
  "env" in secret
    ? `the environment variable ${secret.env}`
    : "file" in secret
      ? `the file ${secret.file}`
      : `the command ${secret.command[0]}`;

const missing = (path: string, what: string): EscapementError =>
  new EscapementError("invalid_request", `${path}: ${what}`, { details: { path } });

function codeOf(error: unknown): string {
  // What Node throws carries one of these; their message is not shown, it may repeat the command line or its output.
  const { code, status, signal } = error as { code?: unknown; status?: unknown; signal?: unknown };
  if (typeof code === "string") return code;
  return typeof status === "number" ? `exit code ${status}` : typeof signal === "string" ? signal : "unknown error";
}
