import { expect, test } from "vitest";
import type { NewEntry } from "../../../runtime/store/port.ts";
import type { RunFilter } from "../../../sdk/port/target.ts";
import type { Outcome } from "../../../runtime/store/port.ts";
import {
  addAll,
  addOne,
  again,
  aKey,
  anEntry,
  aNode,
  aState,
  anError,
  aRun,
  completed,
  failed,
  journalOf,
  lease,
  leased,
  only,
  recordOf,
  release,
  sendTo,
  settled,
  suspended,
  waiting,
  wire,
} from "../../kit/build.ts";
import type { Setup } from "../suite.ts";
import { near } from "./near.ts";

const missing = 1_000_000_000;

export function flowing(setup: () => Promise<Setup>): void {
  journals(setup);
  waits(setup);
  waited(setup);
  ends(setup);
  mending(setup);
}

function journals(setup: () => Promise<Setup>): void {
  test("what was recorded is loaded as it was written, in order, with its instant", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);
    const entries: readonly NewEntry[] = [
      anEntry(1, { value: { json: '"1970"', meta: '{"":"date"}' } }),
      anEntry(2, { kind: "failed", value: null, data: '{"error":"boom"}' }),
    ];

    const recorded = await recordOf(store, taken, entries);
    const journal = await journalOf(store, taken);

    expect(recorded).toMatchObject({ inbox: 0, entries: [1, 2].map((n) => ({ n, runs: null })) });
    expect(journal).toMatchObject({ inbox: 0, entries });
    expect(journal!.entries.map(({ atMs }) => atMs)).toEqual(recorded!.entries.map(({ atMs }) => atMs));
    near(journal!.entries[0]!.atMs, clock.now());
  });

  test("a journal is loaded past a place", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await recordOf(store, taken, [anEntry(1), anEntry(2), anEntry(3)]);

    const { entries } = (await journalOf(store, taken, 1))!;

    expect(entries.map(({ n }) => n)).toEqual([2, 3]);
    expect((await journalOf(store, taken, 3))!.entries).toEqual([]);
  });

  test("what is there already stays, and is answered", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);
    const first = await recordOf(store, taken, [anEntry(1)]);
    await clock.advance("1m");

    const second = await recordOf(store, taken, [anEntry(1, { value: wire("other") }), anEntry(2)]);

    expect(second!.entries[0]).toEqual(first!.entries[0]);
    expect((await store.flow.read(taken.id)).map(({ value }) => value)).toEqual([wire(1), wire(2)]);
  });

  test("a recording that is repeated, also at once, adds entries and runs once, and all hear the same", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    const adds = [aRun({ job: "child" }), aRun({ job: "child" })];
    const entries = [anEntry(1), anEntry(2, { kind: "child", adds })];

    const answers = await Promise.all(Array.from({ length: 5 }, () => recordOf(store, taken, entries)));
    answers.push(await recordOf(store, taken, entries));

    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    const children = (await store.find.list({ job: ["child"] })).items.map(({ id }) => id);
    expect(answers[0]!.entries[1]!.runs).toEqual(children.toReversed());
    expect(await store.flow.read(taken.id)).toHaveLength(2);
  });

  test("entries are dated by the floor at the earliest, and never before the one before", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);
    const floorMs = clock.nowMs() + 600_000;

    await recordOf(store, taken, [anEntry(1)], floorMs);
    await recordOf(store, taken, [anEntry(2)]);

    const dates = (await store.flow.read(taken.id)).map(({ atMs }) => atMs);
    expect(dates).toEqual([floorMs, floorMs]);
  });

  test("what was sent is dated as it was sent, and as it is asked at the earliest", async () => {
    const { store, node } = await setup();
    const [taken, other] = [await leased(store, node), await leased(store, node)];
    await sendTo(store, taken.id);
    await sendTo(store, other.id);
    await recordOf(store, taken, [anEntry(1)]); // is there before it is taken in
    const floorMs = Date.UTC(2100, 0);

    const load = (lease: typeof taken, floor?: number) =>
      store.flow.load([{ id: lease.id, token: lease.token, after: 0, floorMs: floor }]);
    const [[first], [second]] = [await load(taken), await load(other, floorMs)];

    const [entry, mail] = first!.entries;
    expect(mail).toMatchObject({ kind: "mail", atMs: entry!.atMs });
    expect(second!.entries).toMatchObject([{ kind: "mail", atMs: floorMs }]);
  });

  test("a run that is added with a journal has it at its first lease, and goes on from there", async () => {
    const { store, node } = await setup();
    const old = await leased(store, node);
    await recordOf(store, old, [anEntry(1, { value: { json: '"1970"', meta: '{"":"date"}' }, data: '{"at":"x"}' })]);
    await recordOf(store, old, [anEntry(2, { kind: "child", adds: [aRun({ job: "child" })] }), anEntry(3)]);
    const journal = (await store.flow.read(old.id)).filter(({ n }) => n !== 3);

    const [first, bare] = await addAll(store, [
      aRun({ replayOf: old.id, journal: journal.toReversed(), tags: ["t"] }),
      aRun({ replayOf: old.id }),
    ]);
    const leases = await lease(store, node);
    const taken = leases.find(({ id }) => id === first!.id)!;

    expect([taken.token, leases.find(({ id }) => id === bare!.id)!.token]).toEqual([2, 1]);
    expect(taken).toMatchObject({ attempt: 0, crashes: 0, tags: ["t"] });
    expect(await journalOf(store, taken)).toEqual({
      inbox: 0,
      waited: null,
      entries: journal.toReversed().map((entry, i) => ({ ...entry, n: i + 1 })),
    });
    expect(await store.flow.read(bare!.id)).toEqual([]);
    expect(await recordOf(store, taken, [anEntry(3)])).toMatchObject({ entries: [{ n: 3 }] });
    await store.runs.settle([settled(taken, completed, { flow: true })]);
    expect(await store.flow.read(taken.id)).toHaveLength(3);
    expect(await store.flow.read(old.id)).toHaveLength(3);
  });

  test("only a run that replays another takes a journal, and none with a key", async () => {
    const { store } = await setup();
    const journal = [{ ...anEntry(1), atMs: 1, runs: null }];

    const answers = await store.add([aRun({ journal }), aRun({ journal, replayOf: 1, key: aKey("k") }), aRun()]);

    expect(answers.map((answer) => answer instanceof Error && answer.message)).toEqual([
      ...Array<unknown>(2).fill(expect.stringContaining("has a journal; give it no key")),
      false,
    ]);
  });

  test("a lease that was lost answers null among others, and nothing of it is written", async () => {
    const { store, node } = await setup();
    const [taken, over, other] = [await leased(store, node), await leased(store, node), await leased(store, node)];
    await release(store, over);
    await sendTo(store, taken.id);
    const stale = { id: taken.id, token: taken.token + 1 };
    const fences = [stale, { id: over.id, token: over.token }, { id: missing, token: 1 }];
    const add = anEntry(1, { kind: "child", adds: [aRun({ job: "child" })] });

    const recordings = [...fences, other].map(({ id, token }) => ({ id, token, entries: [add], floorMs: 0 }));
    const recorded = await store.flow.record(recordings);
    const loaded = await store.flow.load([...fences, other].map(({ id, token }) => ({ id, token, after: 0 })));

    expect(recorded).toMatchObject([null, null, null, { entries: [{ n: 1 }] }]);
    expect(loaded).toMatchObject([null, null, null, { entries: [{ n: 1 }] }]);
    expect([...(await store.flow.read(taken.id)), ...(await store.flow.read(over.id))]).toEqual([]);
    expect((await store.find.list({ job: ["child"] })).items).toHaveLength(1);
    expect(await journalOf(store, taken)).toMatchObject({ inbox: 1, entries: [{ kind: "mail" }] });
  });

  test("a run that a cancel waits for still records", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await store.desk.cancel([taken.id]);

    expect(await recordOf(store, taken, [anEntry(1)])).toMatchObject({ entries: [{ n: 1 }] });
  });

  test("a recording with a run that can't be added is refused alone, and nothing of it is written", async () => {
    const { store, node } = await setup();
    const [bad, good] = [await leased(store, node), await leased(store, node)];
    const adds = [aRun({ job: "child" }), aRun({ job: "child", priority: 10 })];

    const answers = await store.flow.record([
      { ...bad, entries: [anEntry(1), anEntry(2, { kind: "child", adds })], floorMs: 0 },
      { ...good, entries: [anEntry(1)], floorMs: 0 },
    ]);

    expect(answers).toMatchObject([{ code: "INVALID_INPUT" }, { entries: [{ n: 1 }] }]);
    expect(await store.flow.read(bad.id)).toEqual([]);
    expect((await store.find.list({ job: ["child"] })).items).toEqual([]);
  });
}

