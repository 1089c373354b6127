/** The contract of contestants: who does the work that is measured. One file per contestant, which imports nothing of the others. */
import type { Way } from "./workload.ts";

export type Site = {
  readonly name: ContestantName;
  /** Ends in `/v1`; answers in the way below. */
  readonly baseUrl: string;
  readonly way: Way;
  /** An empty directory on a disk, for what is to be durable. Removed afterwards. */
  readonly directory: string;
};

/** A run whose stream hangs after its first text, which has reached the subscriber. */
export type Hanging = {
  /** Asks for the end and returns at once. */
  cancel(): void;
  /** The contestant's side is over. Never rejects. */
  readonly ended: Promise<unknown>;
};

export type Session = {
  /** One run from question to end; gives the answer's text as its subscriber read it. */
  run(): Promise<string>;
  hang(): Promise<Hanging>;
  close(): Promise<void>;
};

export type Contestant = { open(site: Site): Promise<Session> };

/** File and argument of each; names are what the table shows. */
export const contestants = {
  floor: { title: "floor (undici dispatcher)", file: "./floor.ts" },
  "openai-sdk": { title: "openai SDK, bare", file: "./openai-sdk.ts" },
  "ours-full": { title: "ours, durability full", file: "./ours.ts" },
  "ours-process": { title: "ours, durability process", file: "./ours.ts" },
} as const;
export type ContestantName = keyof typeof contestants;
export const contestantNames = Object.keys(contestants) as ContestantName[]; // keys of a literal
export const isOurs = (name: ContestantName): boolean => name.startsWith("ours");
