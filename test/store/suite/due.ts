import { expect, test } from "vitest";
import type { DueList, Guarded } from "../../../runtime/store/port.ts";
import {
  aJob,
  aNode,
  aRule,
  aSchedule,
  aState,
  aTickRun,
  declareOn,
  dueOf,
  lease,
  only,
  planOne,
  putOne,
  settled,
  tickOne,
} from "../../kit/build.ts";
import type { Setup } from "../suite.ts";
import { near } from "./near.ts";

const minute = 60_000;
const hour = 3_600_000;

/** What nodes read of schedules. */
export function falling(setup: () => Promise<Setup>): void {
  reading(setup);
  effective(setup);
}

function reading(setup: () => Promise<Setup>): void {
  const soon = (store: Guarded, node: number, aheadMs = 0, limit = 100): Promise<DueList> =>
    store.ticks.due({ node, aheadMs, limit });
  const keysOf = ({ due }: DueList): readonly string[] => due.map(({ key }) => key);

  test("a fresh schedule is due, whatever its overlap, with all that a node needs", async () => {
    const { store, clock, node } = await setup();
    const given = aSchedule({
      rule: aRule({ overlap: "skip" }),
      input: { json: "1", meta: "{}" },
      queue: "q",
      priority: 3,
      tags: ["t"],
    });
    await store.schedules.put([given]);

    const list = await soon(store, node);

    const due = only(list.due);
    expect(due).toMatchObject({ ...given, fresh: true, lastMs: null, count: 0, live: [], ttlMs: null });
    near(due.nextMs, clock.nowMs());
    near(list.nowMs, clock.nowMs());
    expect(Number.isInteger(due.rev)).toBe(true);
  });

  test("reading changes nothing", async () => {
    const { store, node } = await setup();
    await putOne(store);

    const first = await soon(store, node);
    const second = await soon(store, node);

    expect(second.due).toEqual(first.due);
  });

  test("a schedule that allows overlap is due ahead of its instant, one that does not is due on the dot", async () => {
    const { store, clock, node } = await setup();
    const at = clock.nowMs() + 10 * minute;
    for (const overlap of ["allow", "skip", "cancel"] as const)
      await planOne(store, node, at, { key: overlap, rule: aRule({ overlap }) });

    const before = [await soon(store, node, 5 * minute), await soon(store, node, hour)];
    await clock.advance("10m");
    const after = await soon(store, node);

    expect(before.map(keysOf)).toEqual([[], ["allow"]]);
    expect(keysOf(after).toSorted()).toEqual(["allow", "cancel", "skip"]);
    expect(after.due[0]).toMatchObject({ nextMs: at, fresh: false });
  });

  test("the earliest come first, and no more than were asked for", async () => {
    const { store, clock, node } = await setup();
    for (const [key, ago] of [
      ["b", 2],
      ["c", 1],
      ["a", 3],
    ] as const)
      await planOne(store, node, clock.nowMs() - ago * minute, { key });

    const list = await soon(store, node, 0, 2);

    expect(keysOf(list)).toEqual(["a", "b"]);
    expect(list.next).toEqual({ atMs: clock.nowMs() - minute, dot: false });
  });

  test("the next one is the earliest of the rest, and tells whether it starts on the dot", async () => {
    const { store, clock, node } = await setup();
    const nowMs = clock.nowMs();
    await planOne(store, node, nowMs + 3 * minute, { key: "allow" });
    await planOne(store, node, nowMs + 2 * minute, { key: "skip", rule: aRule({ overlap: "skip" }) });
    await planOne(store, node, nowMs + 9 * minute, { key: "late" });

    const lists = [await soon(store, node, minute), await soon(store, node, 5 * minute)];
    await store.schedules.remove({ job: "job", key: "skip" });
    lists.push(await soon(store, node, minute), await soon(store, node, 5 * minute), await soon(store, node, hour));

    expect(lists.map(keysOf)).toEqual([[], ["allow"], [], ["allow"], ["allow", "late"]]);
    expect(lists.map(({ next }) => next)).toEqual([
      { atMs: nowMs + 2 * minute, dot: true },
      { atMs: nowMs + 2 * minute, dot: true },
      { atMs: nowMs + 3 * minute, dot: false },
      { atMs: nowMs + 9 * minute, dot: false },
      null,
    ]);
  });

  test("a schedule that has ended is not due", async () => {
    const { store, node } = await setup();
    await planOne(store, node, null);

    expect(await soon(store, node, hour)).toMatchObject({ due: [], next: null });
  });

  test("a schedule made at run time is due whether or not a node has its job", async () => {
    const { store, node } = await setup();
    await store.nodes.beat(node, 30_000, aState({ jobs: [] }), []);
    await putOne(store, { job: "nobody's" });

    expect((await soon(store, node)).due.map(({ job }) => job)).toEqual(["nobody's"]);
  });

  test("a node hears whether others live", async () => {
    const { store, node } = await setup();
    const alone = await soon(store, node);
    const other = await store.nodes.join(aNode(), 30_000);
    const together = await soon(store, node);
    await store.nodes.leave(other);

    expect([alone.others, together.others, (await soon(store, node)).others]).toEqual([false, true, false]);
  });
}