function waits(setup: () => Promise<Setup>): void {
  test("a run sleeps until its instant: nobody has it, no attempt is spent, and its crashes count anew", async () => {
    const { store, clock, node } = await setup();
    const id = await addOne(store);
    const first = only(await lease(store, node));
    await store.runs.hold(node, [{ ...first, startedMs: first.dueMs }]);
    await clock.advance("5m");
    await store.runs.sweep({ maxCrashes: 3 });
    const taken = only(await lease(store, node));
    const untilMs = clock.nowMs() + 600_000;

    const answers = await store.runs.settle([settled(taken, waiting({ reason: "sleep", untilMs }))]);
    const run = await store.find.get(id);
    const before = await lease(store, node);
    await clock.advance("11m");
    const after = await store.find.get(id);

    expect([taken.crashes, answers]).toEqual([1, ["settled"]]);
    expect(run).toMatchObject({ status: "waiting", reason: "sleep", attempt: 1, startedAt: null, expiresAt: null });
    near(run!.dueAt, untilMs);
    expect(before).toEqual([]);
    expect(after).toMatchObject({ status: "pending", reason: null });
    expect(only(await lease(store, node))).toMatchObject({ id, attempt: 1, spent: 0, crashes: 0 });
  });

  test("entries of a settlement are written with it, once", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await recordOf(store, taken, [anEntry(1)]);
    const settlement = settled(taken, waiting(), { entries: [anEntry(2, { kind: "wait" })] });

    const answers = [await store.runs.settle([settlement]), await store.runs.settle([settlement])];

    expect(answers).toEqual([["settled"], ["settled"]]);
    expect(await store.flow.read(taken.id)).toMatchObject([anEntry(1), { n: 2, kind: "wait", key: "b" }]);
  });

  test("waiting runs are found by status and reason", async () => {
    const { store, node } = await setup();
    const pending = await addOne(store, { delayMs: 600_000 });
    const [signal, child] = [await suspended(store, node), await suspended(store, node, { reason: "child", wants: 1 })];
    const parked = await suspended(store, node, { reason: "parked", error: anError() });
    const found = async (filter: RunFilter): Promise<readonly number[]> =>
      (await store.find.list(filter)).items.map(({ id }) => id).reverse();

    expect(await found({ status: ["waiting"] })).toEqual([signal.id, child.id, parked.id]);
    expect(await found({ status: ["pending"] })).toEqual([pending]);
    expect(await found({ reason: ["parked", "child"] })).toEqual([child.id, parked.id]);
    expect(await found({ status: ["waiting"], reason: ["signal", "user"] })).toEqual([signal.id]);
    expect(await found({ status: ["pending", "completed"], reason: ["signal"] })).toEqual([]);
  });

  test("a parked run leaves an attempt with its error, and is not woken by what is sent to it", async () => {
    const { store, node } = await setup();
    const sleeper = await suspended(store, node);
    const parked = await suspended(store, node, { reason: "parked", error: anError("two ways") });

    await sendTo(store, parked.id);

    expect(await store.find.get(parked.id)).toMatchObject({ status: "waiting", reason: "parked", error: null });
    expect(await lease(store, node)).toEqual([]);
    const { items } = await store.find.attempts({ run: parked.id });
    expect(items).toMatchObject([{ n: 1, outcome: "parked", error: { message: "two ways" }, token: parked.token }]);
    expect((await store.find.attempts({ run: sleeper.id })).items).toEqual([]);
  });

  test("a cancel that came first is recorded instead of a wait", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await store.desk.cancel([taken.id]);

    const settlement = settled(taken, waiting(), { flow: true });
    const answers = [await store.runs.settle([settlement]), await store.runs.settle([settlement])];

    expect(answers).toEqual([["canceled"], ["canceled"]]);
    expect(await store.find.get(taken.id)).toMatchObject({ status: "canceled", reason: "user" });
  });

  test("a wait under a lease that was lost is refused, with its entries", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    const stale = { ...taken, token: taken.token + 1 };

    const answers = await store.runs.settle([settled(stale, waiting(), { entries: [anEntry(1)] })]);

    expect(answers).toEqual(["lost"]);
    expect(await store.flow.read(taken.id)).toEqual([]);
    expect((await store.find.get(taken.id))!.status).toBe("leased");
  });

  test("a cancel of a waiting run is final at once", async () => {
    const { store, node } = await setup();
    const { id } = await suspended(store, node);

    expect(await store.desk.cancel([id])).toEqual([{ id, done: "done", status: "canceled" }]);
    expect(await lease(store, node)).toEqual([]);
  });

  test("a run that waits does not expire", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node, { ttlMs: 60_000 });
    await store.runs.settle([settled(taken, waiting())]);
    await clock.advance("5m");

    const { expired } = await store.runs.sweep({ maxCrashes: 3 });

    expect(expired).toEqual([]);
    expect(await store.find.get(taken.id)).toMatchObject({ status: "waiting", expiresAt: null });
  });

  test("a run that failed and is tried again later does not wait any more", async () => {
    const { store, node } = await setup();
    const { id } = await suspended(store, node);
    await sendTo(store, id);

    await store.runs.settle([settled(only(await lease(store, node)), again(600_000))]);

    expect(await store.find.get(id)).toMatchObject({ status: "pending", reason: null, attempt: 1 });
  });

  test("a sleeping run that was leased ahead and given back sleeps on, unless something was sent to it", async () => {
    const { store, clock, node } = await setup();
    const untilMs = clock.nowMs() + 300_000;
    const { id } = await suspended(store, node, { reason: "sleep", untilMs });
    const ahead = (): ReturnType<typeof lease> => lease(store, node, { aheadMs: 600_000 });

    await release(store, only(await ahead()));
    const asleep = await store.find.get(id);
    const taken = only(await ahead());
    await sendTo(store, id);
    await release(store, taken);

    expect(asleep).toMatchObject({ status: "waiting", reason: "sleep" });
    expect(only(await lease(store, node)).id).toBe(id);
  });

  test("a run that has a journal is not edited while it waits, and never replaced", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node, { key: aKey("k"), input: wire("old") });
    await recordOf(store, taken, [anEntry(1)]);
    await store.runs.settle([settled(taken, waiting())]);
    const replace = aRun({ key: aKey("k", { onConflict: "replace" }), input: wire("new") });

    const act = await store.desk.edit(taken.id, { input: wire("new") });
    await store.add([replace]);
    await sendTo(store, taken.id);
    await store.add([replace]);

    expect(act).toEqual({ id: taken.id, done: "refused", status: "waiting" });
    expect(await store.find.get(taken.id)).toMatchObject({ status: "pending", input: wire("old") });
  });
}

