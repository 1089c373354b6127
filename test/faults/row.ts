/**
 * A row of the catalogue of faults as a test: it plays the fault in a world of its own, holds the oracles against what is left, and writes
 * down what was seen for the table of `npm run faults`. Once in the suite, `FAULTS_REPEAT` times by the command.
 */
import { test } from "vitest";
import { atRest, type Rest, restored } from "./baseline.ts";
import { type Oracle, oracles } from "./oracles.ts";
import { FaultWorld, type WorldOptions } from "./world.ts";

/** What the table shows of a row. */
export type RowReport = {
  readonly id: string;
  readonly fault: string;
  readonly injected: string;
  seen?: string;
  passed: string[];
  failed: string[];
  pending?: string;
  repeated?: number;
};

declare module "vitest" {
  interface TaskMeta {
    fault?: RowReport;
  }
}

export type RowOptions = WorldOptions & {
  /** What is done to the system, in a few words. */
  readonly injected: string;
  /** Oracles that this fault is the stated exception of, and why. */
  readonly except?: { readonly [oracle in Oracle]?: string };
  /** Played this often at most, also by the command: rows that take long by themselves. */
  readonly repeat?: number;
};

/** The command plays more of everything that a row does many times. */
export const isWhole = process.env.FAULTS_WHOLE === "1";
export const many = (whole: number, inSuite: number): number => (isWhole ? whole : inSuite);
const repeats = Number(process.env.FAULTS_REPEAT ?? 1);

/** `play` injects the fault and checks what the row asks for; it gives what was seen, in a few words. */
export function row(id: string, fault: string, options: RowOptions, play: (world: FaultWorld) => Promise<string>): void {
  test(`${id} ${fault}`, { timeout: 120_000 * repeats }, async ({ task }) => {
    const report: RowReport = { id, fault, injected: options.injected, passed: [], failed: [] };
    task.meta.fault = report;
    const times = Math.min(repeats, options.repeat ?? repeats);
    for (let time = 0; time < times; time++) {
      const rest = atRest();
      const world = await FaultWorld.open(options);
      try {
        report.seen = await play(world);
        await oracles(world, report, options.except ?? {});
      } finally {
        await world.close();
      }
      await check(report, rest);
    }
    report.repeated = times;
    report.passed = [...new Set(report.passed)].sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));
  });
}

/** A row whose subject is not there yet: it stands in the table with the reason. */
export function pending(id: string, fault: string, reason: string): void {
  test(`${id} ${fault}`, ({ task, skip }) => {
    task.meta.fault = { id, fault, injected: "", passed: [], failed: [], pending: reason };
    skip(reason);
  });
}

async function check(report: RowReport, rest: Rest): Promise<void> {
  try {
    await restored(rest);
    report.passed.push("O6");
  } catch (error) {
    report.failed.push("O6");
    throw error;
  }
}
