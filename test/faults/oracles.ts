/** What must hold after every fault (FAULTS.md): each oracle looks at the world that a row has left, and throws what is wrong. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { ErrorBody } from "../../src/protocol/errors.ts";
import { errorCodes } from "../../src/protocol/errors.ts";
import type { Event } from "../../src/protocol/events.ts";
import { getRun, post } from "../whole-path/protocol-client.ts";
import { until } from "../whole-path/until.ts";
import { readStream } from "./event-stream.ts";
import type { RowReport } from "./row.ts";
import { canaries, type FaultWorld, type Played } from "./world.ts";

export type Oracle = "O1" | "O2" | "O3" | "O4" | "O5" | "O7" | "O9" | "O10";

/** In this order: what heals comes last. O6 is looked at once the world is closed (`baseline.ts`). */
const all: readonly [Oracle, (world: FaultWorld) => Promise<void>][] = [
  ["O1", oneEnd],
  ["O2", moneyAgrees],
  ["O3", nothingTwice],
  ["O4", oneSequence],
  ["O5", withinCaps],
  ["O10", failuresSayAll],
  ["O9", worksAgain],
  ["O7", keepsSecrets],
];

export async function oracles(world: FaultWorld, report: RowReport, except: { readonly [oracle in Oracle]?: string }): Promise<void> {
  for (const [name, holds] of all) {
    if (except[name] !== undefined) continue;
    try {
      await holds(world);
      report.passed.push(name);
    } catch (error) {
      report.failed.push(name);
      throw error;
    }
  }
}

const isFact = ({ type }: Event): boolean => !["text.delta", "reasoning.delta", "partial"].includes(type);
const factsOf = (events: readonly unknown[]): Event[] => (events as Event[]).filter(isFact);

/** One `run.finished`, the last; a cancel that comes too late changes nothing. */
async function oneEnd({ played, url }: FaultWorld): Promise<void> {
  for (const { transcript, run } of played) {
    expect(transcript.of("run.finished")).toHaveLength(1);
    expect(transcript.events.at(-1)).toMatchObject({ type: "run.finished", status: run.status });
  }
  for (const { run } of played.slice(0, 3)) {
    expect((await post(url, `/v1/runs/${run.id}/cancel`, {})).status).toBe(200);
    expect(await getRun(url, run.id)).toEqual(run);
  }
}

/** Spent + held ≤ limit after every transaction; no hold is left; the ledger is the providers' invoice, estimated calls between it and their hold. */
async function moneyAgrees({ played, audit, invoices, runtime }: FaultWorld): Promise<void> {
  expect(audit.looks).toBeGreaterThan(0);
  expect(audit.over).toEqual([]);
  let spent = 0;
  for (const { run, transcript, entries } of played) {
    spent += run.cost_microusd;
    expect(run.held_microusd).toBe(0);
    const finished = transcript.of("call.finished");
    const invoice = entries.reduce((sum, entry) => sum + invoices.nano(entry), 0) / 1_000;
    const holds = transcript.of("call.started").reduce((sum, { hold_microusd }) => sum + hold_microusd, 0);
    const costs = finished.reduce((sum, { cost_microusd }) => sum + cost_microusd, 0);
    expect(run.cost_microusd).toBeCloseTo(costs, 3);
    if (finished.some(({ usage }) => usage.estimated)) {
      expect(run.cost_microusd, "estimated: at least the invoice").toBeGreaterThanOrEqual(invoice - 1e-6);
      expect(run.cost_microusd, "estimated: at most the holds").toBeLessThanOrEqual(holds + 1e-6);
    } else expect(run.cost_microusd, `the ledger and the invoice of ${run.id}`).toBeCloseTo(invoice, 3);
  }
  const [system] = (await runtime.budgets()).filter(({ level }) => level === "system");
  if (system) expect(system.held.cost_microusd).toBe(0);
  if (system) expect(system.spent.cost_microusd).toBeGreaterThanOrEqual(spent - 1e-3);
}

/** No effect was done twice: each use of a tool has a key of its own. */
async function nothingTwice({ noted, played }: FaultWorld): Promise<void> {
  expect(new Set(noted).size).toBe(noted.length);
  const returned = played.reduce(
    (sum, { transcript }) => sum + transcript.of("tool.returned").filter(({ tool }) => tool === "note").length,
    0,
  );
  expect(noted).toHaveLength(returned);
}

