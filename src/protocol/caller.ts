/** Who asks. Made at the edge from a token, with auth off one local operator; in process it is the program itself. */
export type Caller = {
  readonly tenant: string;
  readonly user?: string;
  /** Id of its API key. */
  readonly key?: string;
  /** What its user has subscribed to: limits and features go by it. */
  readonly plan?: string;
  readonly scopes: readonly string[];
};
