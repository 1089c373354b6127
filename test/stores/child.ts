/** A process that works on a store, for tests that need a second one or want to kill it. Says on stdout, a line each, what it was promised. */
import { postgres } from "../../src/stores/postgres.ts";
import { sqlite } from "../../src/stores/sqlite.ts";
import type { Store } from "../../src/stores/store.ts";
import { accept, call, close, end, fact, meter, t0, turn } from "./contract/entries.ts";

const [job, path = "", name = ""] = process.argv.slice(2);
/** `path`: a file, or an address with the schema behind a `#`. */
function open(): Store {
  const [url = "", schema] = path.split("#");
  return schema === undefined ? sqlite(path) : postgres(url, { schema });
}
const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);

switch (job) {
  /** Commits batches until it is killed; each promise that was kept is told after it. */
  case "write": {
    const store = open();
    const m = [meter("all", 1_000_000_000)];
    for (let i = 0; ; i++) {
      const run = `${name}.${i}`;
      const batch = [
        accept(run, { owner: name }),
        turn(run, 1, { facts: [fact("a"), fact("b")], asks: [call(1, 1_000, m), call(2, 500, m)] }),
        turn(run, 2, { facts: [fact("c")], closes: [close(1, 700)], asks: [call(3, 100, m)] }),
      ];
      if (i % 3 === 0) batch.push(end(run, 3, { closes: [close(2, 500), close(3, 0)] }));
      const results = await store.commit(batch);
      say({ run, head: batch.length - 1, seq: results.length === 4 ? 5 : 4 });
    }
  }
  /** Reserves for 250 calls, in batches of 5, while others do the same. */
  case "reserve": {
    const store = open();
    let granted = 0;
    for (let i = 0; i < 50; i++) {
      const runs = Array.from({ length: 5 }, (_, k) => `${name}.${i}.${k}`);
      const day = [meter("day", 400)];
      const results = await store.commit([
        ...runs.map((run) => accept(run)),
        ...runs.map((run) => turn(run, 1, { asks: [call(1, 1, day)] })),
      ]);
      granted += results.filter((r) => r.type === "written" && r.grants.every((grant) => grant.granted)).length;
    }
    await store.close();
    say({ granted });
    break;
  }
  /** Writes something and ends without closing: the store must not keep it alive. */
  case "forget": {
    const store = open();
    await store.heartbeat("w1", t0);
    say({ owners: (await store.owners()).length });
    break;
  }
  /** Does not wait for what it asked: a call under way keeps the process alive. */
  case "hurry": {
    const store = open();
    void store.commit([accept("r1")]).then((results) => say({ results }));
    break;
  }
  default:
    throw new Error(`no such job: ${job}`);
}