/** The numbers are 1, 2, 3, …; a second transport at the same time, the store, an event stream afterwards and one that was resumed say the same. */
async function oneSequence({ played, url, runtime }: FaultWorld): Promise<void> {
  for (const { run, transcript, streamed } of played) {
    const facts = factsOf(transcript.events);
    expect(facts.map(({ seq }) => seq)).toEqual(facts.map((_, index) => index + 1));
    if (!streamed) continue;
    expect(factsOf(await streamed)).toEqual(facts);
    expect((await runtime.facts(run.id)).data).toEqual(facts);
    expect(factsOf(await readStream(`${url}/v1/runs/${run.id}/events`))).toEqual(facts);
    const middle = Math.floor(facts.length / 2);
    const rest = await readStream(`${url}/v1/runs/${run.id}/events`, { "last-event-id": String(middle) });
    expect(factsOf(rest)).toEqual(facts.slice(middle));
  }
}

async function withinCaps({ played }: FaultWorld): Promise<void> {
  for (const { run, transcript } of played) {
    const { limits } = transcript.of("run.accepted")[0] as Event & { type: "run.accepted" };
    expect(run.steps).toBeLessThanOrEqual(limits.max_steps);
    expect(run.calls).toBeLessThanOrEqual(limits.max_calls);
    expect(run.tool_calls).toBeLessThanOrEqual(limits.max_tool_calls);
    expect(transcript.of("call.started").length).toBeLessThanOrEqual(limits.max_calls);
    expect(run.calls).toBeLessThanOrEqual((run as unknown as { bounds: { calls: number } }).bounds.calls);
  }
}

/** Words by which a message says what to do. The words of a refusal are the model's own. */
const advises = /\b(add|ask|change|check|choose|configure|give|loosen|lower|mend|raise|report|say|send|set|start|top up|try|use|wait)\b/i;

/** A code of the protocol, whether it may be tried again, which attempt of which run, which provider where one was asked, what to do. */
async function failuresSayAll({ played }: FaultWorld): Promise<void> {
  for (const { run, transcript } of played) {
    if (run.error) says(run.error as ErrorBody, `the end of ${run.id}`);
    const started = new Map(transcript.of("call.started").map((event) => [event.call, event]));
    for (const { call, error, run: id } of transcript.of("call.finished")) {
      if (!error) continue;
      says(error as ErrorBody, `${id} ${call}`);
      const asked = started.get(call);
      expect(asked?.attempt, "the attempt").toBeGreaterThan(0);
      expect(asked?.tier).toEqual(expect.any(String));
      if (["provider_rate_limited", "provider_unavailable", "provider_rejected", "interrupted", "timeout"].includes(error.code))
        expect(error.details?.provider, `the provider of ${JSON.stringify(error)}`).toEqual(expect.any(String));
    }
  }
}

function says(error: ErrorBody, where: string): void {
  expect(errorCodes, where).toContain(error.code);
  expect(error.retryable, where).toEqual(expect.any(Boolean));
  expect(error.message, where).not.toBe("");
  if (error.code !== "refused") expect(error.message, `${where} says what to do`).toMatch(advises);
}

/** Healed, the last five of each entry point succeed: HTTP, WebSocket, event stream, in process, and the other agent. */
async function worksAgain(world: FaultWorld): Promise<void> {
  const { url, runtime } = world;
  world.heal();
  await until("the breaker to let a probe through", async () => (await world.run("alone")).run.status === "done", 20_000);
  for (let i = 0; i < 5; i++) {
    const input = "Is it well?";
    expect((await world.run("alone")).run).toMatchObject({ status: "done" });
    expect((await post(url, "/v1/runs", { agent: "alone", input })).body).toMatchObject({ status: "done" });
    const streamed = await fetch(`${url}/v1/runs`, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "text/event-stream" },
      body: JSON.stringify({ agent: "chain", input }),
    });
    expect(await streamed.text()).toContain('"status":"done"');
    const handle = await runtime.start({ agent: "worker", input });
    expect(await handle.result()).toMatchObject({ status: "done" });
  }
}

/** The keys are in the requests that the providers got, and nowhere else: no event, no Run, no journal, no message to operators, no byte of the store. */
async function keepsSecrets(world: FaultWorld): Promise<void> {
  const { primary, url, told, folder, played } = world;
  const secrets = Object.values(canaries);
  expect(primary.book.entries.some(({ request }) => request.headers.authorization?.includes(canaries.primary))).toBe(true);
  const sinks: [string, string][] = [["what operators were told", told.join("\n")]];
  for (const { transcript, run } of played) sinks.push([`run ${run.id}`, JSON.stringify([transcript.events, run])]);
  for (const { run } of played.slice(0, 3))
    sinks.push([`journal of ${run.id}`, await (await fetch(`${url}/v1/runs/${run.id}/journal`)).text()]);
  sinks.push(["/metrics", await (await fetch(`${url}/metrics`)).text()]);
  for (const name of readdirSync(folder)) sinks.push([name, readFileSync(join(folder, name), "latin1")]);
  for (const [name, text] of sinks) for (const secret of secrets) expect(text.includes(secret), `a key in ${name}`).toBe(false);
}

export type { Played };
