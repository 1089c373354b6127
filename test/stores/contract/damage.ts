/** Carries out SQL on the data of the place that was made last, past the store: damage that no code of ours does. */
export type Damage = (sql: string) => Promise<void>;
