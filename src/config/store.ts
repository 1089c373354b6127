/** Where runs are kept: a store that a program made, the embedded file, or a Postgres database. Nothing is opened here. */
import { join, resolve } from "node:path";
import { EscapementError } from "../protocol/errors.ts";
import type { Store } from "../stores/store.ts";
import type { CheckedConfig } from "./schema.ts";
import { type Environment, readSecret } from "./secret.ts";

/** A file (absolute, or `:memory:`), or a database, whose address holds a password: it is never shown. */
export type StorePlace = { readonly path: string } | { readonly url: string; readonly schema?: string };

/** The file wins over `DATABASE_URL`. Throws `invalid_request` for an address that is none of Postgres. */
export function storeOf(
  { store }: CheckedConfig,
  from: { readonly cwd: string; readonly env: Environment; readonly data: string },
): Store | StorePlace {
  if (store && "commit" in store) return store;
  if (store && "url" in store) {
    const url = checkAddress(readSecret(store.url, "store.url", from), "store.url");
    return { url, ...(store.schema !== undefined && { schema: store.schema }) };
  }
  if (store?.path !== undefined) return { path: store.path === ":memory:" ? store.path : resolve(from.cwd, store.path) };
  const { DATABASE_URL } = from.env;
  if (DATABASE_URL) return { url: checkAddress(DATABASE_URL, "DATABASE_URL") };
  return { path: join(from.data, "escapement.db") };
}

function checkAddress(url: string, path: string): string {
  if (URL.canParse(url) && /^postgres(ql)?:$/.test(new URL(url).protocol)) return url;
  throw new EscapementError(
    "invalid_request",
    `${path} must be the address of a Postgres database (postgres://user:password@host:5432/database; it is not shown here)`,
    { details: { path } },
  );
}
