/** The keys that have a value: what optional fields want under `exactOptionalPropertyTypes`, and what JSON would send anyway. */
export function present<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  // Only keys were removed, and only those whose value was undefined.
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}
