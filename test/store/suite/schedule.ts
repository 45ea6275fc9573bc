import { expect, test } from "vitest";
import { parseScheduleId, scheduleId } from "../../../sdk/port/id.ts";
import type { Added, NewRun, ScheduleFilter, ScheduleName, ScheduleRecord } from "../../../sdk/port/target.ts";
import type { Guarded } from "../../../runtime/store/port.ts";
import {
  addAll,
  addMany,
  addOne,
  aKey,
  aNode,
  aOneShot,
  aRule,
  aRun,
  aSchedule,
  aState,
  aTick,
  aTickRun,
  declareOn,
  dueOf,
  only,
  planOne,
  putOne,
  scheduleOf,
  takeOut,
  tickOne,
} from "../../kit/build.ts";
import { until } from "../../kit/until.ts";
import type { Setup } from "../suite.ts";
import { near } from "./near.ts";

const hour = 3_600_000;
const name: ScheduleName = { job: "job", key: "" };

/** What people and application code do with schedules that are there. */
export function schedules(setup: () => Promise<Setup>): void {
  pausing(setup);
  removing(setup);
  listing(setup);
  recording(setup);
  attaching(setup);
  hearing(setup);
}

function pausing(setup: () => Promise<Setup>): void {
  test("a paused schedule has no next tick and is not due", async () => {
    const { store, clock, node } = await setup();
    await planOne(store, node, clock.nowMs() - hour);

    const record = await store.schedules.pause(name, true);

    expect(record).toMatchObject({ paused: true, nextAt: null, fresh: false });
    expect(await scheduleOf(store, name)).toEqual(record);
    expect(await store.ticks.due({ node, aheadMs: hour, limit: 9 })).toMatchObject({ due: [], next: null });
  });

  test("pausing a paused schedule changes nothing", async () => {
    const { store, clock } = await setup();
    await putOne(store);
    const first = await store.schedules.pause(name, true);
    await clock.advance("10m");

    const second = await store.schedules.pause(name, true);

    expect(second).toEqual(first);
  });

  test("a resumed schedule takes its next tick from then on", async () => {
    const { store, clock, node } = await setup();
    await planOne(store, node, clock.nowMs() + hour);
    await store.schedules.pause(name, true);
    await clock.advance("10m");

    const record = (await store.schedules.pause(name, false))!;

    expect(record).toMatchObject({ paused: false, fresh: true });
    near(record.nextAt, clock.now());
  });

  test("resuming a schedule that is not paused changes nothing", async () => {
    const { store, clock, node } = await setup();
    const before = await planOne(store, node, clock.nowMs() + hour);
    await clock.advance("10m");

    const after = await store.schedules.pause(name, false);

    expect(after).toEqual(before);
  });

  test("a one-shot that has ticked stays ended when it is resumed; one that has not goes on", async () => {
    const { store, clock, node } = await setup();
    const atMs = clock.nowMs() - 1000;
    await putOne(store, { key: "ticked", rule: aOneShot(atMs) });
    await putOne(store, { key: "waits", rule: aOneShot(atMs) });
    await tickOne(store, await dueOf(store, node, { job: "job", key: "ticked" }), { nextMs: null, lastMs: atMs });
    for (const key of ["ticked", "waits"]) await store.schedules.pause({ job: "job", key }, true);

    const ticked = await store.schedules.pause({ job: "job", key: "ticked" }, false);
    const waits = await store.schedules.pause({ job: "job", key: "waits" }, false);

    expect(ticked).toMatchObject({ paused: false, nextAt: null, fresh: false });
    expect(waits).toMatchObject({ paused: false, fresh: true });
    near(waits!.nextAt, clock.now());
  });

  test("a tick that was worked out before a pause is refused, also after the resume", async () => {
    const { store, node } = await setup();
    await putOne(store);
    const due = await dueOf(store, node);
    await store.schedules.pause(name, true);

    const during = await store.ticks.tick([aTick(due), aTick({ ...due, rev: due.rev + 1 })]);
    await store.schedules.pause(name, false);
    const after = await store.ticks.tick([aTick(due)]);

    expect([...during, ...after]).toEqual([null, null, null]);
    expect((await dueOf(store, node)).rev).toBe(due.rev + 2);
  });

  test("a schedule that is not there can't be paused or resumed", async () => {
    const { store } = await setup();
    await putOne(store, { key: "other" });

    expect(await store.schedules.pause(name, true)).toBeNull();
    expect(await store.schedules.pause(name, false)).toBeNull();
  });

  test("a schedule that code took out is not there", async () => {
    const { store } = await setup();
    await takeOut(store);

    expect(await scheduleOf(store, name)).toBeNull();
    expect(await store.schedules.pause(name, true)).toBeNull();
    expect(await store.schedules.pause(name, false)).toBeNull();
    expect((await store.schedules.list({})).items).toEqual([]);
  });
}

