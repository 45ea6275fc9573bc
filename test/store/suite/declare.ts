import { expect, test } from "vitest";
import type { NewSchedule, ScheduleName } from "../../../sdk/port/target.ts";
import type { Guarded } from "../../../runtime/store/port.ts";
import {
  aJob,
  aNode,
  aRule,
  aSchedule,
  aState,
  aTick,
  aTickRun,
  declareOn,
  dueOf,
  planOne,
  putOne,
  scheduleOf,
  tickOne,
  wire,
} from "../../kit/build.ts";
import type { Setup } from "../suite.ts";
import { near } from "./near.ts";

const hour = 3_600_000;
const name: ScheduleName = { job: "job", key: "" };
const one = [aSchedule({ input: wire(1) })];
const two = [aSchedule({ input: wire(2) })];

/** What code says about its schedules. */
export function declaring(setup: () => Promise<Setup>): void {
  applying(setup);
  winning(setup);
  reminding(setup);
}

async function redeclare(store: Guarded, node: number, schedules: readonly NewSchedule[]): Promise<void> {
  await store.nodes.publish(node, [aJob({ schedules })]);
}

/** Whether a beat of a node that has job `job` says that it is to declare again. */
async function isAsked(store: Guarded, node: number): Promise<boolean> {
  return (await store.nodes.beat(node, 30_000, aState(), [])).publish;
}

async function inputs(store: Guarded): Promise<readonly (string | undefined)[]> {
  return (await store.schedules.list({})).items.map(({ input }) => input.json);
}

function applying(setup: () => Promise<Setup>): void {
  test("declared schedules are there, served at once, and count from now", async () => {
    const { store, clock, node } = await setup();
    const given = aSchedule({ key: "k", rule: aRule({ spreadMs: 5 }), queue: "q", priority: 3, tags: ["t"] });

    await store.nodes.publish(node, [
      aJob({ schedules: [aSchedule(), given] }),
      aJob({ id: "other", schedules: [aSchedule({ job: "other" })] }),
    ]);

    const { items } = await store.schedules.list({ declared: true });
    expect(items.map(({ job, key }) => [job, key])).toEqual([
      ["job", ""],
      ["job", "k"],
      ["other", ""],
    ]);
    expect(items[1]).toMatchObject({ ...given, declared: true, paused: false, fresh: true, served: true, count: 0 });
    near(items[1]!.nextAt, clock.now());
    expect((await store.find.stats()).nodes[0]!.jobs.toSorted()).toEqual(["job", "other"]);
  });

  test("a job without schedules is listed, and declares nothing", async () => {
    const { store, node } = await setup();

    await redeclare(store, node, []);

    expect(await inputs(store)).toEqual([]);
    expect((await store.find.stats()).nodes[0]!.jobs).toEqual(["job"]);
    expect(await isAsked(store, node)).toBe(false);
  });

  test("what newer code left out is taken out; its runs stay", async () => {
    const { store, clock, node } = await setup();
    await redeclare(store, node, [aSchedule(), aSchedule({ key: "stays" })]);
    const due = await dueOf(store, node);
    const [run] = await tickOne(store, due, { runs: [aTickRun(clock.nowMs())] });

    await declareOn(store, [aSchedule({ key: "stays" })]);

    expect((await store.schedules.list({})).items.map(({ key }) => key)).toEqual(["stays"]);
    expect(await store.find.get(run!)).toMatchObject({ status: "pending" });
    expect((await store.ticks.due({ node, aheadMs: 0, limit: 9 })).due.map(({ key }) => key)).toEqual(["stays"]);
  });

  test("a tick of a schedule that was taken out is refused", async () => {
    const { store, node } = await setup();
    await redeclare(store, node, one);
    const due = await dueOf(store, node);
    await declareOn(store, []);

    const answers = await store.ticks.tick([aTick(due), aTick({ ...due, rev: due.rev + 1 })]);

    expect(answers).toEqual([null, null]);
  });

  test("what comes back counts from then on, and what it did stays", async () => {
    const { store, clock, node } = await setup();
    await redeclare(store, node, one);
    const tickMs = clock.nowMs() - 1000;
    await tickOne(store, await dueOf(store, node), { lastMs: tickMs, runs: [aTickRun(tickMs)] });
    await redeclare(store, node, []);
    await clock.advance("20s");

    await redeclare(store, node, one);

    const record = (await scheduleOf(store, name))!;
    expect(record).toMatchObject({ declared: true, fresh: true, count: 1, lastTick: new Date(tickMs) });
    near(record.nextAt, clock.now());
  });

  test("what comes back is paused if it was", async () => {
    const { store, node } = await setup();
    await redeclare(store, node, one);
    await store.schedules.pause(name, true);
    await redeclare(store, node, []);

    await redeclare(store, node, two);

    expect(await scheduleOf(store, name)).toMatchObject({ paused: true, nextAt: null, fresh: false, input: wire(2) });
  });

  test("a run-time schedule of the same name is taken over, with its next tick and its pause", async () => {
    const { store, clock, node } = await setup();
    const next = new Date(clock.nowMs() + hour);
    await planOne(store, node, next.getTime());
    await putOne(store, { key: "paused" });
    await store.schedules.pause({ job: "job", key: "paused" }, true);

    await redeclare(store, node, [aSchedule({ tags: ["code"] }), aSchedule({ key: "paused" })]);

    const { items } = await store.schedules.list({ declared: true });
    expect(items).toMatchObject([
      { key: "", tags: ["code"], nextAt: next, fresh: false, paused: false },
      { key: "paused", nextAt: null, paused: true },
    ]);
  });

  test("only a new timing moves the next tick of a declared schedule", async () => {
    const { store, clock, node } = await setup();
    const next = clock.nowMs() + hour;
    await redeclare(store, node, one);
    await tickOne(store, await dueOf(store, node), { nextMs: next });

    await redeclare(store, node, [aSchedule({ rule: aRule({ overlap: "skip" }), input: wire(2) })]);
    const kept = await scheduleOf(store, name);
    await redeclare(store, node, [aSchedule({ rule: aRule({ everyMs: 90_000 }) })]);
    const moved = await scheduleOf(store, name);

    expect(kept).toMatchObject({ nextAt: new Date(next), fresh: false, input: wire(2), rule: { overlap: "skip" } });
    expect(moved).toMatchObject({ fresh: true, rule: { everyMs: 90_000 } });
    near(moved!.nextAt, clock.now());
  });

  test("the same declaration of another node, in another order, changes nothing", async () => {
    const { store, node } = await setup();
    const list = [aSchedule(), aSchedule({ key: "a" }), aSchedule({ key: "b" })];
    await redeclare(store, node, list);
    const before = (await store.schedules.list({})).items;
    const due = await dueOf(store, node);

    await declareOn(store, list.toReversed());

    expect((await store.schedules.list({})).items).toEqual(before);
    await tickOne(store, due);
  });

  test("schedules of other jobs, and of the job's own run time, are left alone", async () => {
    const { store, node } = await setup();
    await redeclare(store, node, one);
    await putOne(store, { key: "user:7" });

    await declareOn(store, [aSchedule({ job: "other" })], "other");
    await declareOn(store, []);

    const { items } = await store.schedules.list({});
    expect(items.map(({ job, key, declared }) => [job, key, declared])).toEqual([
      ["job", "user:7", false],
      ["other", "", true],
    ]);
  });
}

