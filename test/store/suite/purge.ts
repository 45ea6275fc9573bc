import { expect, test } from "vitest";
import {
  addAll,
  addOne,
  again,
  aKey,
  aRun,
  completed,
  ended,
  failed,
  keyed,
  lease,
  leased,
  only,
  settled,
} from "../../kit/build.ts";
import type { Keep, Guarded } from "../../../runtime/store/port.ts";
import type { Setup } from "../suite.ts";

const day = 86_400_000;
const line = { attempt: 1, level: "info", message: "hello", data: null } as const;

export function purging(setup: () => Promise<Setup>): void {
  dayByDay(setup);
  test("purging deletes a finished run with all that belongs to it", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);
    const { id } = taken;
    await store.runs.note([{ ...taken, lines: [{ ...line, at: clock.now() }] }]);
    await store.runs.settle([settled(taken, failed())]);

    expect(await store.desk.purge({ ids: [id] }, 10)).toBe(1);

    expect(await store.find.get(id)).toBeNull();
    expect((await store.find.attempts({ run: id })).items).toEqual([]);
    expect((await store.find.logs(id)).items).toEqual([]);
    expect(await store.desk.revive([id], "failed")).toEqual([{ id, done: "missing", status: null }]);
  });

  test("purging never deletes what is live", async () => {
    const { store, node } = await setup();
    const held = await leased(store, node);
    const waiting = await addOne(store);

    expect(await store.desk.purge({ ids: [held.id, waiting] }, 10)).toBe(0);
    expect(await store.desk.purge({}, 10)).toBe(0);

    expect((await store.find.list({})).items).toHaveLength(2);
  });

  test("purging deletes at most as many as the limit says", async () => {
    const { store, node } = await setup();
    for (let i = 0; i < 5; i++) await ended(store, node);

    const counts = [];
    for (let i = 0; i < 4; i++) counts.push(await store.desk.purge({}, 2));

    expect(counts).toEqual([2, 2, 1, 0]);
  });

  test("purging keeps to the filter: status, job and end, all of them", async () => {
    const { store, clock, node } = await setup();
    const old = await ended(store, node, completed);
    const bad = await ended(store, node, failed());
    const other = await ended(store, node, completed, { job: "other" });
    await clock.advance("1h");
    const young = await ended(store, node, completed);
    const before = new Date(clock.nowMs() - 1_800_000);

    expect(await store.desk.purge({ status: ["completed"], job: ["job"], before }, 100)).toBe(1);

    expect(await store.find.get(old)).toBeNull();
    for (const id of [bad, other, young]) expect(await store.find.get(id)).not.toBeNull();
  });

  test("purging frees the key", async () => {
    const { store, node } = await setup();
    const id = await ended(store, node, completed, { key: aKey("k") });

    await store.desk.purge({ ids: [id] }, 1);

    expect(await keyed(store, "job", "k")).toBeNull();
    expect(await addOne(store, { key: aKey("k") })).not.toBe(id);
  });

  test("purging leaves a key to the run that took it over", async () => {
    const { store, node } = await setup();
    const old = await ended(store, node, failed(), { key: aKey("k") });
    const young = await addOne(store, { key: aKey("k") });

    await store.desk.purge({ ids: [old] }, 1);

    expect(await keyed(store, "job", "k")).toBe(young);
    expect(only(await addAll(store, [aRun({ key: aKey("k") })]))).toMatchObject({ id: young, created: false });
  });

  test("one attempt's record is deleted, and the others stay", async () => {
    const { store, node } = await setup();
    const id = await addOne(store);
    for (const outcome of [again(0, "one"), again(0, "two")])
      await store.runs.settle([settled(only(await lease(store, node)), outcome)]);

    expect(await store.desk.purge({ attempt: { run: id, token: 1 } }, 1)).toBe(1);

    expect((await store.find.attempts({ run: id })).items.map(({ token }) => token)).toEqual([2]);
    expect(await store.desk.purge({ attempt: { run: id, token: 1 } }, 1)).toBe(0);
    expect((await store.find.get(id))!.status).toBe("pending");
  });

  test("completed runs are pruned when their time is over, others when theirs is", async () => {
    const { store, clock, node } = await setup();
    const good = await ended(store, node, completed);
    const bad = await ended(store, node, failed());
    const waiting = await addOne(store);
    const keep = { completedMs: 7 * day, otherMs: 30 * day };
    await prune(store, keep);
    expect(await store.find.get(good)).not.toBeNull();

    await clock.advance("10d");
    await prune(store, keep);
    expect(await store.find.get(good)).toBeNull();
    expect(await store.find.get(bad)).not.toBeNull();

    await clock.advance("25d");
    await prune(store, keep);
    expect(await store.find.get(bad)).toBeNull();
    expect((await store.find.attempts({ run: bad })).items).toEqual([]);
    expect(await store.find.get(waiting)).not.toBeNull();
  });

  test("a store goes on taking results after long idle times, before anything is pruned", async () => {
    const { store, clock, node } = await setup();
    const id = await addOne(store);
    await clock.advance("45d");

    await store.runs.settle([settled(only(await lease(store, node)))]);

    expect((await store.find.get(id))!.status).toBe("completed");
  });

  test("a key that is to be kept longer than its run is held after the run is pruned", async () => {
    const { store, clock, node } = await setup();
    const id = await ended(store, node, completed, { key: aKey("k", { keepMs: 30 * day }) });
    await clock.advance("10d");
    await prune(store, { completedMs: 7 * day, otherMs: 7 * day });
    expect(await store.find.get(id)).toBeNull();

    expect(await store.add([aRun({ key: aKey("k", { keepMs: 30 * day }) })])).toMatchObject([{ id, created: false }]);

    await clock.advance("25d");
    expect(await store.add([aRun({ key: aKey("k") })])).toMatchObject([{ created: true }]);
  });

  test("pruning answers how many it deleted, until nothing is left", async () => {
    const { store, clock, node } = await setup();
    for (let i = 0; i < 3; i++) await ended(store, node);
    await clock.advance("10d");

    const counts = [];
    for (let i = 0; i < 10; i++) counts.push(await pruned(store, { completedMs: 7 * day, otherMs: 30 * day }));

    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(3);
    expect(counts.at(-1)).toBe(0);
  });
}

