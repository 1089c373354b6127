/** What the caches did since the process started. */
export type CacheCounts = {
  /** Look-ups by how they ended. */
  readonly exact: number;
  readonly semantic: number;
  /** Given, too old, because no model answered. */
  readonly stale: number;
  readonly missed: number;
  readonly kept: number;
  /** Calls that shared another one's. */
  readonly shared: number;
  /** Of the semantic cache in shadow mode; `false_hit_rate` is null until one was judged. */
  readonly shadow: {
    /** Look-ups that would have been served. */
    readonly hits: number;
    /** Of those whose own answer came: it agreed with the kept one, or not. */
    readonly right: number;
    readonly wrong: number;
    readonly false_hit_rate: number | null;
  };
  /** What the embedder was asked; its cost is charged to no run. */
  readonly embedder: { readonly tokens: number; readonly cost_microusd: number; readonly failures: number };
};