function removing(setup: () => Promise<Setup>): void {
  test("a removed schedule is gone, and its runs stay", async () => {
    const { store, clock, node } = await setup();
    await store.nodes.beat(node, 30_000, aState({ jobs: ["job"] }), []);
    await putOne(store);
    const [run] = await tickOne(store, await dueOf(store, node), { runs: [aTickRun(clock.nowMs())] });

    expect(await store.schedules.remove(name)).toBe(true);

    expect(await scheduleOf(store, name)).toBeNull();
    expect((await store.ticks.due({ node, aheadMs: hour, limit: 9 })).due).toEqual([]);
    expect(await store.find.get(run!)).toMatchObject({ status: "pending" });
  });

  test("a schedule that is not there can't be removed", async () => {
    const { store } = await setup();
    await putOne(store, { key: "other" });
    await putOne(store);
    await store.schedules.remove(name);

    expect(await store.schedules.remove(name)).toBe(false);
    expect(await scheduleOf(store, { job: "job", key: "other" })).not.toBeNull();
  });

  test("a declared schedule can't be removed while a live node has its job", async () => {
    const { store, node } = await setup();
    const author = await declareOn(store, [aSchedule()]);
    await store.nodes.beat(node, 30_000, aState({ jobs: ["job"] }), []);
    await store.nodes.leave(author);

    await expect(store.schedules.remove(name)).rejects.toMatchObject({ code: "INVALID_INPUT" });

    expect(await scheduleOf(store, name)).not.toBeNull();
  });

  test("a declared schedule can be removed when no live node has its job, and comes back with its code", async () => {
    const { store } = await setup();
    await store.nodes.leave(await declareOn(store, [aSchedule()]));

    expect(await store.schedules.remove(name)).toBe(true);

    expect(await scheduleOf(store, name)).toBeNull();
    await declareOn(store, [aSchedule()]);
    expect(await scheduleOf(store, name)).toMatchObject({ declared: true, fresh: true });
  });
}