const canceled: Outcome = { to: "canceled", reason: "user", error: null };

function waited(setup: () => Promise<Setup>): void {
  test.each(["sleep", "signal", "child", "parked"] as const)(
    "the journal of a run that waited for %s says so, until another attempt has ended",
    async (reason) => {
      const { store, node } = await setup();
      const first = await leased(store, node);
      const before = await journalOf(store, first);
      await store.runs.settle([settled(first, waiting({ reason, error: reason === "parked" ? anError() : null }))]);
      if (reason === "parked") await store.flow.mend(first.id, [], 0);
      else await sendTo(store, first.id);

      const second = only(await lease(store, node));
      const woken = [await journalOf(store, second), await journalOf(store, second)];
      await store.runs.settle([settled(second, again(), { flow: true })]);
      const third = await journalOf(store, only(await lease(store, node)));

      expect([before, ...woken, third].map((journal) => journal!.waited)).toEqual([null, reason, reason, null]);
    },
  );
}

function ends(setup: () => Promise<Setup>): void {
  test.each([
    ["completed", completed],
    ["failed", failed()],
    ["canceled", canceled],
  ])("the journal of a run that %s is read, and deleted with it", async (_status, outcome) => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await recordOf(store, taken, [anEntry(1), anEntry(2, { kind: "child", adds: [aRun({ delayMs: 600_000 })] })]);

    const live = await store.flow.read(taken.id);
    await store.runs.settle([settled(taken, outcome, { flow: true })]);
    const after = await store.flow.read(taken.id);
    await store.desk.purge({ ids: [taken.id] }, 1);

    expect(live).toMatchObject([anEntry(1), { n: 2, kind: "child", runs: [expect.any(Number)] }]);
    expect(after).toEqual(live);
    expect(await store.flow.read(taken.id)).toEqual([]);
  });

  test("a run without a journal, and one that is not there, have an empty one", async () => {
    const { store } = await setup();

    expect(await store.flow.read(await addOne(store))).toEqual([]);
    expect(await store.flow.read(missing)).toEqual([]);
  });

  test("journals are kept of runs that were canceled as they waited, or crashed too often", async () => {
    const { store, clock, node } = await setup();
    const [waits, crashes] = [await leased(store, node), await leased(store, node)];
    for (const taken of [waits, crashes]) await recordOf(store, taken, [anEntry(1)]);
    await store.runs.settle([settled(waits, waiting())]);
    await store.runs.hold(node, [{ ...crashes, startedMs: crashes.dueMs }]);

    await store.desk.cancel([waits.id]);
    await clock.advance("5m");
    await store.runs.sweep({ maxCrashes: 1 });

    for (const { id } of [waits, crashes]) expect(await store.flow.read(id)).toMatchObject([anEntry(1)]);
  });

  test("a journal is pruned with its run, however old the journal of a live one is", async () => {
    const { store, clock, node } = await setup();
    const [over, lives] = [await leased(store, node), await leased(store, node)];
    for (const taken of [over, lives]) await recordOf(store, taken, [anEntry(1)]);
    await store.runs.settle([settled(over, completed, { flow: true }), settled(lives, waiting())]);

    await clock.advance("90d");
    await store.runs.sweep({ maxCrashes: 3, keep: { completedMs: 86_400_000, otherMs: 86_400_000 } });

    expect(await store.flow.read(over.id)).toEqual([]);
    expect(await store.flow.read(lives.id)).toMatchObject([anEntry(1)]);
  });

  test("a sleeping run that is canceled and resumed is due at its instant, and does not wait", async () => {
    const { store, clock, node } = await setup();
    const untilMs = clock.nowMs() + 600_000;
    const { id } = await suspended(store, node, { reason: "sleep", untilMs });
    await store.desk.cancel([id]);

    const acts = await store.desk.revive([id], "canceled");

    expect(acts).toEqual([{ id, done: "done", status: "pending" }]);
    const run = await store.find.get(id);
    expect(run).toMatchObject({ status: "pending", reason: null });
    near(run!.dueAt, untilMs);
  });

  test("a canceled run that is resumed has its journal again, but nothing that it did not take in", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await recordOf(store, taken, [anEntry(1), anEntry(2, { kind: "failed" })]);
    await store.runs.settle([settled(taken, waiting())]);
    await sendTo(store, taken.id);
    await store.desk.cancel([taken.id]);

    const acts = await store.desk.revive([taken.id], "canceled");
    const again = only(await lease(store, node));
    await recordOf(store, again, [anEntry(3)]);

    expect(acts).toEqual([{ id: taken.id, done: "done", status: "pending" }]);
    const { entries, inbox } = (await journalOf(store, again))!;
    expect(entries).toMatchObject([anEntry(1), anEntry(2, { kind: "failed" }), anEntry(3)]);
    expect(inbox).toBe(0);
  });

  test("a failed run that is retried has its journal again, but for the failures of steps", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    const kinds = ["step", "retry", "failed", "sleep"] as const;
    await recordOf(
      store,
      taken,
      kinds.map((kind, i) => anEntry(i + 1, { kind })),
    );
    await store.runs.settle([settled(taken, failed(), { flow: true })]);

    await store.desk.revive([taken.id], "failed");

    const { entries } = (await journalOf(store, only(await lease(store, node))))!;
    expect(entries.map(({ kind, key }) => [kind, key])).toEqual([
      ["step", "a"],
      ["sleep", "d"],
    ]);
  });
}