function winning(setup: () => Promise<Setup>): void {
  test("the declaration that was seen last wins while both have nodes, whoever declares again", async () => {
    const { store, node: old } = await setup();
    await redeclare(store, old, one);
    const young = await declareOn(store, two);

    await redeclare(store, old, one);
    await declareOn(store, one);

    expect(await inputs(store)).toEqual(["2"]);
    expect([await isAsked(store, old), await isAsked(store, young)]).toEqual([false, false]);
  });

  test("a rollback: when the newer code's node has left, the older declares again, and a pause stays", async () => {
    const { store, node: old } = await setup();
    await redeclare(store, old, [...one, aSchedule({ key: "dropped" })]);
    const young = await declareOn(store, two);
    await store.schedules.pause(name, true);
    expect(await isAsked(store, old)).toBe(false);

    await store.nodes.leave(young);
    expect(await isAsked(store, old)).toBe(true);
    await redeclare(store, old, [...one, aSchedule({ key: "dropped" })]);

    expect(await inputs(store)).toEqual(["1", "{}"]);
    expect(await scheduleOf(store, name)).toMatchObject({ paused: true, nextAt: null });
    expect(await scheduleOf(store, { job: "job", key: "dropped" })).toMatchObject({ paused: false, fresh: true });
    expect(await isAsked(store, old)).toBe(false);
  });

  test("a rollback brings back what the newer code had taken out altogether", async () => {
    const { store, node: old } = await setup();
    await redeclare(store, old, one);
    await store.nodes.leave(await declareOn(store, []));
    expect(await inputs(store)).toEqual([]);

    expect(await isAsked(store, old)).toBe(true);
    await redeclare(store, old, one);

    expect(await inputs(store)).toEqual(["1"]);
  });

  test("a rollback to code that had no schedule yet takes those of the newer code out", async () => {
    const { store, node: old } = await setup();
    await redeclare(store, old, []);
    const young = await declareOn(store, one);
    expect(await inputs(store)).toEqual(["1"]);

    await store.nodes.leave(young);
    expect(await isAsked(store, old)).toBe(true);
    await redeclare(store, old, []);

    expect(await inputs(store)).toEqual([]);
  });

  test("a node that drains has no say", async () => {
    const { store, node: old } = await setup();
    await redeclare(store, old, one);
    const young = await declareOn(store, two);

    await store.nodes.beat(young, 30_000, aState({ draining: true }), []);

    expect(await isAsked(store, old)).toBe(true);
    await redeclare(store, old, one);
    expect(await inputs(store)).toEqual(["1"]);
  });

  test("a node whose lease has ended has no say, until it beats again", async () => {
    const { store, clock, node: young } = await setup();
    const old = await declareOn(store, one);
    await redeclare(store, young, two);
    await clock.advance("5m");

    const asked = await isAsked(store, old);
    await redeclare(store, old, one);
    const during = await inputs(store);
    const askedAgain = await isAsked(store, young);
    await redeclare(store, young, two);

    expect([asked, during, askedAgain]).toEqual([true, ["1"], true]);
    expect(await inputs(store)).toEqual(["2"]);
  });

  test("a node says what its code is now: an older version that comes back in place wins", async () => {
    const { store, node } = await setup();
    for (const version of [one, two, one]) await redeclare(store, node, version);

    expect(await inputs(store)).toEqual(["1"]);
    expect(await isAsked(store, node)).toBe(false);
  });

  test("of two versions that are declared at once, one is there as a whole", async () => {
    const { store, node } = await setup();
    const other = await store.nodes.join(aNode(), 30_000);
    const version = (n: number) => ["a", "b", `only ${n}`].map((key) => aSchedule({ key, input: wire(n) }));

    await Promise.all([redeclare(store, node, version(1)), redeclare(store, other, version(2))]);

    const winner = (await inputs(store))[0]!;
    expect((await store.schedules.list({})).items.map(({ key, input }) => [key, input.json])).toEqual(
      ["a", "b", `only ${winner}`].map((key) => [key, winner]),
    );
    expect([await isAsked(store, node), await isAsked(store, other)]).toEqual([false, false]);
  });

  test("20 nodes that declare the same at once make it once", async () => {
    const { store } = await setup();

    await Promise.all(Array.from({ length: 20 }, () => declareOn(store, [aSchedule(), aSchedule({ key: "k" })])));

    expect((await store.schedules.list({})).items).toHaveLength(2);
  });
}