function dayByDay(setup: () => Promise<Setup>): void {
  test("pruning takes whole days, the oldest first, and keeps to what is over", async () => {
    const { store, clock, node } = await setup();
    const good: number[] = [];
    const bad: number[] = [];
    for (let i = 0; i < 6; i++) {
      good.push(await ended(store, node, completed));
      bad.push(await ended(store, node, failed()));
      await clock.advance("1d");
    }
    const left = async (ids: readonly number[]): Promise<readonly number[]> =>
      (await store.find.list({ ids })).items.map(({ id }) => id).toReversed();

    // Up to a day more is kept than was asked for.
    await prune(store, { completedMs: 2.5 * day, otherMs: 30 * day });
    const kept = await left(good);
    expect(good.slice(-2)).toEqual(kept.slice(-2));
    expect(good.slice(0, 2).some((id) => kept.includes(id))).toBe(false);
    expect(await left(bad)).toEqual(bad);

    await prune(store, { completedMs: 30 * day, otherMs: 1.5 * day });
    expect(await left(good)).toEqual(kept);
    expect((await left(bad)).slice(-1)).toEqual(bad.slice(-1));
    expect((await left(bad)).includes(bad[0]!)).toBe(false);
  });
}

/** Each call is bounded, so more than one may be needed. */
async function pruned(store: Guarded, keep: Keep): Promise<number> {
  return (await store.runs.sweep({ maxCrashes: 3, keep })).pruned;
}

async function prune(store: Guarded, keep: Keep): Promise<void> {
  for (let i = 0; i < 10; i++) if ((await pruned(store, keep)) === 0) return;
}
