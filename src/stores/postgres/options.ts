/** What a program may say about the Postgres store beside its address. */
export type PostgresOptions = {
  /** Schema that holds the tables, made where it is missing. Default `escapement`. */
  readonly schema?: string;
};
