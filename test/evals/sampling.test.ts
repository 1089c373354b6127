/** Sampling through the real runtime: finished runs are scored in the background, within bounds. */
import { expect, test } from "vitest";
import { consistency, exact, judge, regex } from "../../src/evals/index.ts";
import { isTaken, Sampling } from "../../src/evals/sampling.ts";
import type { AnswerScorer } from "../../src/evals/scorer.ts";
import { agent, createRuntime } from "../../src/index.ts";
import type { CommittedTurn } from "../../src/observe/observer.ts";
import { json } from "../../src/testing/fault-script.ts";
import { type Model, world } from "../runtime/world.ts";

const plain = agent({ name: "plain", machine: "single" });
const opinion = (score: number) => ({ text: JSON.stringify({ reason: "because", score }) });
const isJudged = (request: Parameters<Model>[0]): boolean => request.body.includes("You judge the answer");

/** The marks of a run, once there are `count`. */
async function marks(runtime: Awaited<ReturnType<typeof createRuntime>>, run: string, count: number) {
  for (;;) {
    const { data } = await runtime.scores(run);
    if (data.length >= count) return data;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("a finished run is scored in the background: the mark is on the run, its judge's own run is not sampled", async () => {
  const { runtime, provider } = await world((request) => (isJudged(request) ? opinion(0.25) : { text: "yes" }), {
    agents: [plain],
    evals: { sample: 1, scorers: [regex("^yes$", { name: "says-yes" }), judge({ tier: "main", criteria: "It is long." }), exact()] },
  });
  const { id } = await (await runtime.start({ agent: "plain", input: "?" })).result();
  expect(await marks(runtime, id, 2)).toEqual([
    { name: "judge", value: 0.25, comment: "because", by: "evals", at: expect.any(String) },
    { name: "says-yes", value: 1, comment: "/^yes$/ is found", by: "evals", at: expect.any(String) },
  ]);
  // The run itself and its judge's; a judge of the judge would be a third, and a fourth.
  const again = await (await runtime.start({ agent: "plain", input: "?" })).result();
  await marks(runtime, again.id, 2);
  expect(provider.book.entries).toHaveLength(4);
});

test("a scorer that fails marks nothing and is told", async () => {
  const told: string[] = [];
  const { runtime } = await world(
    (request) => (isJudged(request) ? json(400, { error: { message: "no", type: "invalid_request_error" } }) : { text: "yes" }),
    {
      agents: [plain],
      evals: { sample: 1, scorers: [judge({ tier: "main", criteria: "It is long." }), regex("yes")] },
      onError: (message) => void told.push(message),
    },
  );
  const { id } = await (await runtime.start({ agent: "plain", input: "?" })).result();
  expect((await marks(runtime, id, 1)).map(({ name }) => name)).toEqual(["regex"]);
  expect(told.filter((message) => message.startsWith("evals: "))).toEqual([
    expect.stringMatching(/^evals: "judge" could not score: eval-judge ended as failed/),
  ]);
});

/** A turn as an observer sees it; what sampling reads of it. */
const finished = (run: string, status = "done"): CommittedTurn =>
  ({ run, info: { agent: "plain", tenant: "local", input: "?" }, facts: [{ type: "run.finished", status }] }) as unknown as CommittedTurn;

test("the queue is bounded: what does not fit is counted, and told once a minute", async () => {
  const told: string[] = [];
  let now = 0;
  let release = (): void => {};
  const slow: AnswerScorer = {
    name: "slow",
    of: "answer",
    score: () =>
      new Promise((resolve) => {
        release = () => resolve(null);
      }),
  };
  const { runtime } = await world(() => ({ text: "yes" }), { agents: [plain] });
  const { id } = await (await runtime.start({ agent: "plain", input: "?" })).result();
  const sampling = new Sampling(
    { sample: 1, scorers: [slow], queue: 2 },
    (message) => void told.push(message),
    () => now,
  );
  sampling.begin(runtime);
  sampling.turn(finished(id));
  for (let i = 0; i < 5; i++) sampling.turn(finished(id));
  sampling.turn(finished(id, "failed"));
  expect(sampling.counts).toEqual({ scored: 0, failed: 0, dropped: 3, waiting: 2 });
  expect(told).toEqual(["evals: 1 finished run was not scored, since 2 wait already: lower evals.sample or raise evals.queue"]);
  now = 60_000;
  sampling.turn(finished(id));
  expect(told[1]).toMatch(/^evals: 3 finished runs were not scored/);
  const idle = sampling.idle();
  const pump = setInterval(() => release(), 1);
  await idle;
  clearInterval(pump);
  expect(sampling.counts).toMatchObject({ failed: 0, waiting: 0 });
  await sampling.close();
});

test("the share is taken by the run's id: the same each time, and as large as it is said", () => {
  const ids = Array.from({ length: 20_000 }, (_, i) => `run_${i}`);
  const taken = ids.filter((id) => isTaken(id, 0.05));
  expect(taken.length / ids.length).toBeCloseTo(0.05, 2);
  expect(ids.filter((id) => isTaken(id, 0.05))).toEqual(taken);
  expect([ids.some((id) => isTaken(id, 0)), ids.every((id) => isTaken(id, 1))]).toEqual([false, true]);
});

test("a configuration with a scorer that cannot look at one answer, or without one, is refused", async () => {
  const scorers = [consistency()] as unknown as AnswerScorer[];
  await expect(createRuntime({ env: {}, store: { path: ":memory:" }, evals: { sample: 0.1, scorers } })).rejects.toMatchObject({
    code: "invalid_request",
    message: expect.stringMatching(/evals\.scorers\.0 must be a scorer of single answers/),
  });
  await expect(createRuntime({ env: {}, evals: { sample: 2, scorers: [exact()] } })).rejects.toMatchObject({ code: "invalid_request" });
});
