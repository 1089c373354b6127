/** Positions of readers: a reader in another process than the run, and cursors that nobody was given. Real store, real channel. */
import { expect, onTestFinished, test } from "vitest";
import { memoryChannel } from "../../src/channels/memory.ts";
import type { Event } from "../../src/protocol/events.ts";
import type { EventReader } from "../../src/protocol/runs.ts";
import { readEvents } from "../../src/runtime/reader.ts";
import { realScheduler } from "../../src/runtime/scheduler.ts";
import { sqliteInThread } from "../../src/stores/sqlite.ts";
import { accept, fact, turn } from "../stores/contract/entries.ts";

const at = "2026-11-01T12:00:00.000Z";
const started = (call: string, use = "answer") => fact("call.started", { at, call, for: use });
const finished = (call: string, text: string) => fact("call.finished", { at, call, finish: "stop", text });

/** A run with facts 1 accepted, 2 and 3 two calls under way; what follows is written when `more` is called. */
async function world() {
  const store = sqliteInThread(":memory:");
  onTestFinished(() => store.close());
  await store.commit([accept("r1"), turn("r1", 1, { facts: [started("c0"), started("c1", "internal")] })]);
  const channel = memoryChannel();
  let n = 1;
  const more = async (...facts: string[]) => void (await store.commit([turn("r1", ++n, { facts })]));
  const reader = async (after: string, internal = false): Promise<EventReader> => {
    const record = await store.get("r1");
    if (!record) throw new Error("no run");
    return readEvents(record, false, { store, channel, scheduler: realScheduler, hold: realScheduler.hold }, { after, internal });
  };
  return { more, reader, channel };
}

const told = (events: readonly Event[] | null) =>
  events?.map((event) => (event.type === "text.delta" ? `${event.call}@${event.offset}: ${event.text}` : event.type));

test("in another process, a cursor in an open call gets the rest of its text, from 0 where it says no offset", async () => {
  const { more, reader } = await world();
  const [without, withOffset, ofAll] = [await reader("3"), await reader("3/c0=6"), await reader("3", true)];
  await more(fact("progress", { message: "." }), finished("c0", "Hello there"), finished("c1", "hm"));
  expect(told(await without.read())).toEqual(["progress", "c0@0: Hello there", "call.finished", "call.finished"]);
  expect(told(await withOffset.read())).toEqual(["progress", "c0@6: there", "call.finished", "call.finished"]);
  expect(told(await ofAll.read())).toEqual(["progress", "c0@0: Hello there", "call.finished", "c1@0: hm", "call.finished"]);
});

test("of a call that had ended before the reader came, and of which its cursor says nothing, only its end is told", async () => {
  const { more, reader } = await world();
  await more(finished("c0", "Hello there"), started("c2"));
  const [unseen, seen] = [await reader("3"), await reader("3/c0=6")];
  expect(told(await unseen.read())).toEqual(["call.finished", "call.started"]);
  expect(told(await seen.read())).toEqual(["c0@6: there", "call.finished", "call.started"]);
  await more(finished("c2", "Yes"));
  expect(told(await unseen.read())).toEqual(["c2@0: Yes", "call.finished"]);
});

test("the text of an internal call is not told to who did not ask for it, also when it was open as the reader came", async () => {
  const { more, reader, channel } = await world();
  channel.openCall("r1", { call: "c1", for: "internal", actor: "run", text: "secret", reasoning: "" });
  const [plain, asking] = [await reader("3"), await reader("3", true)];
  expect(told(await asking.read())).toEqual(["c1@0: secret"]);
  await more(finished("c1", "secret thoughts"));
  channel.release("r1");
  expect(told(await plain.read())).toEqual(["call.finished"]);
  expect(told(await asking.read())).toEqual(["c1@6:  thoughts", "call.finished"]);
});

test("a cursor inside a surrogate pair gets the whole character", async () => {
  const { more, reader, channel } = await world();
  channel.openCall("r1", { call: "c0", for: "answer", actor: "run", text: "ab😀", reasoning: "" });
  for (const offset of [1, 2, 3, 4]) {
    const live = await reader(`3/c0=${offset}`);
    const from = offset === 3 ? 2 : offset;
    if (offset < 4) expect(told(await live.read())).toEqual([`c0@${from}: ${"ab😀".slice(from)}`]);
    live.close();
  }
  await more(finished("c0", "ab😀!"));
  expect(told(await (await reader("3/c0=3")).read())).toEqual(["c0@2: 😀!", "call.finished"]);
});