function reminding(setup: () => Promise<Setup>): void {
  test("a beat asks for a declaration until there is one", async () => {
    const { store, node } = await setup();

    const before = await isAsked(store, node);
    await redeclare(store, node, one);
    const after = await isAsked(store, node);

    expect([before, after]).toEqual([true, false]);
  });

  test("a node without jobs has declared, too", async () => {
    const { store, node } = await setup();

    await store.nodes.publish(node, []);

    expect(await isAsked(store, node)).toBe(false);
  });

  test("a node that was forgotten is asked to declare again", async () => {
    const { store, clock, node } = await setup();
    await redeclare(store, node, one);
    await clock.advance("2h");
    await store.runs.sweep({ maxCrashes: 3 });

    const asked = await isAsked(store, node);
    await redeclare(store, node, one);

    expect([asked, await isAsked(store, node)]).toEqual([true, false]);
    expect(await inputs(store)).toEqual(["1"]);
  });

  test("a node that declares after it was forgotten is asked again, once it beats", async () => {
    const { store, clock, node } = await setup();
    await clock.advance("2h");
    await store.runs.sweep({ maxCrashes: 3 });

    await redeclare(store, node, one);

    expect(await store.nodes.beat(node, 30_000, aState(), [])).toMatchObject({ alive: false, publish: true });
  });

  test("a declared schedule is not due while no live node has its job, and is due as before when one has", async () => {
    const { store, clock, node } = await setup();
    const author = await declareOn(store, one);
    const nextMs = clock.nowMs() + 10_000;
    await tickOne(store, await dueOf(store, author), { nextMs });
    await store.nodes.leave(author);
    await clock.advance("10m");

    const alone = await store.ticks.due({ node, aheadMs: hour, limit: 9 });
    const { tickMs } = await store.nodes.beat(node, 30_000, aState({ jobs: ["other"] }), []);
    await declareOn(store, one);
    const due = await dueOf(store, node);

    expect([alone.due, alone.next, tickMs]).toEqual([[], null, null]);
    expect(due).toMatchObject({ nextMs, fresh: false });
  });
}
