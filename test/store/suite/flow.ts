import { expect, test } from "vitest";
import type { NewEntry } from "../../../sdk/port/flow.ts";
import {
  addOne,
  anEntry,
  aRun,
  completed,
  failed,
  journalOf,
  lease,
  leased,
  only,
  recordOf,
  sendTo,
  settled,
  waiting,
  wire,
} from "../../kit/build.ts";
import type { Setup } from "../suite.ts";
import { near } from "./near.ts";

export function flowing(setup: () => Promise<Setup>): void {
  test("what was recorded is loaded as it was written, in order, with its instant", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);
    const entries: readonly NewEntry[] = [
      anEntry(1, { value: { json: '"1970"', meta: '{"":"date"}' } }),
      anEntry(2, { kind: "failed", value: null, data: '{"error":"boom"}' }),
    ];

    const recorded = await recordOf(store, taken, entries);
    const journal = await journalOf(store, taken);

    expect(recorded).toMatchObject({
      inbox: 0,
      entries: [
        { n: 1, runs: null },
        { n: 2, runs: null },
      ],
    });
    expect(journal).toMatchObject({ inbox: 0, entries });
    expect(journal!.entries.map(({ atMs }) => atMs)).toEqual(recorded!.entries.map(({ atMs }) => atMs));
    near(journal!.entries[0]!.atMs, clock.now());
  });

  test("a run that waits for a signal is woken by it, and finds it in its journal", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await recordOf(store, taken, [anEntry(1)]);

    const answer = await store.runs.settle([settled(taken, waiting(), { entries: [anEntry(2, { kind: "wait" })] })]);
    const before = await store.find.get(taken.id);
    const none = await lease(store, node);
    const sent = await sendTo(store, taken.id, { name: "go", value: wire("on"), data: '{"by":"me"}' });
    const [again] = await lease(store, node);

    expect(answer).toEqual(["settled"]);
    expect(before).toMatchObject({ status: "waiting", reason: "signal", attempt: 0, startedAt: null });
    expect(none).toEqual([]);
    expect(sent).toEqual({ id: taken.id, done: "sent" });
    expect(again).toMatchObject({ id: taken.id, attempt: 0, crashes: 0 });
    expect(await journalOf(store, again!)).toMatchObject({
      inbox: 1,
      entries: [
        { n: 1, kind: "step", key: "a" },
        { n: 2, kind: "wait", key: "b" },
        { n: 3, kind: "mail", key: "go", value: wire("on"), data: '{"by":"me"}', runs: null },
      ],
    });
  });

  test("runs that a workflow makes are added with their entry, and their ends are sent to it", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    const options = { parent: { run: taken.id, key: "a" } };
    const adds = [1, 2].map((input) => aRun({ job: "child", input: wire(input), options }));

    const recorded = await recordOf(store, taken, [anEntry(1, { kind: "child", value: null, adds })]);
    await store.runs.settle([settled(taken, waiting({ reason: "child", wants: 2 }))]);
    const children = await lease(store, node, { jobs: ["child"] });
    await store.runs.settle([
      settled(children[0]!, { ...completed, result: wire(7) } as typeof completed, { flow: true }),
      settled(children[1]!, failed("no"), { flow: true }),
    ]);

    expect(children.map(({ id }) => id)).toEqual(only(recorded!.entries).runs);
    const { entries, inbox } = (await journalOf(store, only(await lease(store, node))))!;
    expect(inbox).toBe(2);
    const ends = entries.slice(1).sort((a, b) => (a.value ? 0 : 1) - (b.value ? 0 : 1));
    expect(ends).toMatchObject([
      { kind: "mail", key: "a", value: wire(7) },
      { kind: "mail", key: "a", value: null },
    ]);
    expect(ends.map(({ data }) => JSON.parse(data!) as unknown)).toMatchObject([
      { run: children[0]!.id, status: "completed", reason: null, error: null },
      { run: children[1]!.id, status: "failed", reason: "error", error: { message: "no" } },
    ]);
  });

  test("the journal of a run that ended is read, and is gone with it", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await recordOf(store, taken, [anEntry(1), anEntry(2)]);

    const live = await store.flow.read(taken.id);
    await store.runs.settle([settled(taken, completed, { flow: true })]);
    const after = await store.flow.read(taken.id);
    await store.desk.purge({ ids: [taken.id] }, 1);

    expect(live).toMatchObject([anEntry(1), anEntry(2)]);
    expect(after).toEqual(live);
    expect(await store.flow.read(taken.id)).toEqual([]);
    expect(await store.flow.read(await addOne(store))).toEqual([]);
  });
}
