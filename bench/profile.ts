/** Reads CPU profiles (`--cpu-prof`, one file a thread) and prints where the time of the measured window went. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

type Profile = {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  /** µs of the monotonic clock. */
  readonly startTime: number;
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
};

/** `us`: self time. */
type FunctionTime = { readonly file: string; readonly name: string; us: number };

function readProfile(profile: Profile, [from, to]: readonly [number, number], root: string, into: Map<string, FunctionTime>): void {
  const frames = new Map(profile.nodes.map((node) => [node.id, node.callFrame]));
  let at = profile.startTime;
  profile.samples.forEach((sample, index) => {
    at += profile.timeDeltas[index]!;
    const frame = frames.get(sample)!;
    if (at < from || at > to || frame.functionName === "(idle)") return;
    const file = frame.url === "" ? "(engine)" : frame.url.replace("file://", "").replace(root, "");
    const name = frame.url === "" ? frame.functionName : `${frame.functionName || "(anonymous)"}:${frame.lineNumber + 1}`;
    const entry = into.get(`${file} ${name}`) ?? { file, name, us: 0 };
    // A sample stands for the time until the next one.
    entry.us += profile.timeDeltas[index + 1] ?? 0;
    into.set(`${file} ${name}`, entry);
  });
}

/** `units` is what the time is divided by (runs, tokens); files by their share among the `top` functions, biggest first. */
export function renderProfiles(
  directory: string,
  window: readonly [number, number],
  units: number,
  unit: string,
  root: string,
  top = 25,
): string {
  const times = new Map<string, FunctionTime>();
  const files = readdirSync(directory).filter((file) => file.endsWith(".cpuprofile"));
  for (const file of files) {
    // V8's format.
    readProfile(JSON.parse(readFileSync(join(directory, file), "utf8")) as Profile, window, root, times);
  }
  const all = [...times.values()].sort((a, b) => b.us - a.us);
  const total = all.reduce((sum, entry) => sum + entry.us, 0);
  const figure = (us: number): string => `${(us / units).toFixed(2).padStart(9)}  ${((100 * us) / total).toFixed(1).padStart(5)} %`;
  const groups = Map.groupBy(all.slice(0, top), (entry) => entry.file);
  const fileTotal = (file: string): number => all.reduce((sum, entry) => sum + (entry.file === file ? entry.us : 0), 0);
  const lines = [`${figure(total)}  all threads (${files.length}), self time, ${unit}; the sampling itself costs too`];
  for (const [file, entries] of [...groups].sort((a, b) => fileTotal(b[0]) - fileTotal(a[0]))) {
    lines.push(`${figure(fileTotal(file))}  ${file}`, ...entries.map((entry) => `${figure(entry.us)}      ${entry.name}`));
  }
  return lines.join("\n");
}