function mending(setup: () => Promise<Setup>): void {
  test("the journal of a waiting run is replaced, numbered from 1, and the run is due", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await recordOf(store, taken, [anEntry(1), anEntry(2, { kind: "wait" }), anEntry(3)]);
    await store.runs.settle([settled(taken, waiting({ reason: "parked", error: anError() }))]);
    const [first, , third] = await store.flow.read(taken.id);

    const older = await store.flow.mend(taken.id, [first!], 2);
    const act = await store.flow.mend(taken.id, [{ ...third!, key: "renamed" }, first!], 3);
    const again = only(await lease(store, node));

    expect(older).toEqual({ id: taken.id, done: "refused", status: "waiting" }); // it was made before the third entry
    expect(act).toEqual({ id: taken.id, done: "done", status: "pending" });
    expect((await journalOf(store, again))!.entries).toEqual([
      { ...third, n: 1, key: "renamed" },
      { ...first, n: 2 },
    ]);
    expect(await recordOf(store, again, [anEntry(3)])).toMatchObject({ entries: [{ n: 3 }] });
  });

  test("a run that waits keeps the instant at which it was due first", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node, { options: { timeoutMs: 5 } });
    const plain = await leased(store, node);
    const untilMs = clock.nowMs() + 60_000;
    for (const one of [taken, plain]) await store.runs.settle([settled(one, waiting({ reason: "sleep", untilMs }))]);
    await clock.advance("2m");
    const second = await lease(store, node);
    for (const one of second) await store.runs.settle([settled(one, waiting())]);
    await sendTo(store, taken.id);

    const third = only(await lease(store, node));

    expect(second.map(({ options }) => options)).toEqual(
      second.map(({ id }) => (id === taken.id ? { timeoutMs: 5, dueMs: taken.dueMs } : { dueMs: plain.dueMs })),
    );
    expect(third.options).toEqual({ timeoutMs: 5, dueMs: taken.dueMs });
    expect(third.dueMs).toBeGreaterThan(taken.dueMs);
  });

  test("a pinned run goes on only on nodes with that version, until it is pinned no more", async () => {
    const { store, clock } = await setup();
    const [first, second] = [
      await store.nodes.join(aNode({ version: "1@a" }), 600_000),
      await store.nodes.join(aNode({ version: "2" }), 600_000),
    ];
    const taken = await suspended(store, second, { reason: "parked", error: anError() });
    const looks = async (node: number) => (await store.nodes.beat(node, 600_000, aState(), [])).coming!.dueMs;

    const act = await store.flow.mend(taken.id, [], 0, "1@a");
    const due = [await looks(first), await looks(second)];
    const elsewhere = await lease(store, second);
    const again = only(await lease(store, first));
    await store.runs.settle([settled(again, waiting({ untilMs: clock.nowMs() + 60_000 }))]);
    const record = await store.find.get(taken.id);
    await clock.advance("2m");
    const later = [await lease(store, second), only(await lease(store, first))] as const;
    await store.runs.settle([settled(later[1], waiting())]);
    await store.flow.mend(taken.id, [], 0);
    const stays = await lease(store, second);
    await store.runs.settle([settled(only(await lease(store, first)), waiting())]);
    await store.flow.mend(taken.id, [], 0, null);

    expect(act).toMatchObject({ done: "done", status: "pending" });
    expect(due).toEqual([expect.any(Number), null]);
    expect([elsewhere, later[0], stays]).toEqual([[], [], []]);
    expect(again).toMatchObject({ id: taken.id, queue: "default" });
    expect(record!.queue).toBe("$default@1@a");
    expect(only(await lease(store, second))).toMatchObject({ id: taken.id, queue: "default" });
  });

  test("a pinned run waits while its queue is paused, which is no queue of its own", async () => {
    const { store, node } = await setup();
    const taken = await suspended(store, node, { reason: "parked", error: anError() });
    await store.flow.mend(taken.id, [], 0, "0");

    await store.desk.pause("default", true);
    const paused = await lease(store, node);
    await store.desk.pause("default", false);
    const again = only(await lease(store, node));
    const { queues } = await store.find.stats();

    expect(paused).toEqual([]);
    expect(again.id).toBe(taken.id);
    expect(await store.desk.pause("default", true)).toBe(1);
    expect(queues.map(({ name }) => name)).toEqual(["default"]);
  });

  test("an edit of its priority leaves a pinned run pinned", async () => {
    const { store, node } = await setup();
    const taken = await suspended(store, node, { reason: "parked", error: anError() });
    await store.flow.mend(taken.id, [], 0, "other");

    await store.desk.edit(taken.id, { priority: 9 });

    expect(await store.find.get(taken.id)).toMatchObject({ queue: "$default@other", priority: 9, status: "pending" });
    expect(await lease(store, node)).toEqual([]);
  });

  test("a journal is refused for a run that does not wait, and one that is not there", async () => {
    const { store, node } = await setup();
    const woken = await suspended(store, node);
    await sendTo(store, woken.id);
    const pending = await addOne(store, { delayMs: 600_000 });
    const taken = await leased(store, node, { queue: "other" });
    await recordOf(store, taken, [anEntry(1)]);

    const acts = [];
    for (const id of [woken.id, pending, taken.id, missing]) acts.push(await store.flow.mend(id, [], 0));
    await store.runs.settle([settled(taken, completed, { flow: true })]);
    acts.push(await store.flow.mend(taken.id, [], 0));

    expect(acts.map(({ done, status }) => [done, status])).toEqual([
      ["refused", "pending"],
      ["refused", "pending"],
      ["refused", "leased"],
      ["missing", null],
      ["refused", "completed"],
    ]);
    expect(await store.flow.read(taken.id)).toMatchObject([anEntry(1)]);
  });
}