function listing(setup: () => Promise<Setup>): void {
  const idsOf = (items: readonly ScheduleRecord[]): readonly string[] => items.map(scheduleId);

  test("schedules are listed by job, then key, in the order of their characters", async () => {
    const { store } = await setup();
    const ids = ["B@x", "a", "a@B", "a@a", "a@a b", "a@a-b", "a@ab", "a@b", "a@é", "a-b", "a:1@k", "b"];

    await store.schedules.put(ids.toReversed().map((id) => aSchedule(parseScheduleId(id))));

    const { items, complete } = await store.schedules.list({});
    expect(idsOf(items)).toEqual(ids);
    expect(complete).toBe(true);
  });

  test("schedules are found by job, by pause and by who made them", async () => {
    const { store } = await setup();
    await declareOn(store, [aSchedule({ key: "declared" }), aSchedule({ key: "paused" })]);
    await store.schedules.put([
      aSchedule({ job: "a" }),
      aSchedule({ job: "b" }),
      aSchedule({ job: "b", key: "paused" }),
    ]);
    for (const job of ["job", "b"]) await store.schedules.pause({ job, key: "paused" }, true);

    const found = async (filter: ScheduleFilter) => idsOf((await store.schedules.list(filter)).items);

    expect(await found({ job: ["a", "job"] })).toEqual(["a", "job@declared", "job@paused"]);
    expect(await found({ paused: true })).toEqual(["b@paused", "job@paused"]);
    expect(await found({ paused: false })).toEqual(["a", "b", "job@declared"]);
    expect(await found({ declared: true })).toEqual(["job@declared", "job@paused"]);
    expect(await found({ declared: false, paused: false, job: ["b"] })).toEqual(["b"]);
    expect(await found({ job: [] })).toEqual([]);
  });

  test("pages of schedules follow each other, also when the last one of a page is removed between them", async () => {
    const { store } = await setup();
    const names = ["a", "a@k", "a@l", "b", "b@k"].map(parseScheduleId);
    await store.schedules.put(names.map((each) => aSchedule(each)));

    const first = await store.schedules.list({}, { limit: 2 });
    await store.schedules.remove({ job: "a", key: "k" });
    const second = await store.schedules.list({}, { limit: 2, cursor: first.next! });
    const third = await store.schedules.list({}, { limit: 1, cursor: second.next! });

    expect([first, second, third].map(({ items }) => idsOf(items))).toEqual([["a", "a@k"], ["a@l", "b"], ["b@k"]]);
    expect(third.next).toBeNull();
  });

  test("a page has 50 schedules, and at most 200", async () => {
    const { store } = await setup();
    await store.schedules.put(Array.from({ length: 201 }, (_, i) => aSchedule({ key: String(i) })));

    expect((await store.schedules.list({})).items).toHaveLength(50);
    expect((await store.schedules.list({}, { limit: 1000 })).items).toHaveLength(200);
  });

  test("a cursor or limit that is none is refused", async () => {
    const { store } = await setup();
    const { list } = store.schedules;

    await expect(list({}, { cursor: "nonsense" })).rejects.toMatchObject({ code: "INVALID_INPUT" });
    await expect(list({}, { limit: 0 })).rejects.toMatchObject({ code: "INVALID_INPUT" });
    await expect(list({}, { limit: 1.5 })).rejects.toMatchObject({ code: "INVALID_INPUT" });
  });
}

function recording(setup: () => Promise<Setup>): void {
  test("a record tells the last run and what became of it, until that is purged", async () => {
    const { store, clock, node } = await setup();
    await putOne(store);
    const ticks = [clock.nowMs() - 2000, clock.nowMs() - 1000];
    const runs = await tickOne(store, await dueOf(store, node), {
      lastMs: ticks[1]!,
      runs: ticks.map((at) => aTickRun(at)),
    });
    const run = runs[1]!;

    const waiting = await scheduleOf(store, name);
    await store.desk.cancel([run]);
    const canceled = await scheduleOf(store, name);
    await store.desk.purge({ ids: [run] }, 1);
    const purged = await scheduleOf(store, name);

    expect(waiting).toMatchObject({ last: { run, status: "pending", reason: null }, lastTick: new Date(ticks[1]!) });
    expect(canceled).toMatchObject({ last: { run, status: "canceled", reason: "user" } });
    expect(purged).toMatchObject({ last: null, lastTick: new Date(ticks[1]!), count: 2 });
  });

  test("a schedule is served while a live node has its job", async () => {
    const { store, clock, node } = await setup();
    await putOne(store);
    await store.nodes.beat(node, 30_000, aState({ jobs: ["other"] }), []);

    const before = await scheduleOf(store, name);
    await store.nodes.beat(node, 30_000, aState({ jobs: ["other", "job"] }), []);
    const during = await scheduleOf(store, name);
    await clock.advance("5m");
    const after = await scheduleOf(store, name);

    expect([before!.served, during!.served, after!.served]).toEqual([false, true, false]);
  });
}

