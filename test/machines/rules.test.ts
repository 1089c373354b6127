/** DESIGN §8 as tests on the machines themselves and on their sources. */
import { globSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { describe, expect, test } from "vitest";
import type { AnyStateMachine } from "xstate";
import { agentMachine } from "../../machines/agent.ts";
import { breakerMachine } from "../../machines/breaker.ts";
import { compactionMachine } from "../../machines/compaction.ts";
import { chainMachine } from "../../machines/patterns/chain.ts";
import { fanOutMachine } from "../../machines/patterns/fan-out.ts";
import { mapReduceMachine } from "../../machines/patterns/map-reduce.ts";
import { routerMachine } from "../../machines/patterns/router.ts";
import { requestMachine } from "../../machines/request.ts";
import { routingMachine } from "../../machines/routing.ts";
import { supervisorMachine } from "../../machines/supervisor.ts";
import { toolMachine } from "../../machines/tool.ts";

const machines: { readonly [file: string]: AnyStateMachine } = {
  "agent.ts": agentMachine,
  "breaker.ts": breakerMachine,
  "chain.ts": chainMachine,
  "compaction.ts": compactionMachine,
  "fan-out.ts": fanOutMachine,
  "map-reduce.ts": mapReduceMachine,
  "request.ts": requestMachine,
  "router.ts": routerMachine,
  "routing.ts": routingMachine,
  // Its placeholder of an agent is typed as what is relied on.
  "supervisor.ts": supervisorMachine as unknown as AnyStateMachine,
  "tool.ts": toolMachine,
};

const sources = globSync("machines/**/*.ts").map((path) => ({ file: basename(path), path, text: code(readFileSync(path, "utf8")) }));
const ofMachines = sources.filter(({ text }) => text.includes(".createMachine("));

test("each file with a machine is known here", () => {
  expect(ofMachines.map(({ file }) => file).sort()).toEqual(Object.keys(machines).sort());
});

describe.each(ofMachines)("$path", ({ file, path, text }) => {
  const forbidden: readonly (readonly [name: string, pattern: RegExp])[] = [
    ["a delayed transition", /\bafter\s*:/],
    ["a delay", /\bdelays?\s*:/],
    ["a clock", /\bDate\b|\bperformance\b|\bhrtime\b/],
    ["randomness", /\bMath\.random\b|\bcrypto\b|\brandomUUID\b|\bnanoid\b/],
    ["a timer", /\bset(Timeout|Interval|Immediate)\b|\bqueueMicrotask\b|\bnextTick\b/],
    ["a promise", /\bfromPromise\b|\bPromise\s*[.(]|\bawait\b|\basync\b/],
    ["a callback or an observable", /\bfrom(Callback|Observable|EventObservable)\b/],
    ["Effect", /from "effect/],
    ["another actor's name", /\bsystemId\b|\bsystem\s*\.|\bsendTo\b|\bsendParent\b/],
    ["its own snapshot", /\bgetSnapshot\b|\bself\b/],
    ["a log", /\bconsole\b|\blog\(/],
    ["`any`", /:\s*any\b|\bas any\b|<any>/],
  ];
  for (const [name, pattern] of forbidden) test(`has no use for ${name}`, () => expect(pattern.exec(text)?.[0]).toBeUndefined());

  test("imports only XState, the protocol and other machines", () => {
    const up = path.replace("machines/", "").includes("/") ? "../" : "";
    const protocol = new RegExp(`^\\.\\./${up}src/protocol/`);
    const other = up ? /^(\.|\.\.)\/[a-z-]+\.ts$/ : /^\.\/(patterns\/)?[a-z-]+\.ts$/;
    const imports = [...text.matchAll(/from "([^"]+)"/g)].map(([, from]) => from as string);
    expect(imports.filter((from) => from !== "xstate" && !protocol.test(from) && !other.test(from))).toEqual([]);
  });

  const machine = machines[file] as AnyStateMachine;

  test("says its version, and that a cycle of decisions ends", () => {
    expect(machine.version).toMatch(/^\d+$/);
    expect(machine.options?.maxIterations).toBe(1_000);
    expect(machine.id).toBe(file.replace(/\.ts$/, ""));
  });

  const nodes = nodesOf(machine.root);

  test("has an answer to the failure of everything it starts", () => {
    for (const node of nodes)
      for (const { id } of node.invoke)
        expect([node.id, [...node.transitions.keys()]]).toEqual([node.id, expect.arrayContaining([`xstate.error.actor.${id}`])]);
  });

  test("names what it starts", () => {
    for (const node of nodes) for (const { id } of node.invoke) expect(id, node.id).toMatch(/^[a-z][a-z-]*$/);
  });

  test("does nothing on leaving a state but stop what it started", () => {
    for (const node of nodes) for (const action of node.exit) expect(`${node.id} ${nameOf(action)}`).toMatch(/ stop[A-Z]\w*$/);
  });

  test("names its guards and actions: the diagram holds no code", () => {
    for (const node of nodes) {
      for (const transition of [...[...node.transitions.values()].flat(), ...(node.always ?? [])]) {
        expect(typeof transition.guard, `${node.id} ${transition.eventType}`).not.toBe("function");
        for (const action of transition.actions) expect(typeof action, `${node.id} ${transition.eventType}`).not.toBe("function");
      }
    }
  });

  test("lists its states in the order of life, final ones last", () => {
    const kinds = Object.values(machine.states).map(({ type }) => type === "final");
    expect(kinds).toEqual([...kinds].sort((a, b) => Number(a) - Number(b)));
  });
});

test("work is declared in work.ts alone", () => {
  expect(sources.filter(({ text }) => /\bfromPromise\b/.test(text)).map(({ file }) => file)).toEqual(["work.ts"]);
});

test("nothing in machines/ knows the runtime", () => {
  for (const { path, text } of sources)
    expect([path, /from "[^"]*\/(runtime|stores|providers|server|money)\//.exec(text)?.[0]]).toEqual([path, undefined]);
});

type Node = AnyStateMachine["root"];

function nodesOf(node: Node): readonly Node[] {
  return [node, ...Object.values(node.states).flatMap((child) => nodesOf(child as Node))];
}

const nameOf = (action: unknown): string => (typeof action === "string" ? action : ((action as { type?: string }).type ?? "inline"));

/** Without comments and texts. */
function code(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
}
