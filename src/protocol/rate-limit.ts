/** One limit of a caller as it stands, as the headers tell it. */
export type RateLimit = {
  readonly name: string;
  readonly limit: number;
  readonly windowMs: number;
  readonly remaining: number;
  readonly resetMs: number;
};