/** A run that is made by hand for the schedule "" of job `job`. */
const own: Partial<NewRun> = {
  attach: true,
  options: { schedule: { key: "", tick: 0, previous: null, next: null } },
};

function attaching(setup: () => Promise<Setup>): void {
  test("runs that are added for a schedule are live runs of it, the newest is its last, and none counts", async () => {
    const { store, node } = await setup();
    await putOne(store, { rule: aRule({ overlap: "skip" }) });
    const { rev } = await dueOf(store, node);

    const runs = await addMany(store, 3, own);

    const due = await dueOf(store, node);
    expect([due.live.toSorted((a, b) => a - b), due.count]).toEqual([runs, 0]);
    expect(due.rev).toBeGreaterThan(rev);
    expect(await scheduleOf(store, name)).toMatchObject({ count: 0, last: { run: runs[2] } });
  });

  test("a run that comes leased counts as well, and one whose key had a run already does not", async () => {
    const { store, node } = await setup();
    await putOne(store, { rule: aRule({ overlap: "skip" }) });
    const key = aKey("k");
    const stranger = await addOne(store, { key });

    const again = only(await addAll(store, [aRun({ ...own, key })]));
    const [leased] = await store.runs.add([aRun(own)], { lease: { node, ttlMs: 10_000 } });

    expect(again).toMatchObject({ id: stranger, created: false });
    expect((await dueOf(store, node)).live).toEqual([(leased as Added).id]);
  });

  test("a run that names a schedule and does not say so is a stranger to it", async () => {
    const { store, node } = await setup();
    await putOne(store, { rule: aRule({ overlap: "skip" }) });

    await addOne(store, { ...own, attach: false });

    expect((await dueOf(store, node)).live).toEqual([]);
    expect(await scheduleOf(store, name)).toMatchObject({ last: null });
  });

  test("a tick that was worked out before a run was added stands where nothing depends on it", async () => {
    const { store, node } = await setup();
    await putOne(store);
    const due = await dueOf(store, node);

    await addOne(store, own);

    expect(await store.ticks.tick([aTick(due)])).toEqual([[]]);
  });

  test("a tick that was worked out before a run was added is refused where overlap asks for it", async () => {
    const { store, node } = await setup();
    await putOne(store, { rule: aRule({ overlap: "skip" }) });
    const due = await dueOf(store, node);

    await addOne(store, own);

    expect(await store.ticks.tick([aTick(due)])).toEqual([null]);
  });

  test("a run for a schedule that is not there is added all the same", async () => {
    const { store } = await setup();

    const id = await addOne(store, own);

    expect((await store.find.get(id))!.status).toBe("pending");
    expect((await store.schedules.list({})).items).toEqual([]);
  });
}

function hearing(setup: () => Promise<Setup>): void {
  const acts: readonly (readonly [string, (store: Guarded) => Promise<unknown>])[] = [
    ["put", (store) => putOne(store)],
    ["paused", (store) => store.schedules.pause({ job: "job", key: "runs" }, true)],
    ["resumed", (store) => store.schedules.pause({ job: "job", key: "paused" }, false)],
    ["declared", (store) => declareOn(store, [aSchedule({ key: "new" })])],
  ];
  test.each(acts)("nodes hear that a schedule was %s", async (_, act) => {
    const { store, node } = await setup();
    await store.schedules.put([aSchedule({ key: "runs" }), aSchedule({ key: "paused" })]);
    await store.schedules.pause({ job: "job", key: "paused" }, true);
    const other = await store.nodes.join(aNode(), 30_000);
    const heard: string[] = [];
    const stops = await Promise.all(
      [node, other].map((each) => store.runs.listen(each, (what) => heard.push(`${what} ${each}`))),
    );

    await act(store);

    await until(() => [node, other].every((each) => heard.includes(`tick ${each}`)), { what: 'a call of "tick" each' });
    for (const stop of stops) await stop();
  });
}
