/** Marks on runs, as `POST /v1/runs/{id}/scores` takes and `GET` tells them: a person's or a judge's. */
import { z } from "zod";

export const scoreBody = z.strictObject({
  /** What is judged: `correct`, `tone`, `thumbs`. */
  name: z.string().min(1).max(100),
  value: z.number(),
  comment: z.string().max(2_000).optional(),
});
export type ScoreBody = z.infer<typeof scoreBody>;

/** One author has one mark a name on a run: a later one takes the place of the one before. */
export type Score = {
  readonly name: string;
  readonly value: number;
  readonly comment?: string;
  /** User, key or tenant that gave it; `evals` where sampling did. */
  readonly by: string;
  readonly at: string;
};