function effective(setup: () => Promise<Setup>): void {
  test("what a schedule does not say is as its job was published", async () => {
    const { store, node } = await setup();
    await store.nodes.publish(node, [aJob({ queue: "slow", priority: 7, tags: ["job", "both"], ttlMs: minute })]);
    await putOne(store, { tags: ["both", "own"] });

    const due = await dueOf(store, node);

    expect(due).toMatchObject({ queue: "slow", priority: 7, tags: ["job", "both", "own"], ttlMs: minute });
  });

  test("what a schedule says goes before what its job says", async () => {
    const { store, node } = await setup();
    await store.nodes.publish(node, [aJob({ queue: "slow", priority: 7 })]);
    await putOne(store, { queue: "fast", priority: 0 });

    expect(await dueOf(store, node)).toMatchObject({ queue: "fast", priority: 0 });
  });

  test("without a published job there are defaults", async () => {
    const { store, node } = await setup();
    await putOne(store, { tags: ["own"] });

    expect(await dueOf(store, node)).toMatchObject({ queue: "default", priority: 0, tags: ["own"], ttlMs: null });
  });

  test.each(["skip", "cancel"] as const)("live runs are told for overlap %s, until they end", async (overlap) => {
    const { store, clock, node } = await setup();
    await putOne(store, { rule: aRule({ overlap }) });
    const runs: (number | null)[] = [];
    for (const ago of [2000, 1000]) {
      const due = await dueOf(store, node);
      const tick = aTickRun(clock.nowMs() - ago);
      runs.push(...(await tickOne(store, due, { nextMs: clock.nowMs(), runs: [tick] })));
    }

    const both = (await dueOf(store, node)).live;
    await store.desk.cancel([runs[0]!]);
    const rest = (await dueOf(store, node)).live;
    await store.runs.settle((await lease(store, node)).map((each) => settled(each)));

    expect(both.toSorted((a, b) => a - b)).toEqual(runs);
    expect(rest).toEqual([runs[1]]);
    expect((await dueOf(store, node)).live).toEqual([]);
  });

  test("live runs are not told where overlap is allowed", async () => {
    const { store, clock, node } = await setup();
    await putOne(store);
    await tickOne(store, await dueOf(store, node), { nextMs: clock.nowMs(), runs: [aTickRun(clock.nowMs())] });

    expect((await dueOf(store, node)).live).toEqual([]);
  });

  test("a declared schedule tells since when a live node has its job; one made at run time needs none", async () => {
    const { store, clock, node } = await setup();
    await store.nodes.leave(await declareOn(store, [aSchedule({ key: "declared" })]));
    await clock.advance("5m");
    const again = clock.nowMs();
    await declareOn(store, [aSchedule({ key: "declared" })]);
    await store.nodes.beat(node, 30_000, aState({ jobs: [] }), []);
    await putOne(store, { key: "made" });

    const { due } = await store.ticks.due({ node, aheadMs: 0, limit: 100 });

    const since = new Map(due.map(({ key, servedMs }) => [key, servedMs]));
    near(since.get("declared")!, again);
    expect(since.get("made")).toBeNull();
  });
}
