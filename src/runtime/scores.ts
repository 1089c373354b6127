/** Marks on runs: from what a caller says to what the store keeps, and back. Whether the caller sees the run is asked before. */
import type { z } from "zod";
import type { Caller } from "../protocol/caller.ts";
import { EscapementError } from "../protocol/errors.ts";
import { requirement } from "../protocol/requirement.ts";
import { type Score, type ScoreBody, scoreBody } from "../protocol/score.ts";
import { maxScores, type ScoreRow, type Store } from "../stores/store.ts";

export async function keepScore(store: Store, run: string, body: ScoreBody, caller: Caller, now: number): Promise<Score> {
  const { name, value, comment } = checked(body);
  const row: ScoreRow = {
    name,
    by: caller.user ?? caller.key ?? caller.tenant,
    value,
    ...(comment !== undefined && { comment }),
    at: now,
  };
  const result = await store.score(run, row);
  if (result === "not_found") throw new EscapementError("not_found", `there is no run "${run.slice(0, 100)}"`);
  if (result === "full")
    throw new EscapementError("conflict", `the run has ${maxScores} scores, and more are not kept: change one of them`, { run });
  return scoreOf(row);
}

function checked(body: ScoreBody): ScoreBody {
  const parsed = scoreBody.safeParse(body);
  if (parsed.success) return parsed.data;
  // A failed check has at least one issue.
  const issue = parsed.error.issues[0] as z.core.$ZodIssue;
  const path = issue.path.join(".") || "score";
  throw new EscapementError("invalid_request", `${path} ${requirement(issue)}`, { details: { path } });
}

export const scoresOf = async (store: Store, run: string): Promise<Score[]> => (await store.scores(run)).map(scoreOf);

const scoreOf = ({ at, ...rest }: ScoreRow): Score => ({ ...rest, at: new Date(at).toISOString() });
