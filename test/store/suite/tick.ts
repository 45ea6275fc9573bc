import { expect, test } from "vitest";
import { tickKey } from "../../../sdk/port/id.ts";
import type { ScheduleName } from "../../../sdk/port/target.ts";
import type { Guarded } from "../../../runtime/store/port.ts";
import {
  addOne,
  aKey,
  aRule,
  aSchedule,
  aState,
  aTick,
  aTickRun,
  declareOn,
  dueOf,
  failed,
  keyed,
  lease,
  only,
  planOne,
  putOne,
  scheduleOf,
  settled,
  tickOne,
  wire,
} from "../../kit/build.ts";
import { until } from "../../kit/until.ts";
import type { Setup } from "../suite.ts";
import { near } from "./near.ts";

const minute = 60_000;
const hour = 3_600_000;
const name: ScheduleName = { job: "job", key: "" };

/** How nodes move schedules on. */
export function ticking(setup: () => Promise<Setup>): void {
  moving(setup);
  making(setup);
  racing(setup);
  beating(setup);
}

function moving(setup: () => Promise<Setup>): void {
  test("a tick moves its schedule on", async () => {
    const { store, clock, node } = await setup();
    await putOne(store);
    const due = await dueOf(store, node);
    const [nextMs, lastMs] = [clock.nowMs(), clock.nowMs() - minute];

    const answers = await store.ticks.tick([aTick(due, { nextMs, lastMs })]);

    expect(answers).toEqual([[]]);
    expect(await dueOf(store, node)).toEqual({ ...due, rev: due.rev + 1, nextMs, lastMs, fresh: false });
    const told = { nextAt: new Date(nextMs), fresh: false, lastTick: new Date(lastMs), last: null, count: 0 };
    expect(await scheduleOf(store, name)).toMatchObject(told);
  });

  test("a tick without a last one leaves the last one", async () => {
    const { store, clock, node } = await setup();
    await putOne(store);
    const lastMs = clock.nowMs() - minute;
    await tickOne(store, await dueOf(store, node), { nextMs: clock.nowMs(), lastMs });

    await tickOne(store, await dueOf(store, node), { lastMs: null });

    expect(await scheduleOf(store, name)).toMatchObject({ lastTick: new Date(lastMs) });
  });

  test("a schedule without a next tick has ended, and is not paused", async () => {
    const { store, node } = await setup();
    await putOne(store);

    await tickOne(store, await dueOf(store, node), { nextMs: null });

    expect(await scheduleOf(store, name)).toMatchObject({ nextAt: null, fresh: false, paused: false });
  });

  test("a tick of another revision changes nothing, and the others of its batch go on", async () => {
    const { store, clock, node } = await setup();
    for (const key of ["a", "b", "c"]) await putOne(store, { key });
    const { due } = await store.ticks.due({ node, aheadMs: 0, limit: 9 });
    const [a, b, c] = ["a", "b", "c"].map((key) => only(due.filter((each) => each.key === key)));
    const runs = [aTickRun(clock.nowMs())];

    const answers = await store.ticks.tick([
      aTick(a!, { runs }),
      aTick({ ...b!, rev: b!.rev + 1 }, { runs }),
      aTick(c!, { runs }),
    ]);

    expect(answers).toEqual([[expect.any(Number)], null, [expect.any(Number)]]);
    expect((await store.find.list({})).items.map(({ key }) => /^\$tick:(.)/.exec(key!)?.[1]).toSorted()).toEqual([
      "a",
      "c",
    ]);
    expect(await dueOf(store, node, b)).toEqual(b);
  });

  test("a schedule that is not there does not tick", async () => {
    const { store, node } = await setup();
    await putOne(store);
    const due = await dueOf(store, node);
    await store.schedules.remove(name);

    expect(await store.ticks.tick([aTick(due, { runs: [aTickRun(0)] })])).toEqual([null]);
    expect((await store.find.list({})).items).toEqual([]);
  });

  test("of two ticks of a schedule in a batch, the second is refused", async () => {
    const { store, clock, node } = await setup();
    await putOne(store);
    const due = await dueOf(store, node);
    const [first, second] = [clock.nowMs() - 2000, clock.nowMs() - 1000];

    const answers = await store.ticks.tick([
      aTick(due, { runs: [aTickRun(first)] }),
      aTick(due, { runs: [aTickRun(second)] }),
    ]);

    expect(answers).toEqual([[expect.any(Number)], null]);
    expect(only((await store.find.list({})).items).key).toBe(tickKey("", first));
  });
}

function making(setup: () => Promise<Setup>): void {
  test("a tick's run has the schedule's input, and is what the node asked for", async () => {
    const { store, clock, node } = await setup();
    await putOne(store, { job: "mail", key: "k", input: { json: "[7]", meta: "{}" } });
    const due = await dueOf(store, node, { job: "mail", key: "k" });
    const tickMs = clock.nowMs() + minute;
    const asked = { queue: "q", priority: 8, tags: ["a", "b"], options: { timeoutMs: 5, ...aTickRun(tickMs).options } };

    const [id] = await tickOne(store, due, {
      runs: [aTickRun(tickMs, { ...asked, dueMs: tickMs + 5000, ttlMs: hour })],
    });

    const run = (await store.find.get(id!))!;
    expect(run).toMatchObject({ ...asked, job: "mail", input: { json: "[7]", meta: "{}" }, status: "pending" });
    expect(run).toMatchObject({ key: tickKey("k", tickMs), attempt: 0, replayOf: null });
    expect([run.dueAt, run.expiresAt]).toEqual([new Date(tickMs + 5000), new Date(tickMs + 5000 + hour)]);
    near(run.createdAt, clock.now());
    expect(await keyed(store, "mail", tickKey("k", tickMs))).toBe(id);
  });

  test("a tick that is past makes a run that is due now", async () => {
    const { store, clock, node } = await setup();
    await putOne(store);

    const [id] = await tickOne(store, await dueOf(store, node), {
      runs: [aTickRun(clock.nowMs() - hour, { ttlMs: minute })],
    });

    const run = (await store.find.get(id!))!;
    near(run.dueAt, clock.now());
    near(run.expiresAt, clock.nowMs() + minute);
    expect(only(await lease(store, node)).id).toBe(id);
  });

  test("runs are answered by place, counted, and the last one is the schedule's last", async () => {
    const { store, clock, node } = await setup();
    await putOne(store);
    const ticks = [3, 2, 1].map((ago) => clock.nowMs() - ago * minute);
    const held = await addOne(store, { key: aKey(tickKey("", ticks[1]!)) });

    const runs = await tickOne(store, await dueOf(store, node), { runs: ticks.map((at) => aTickRun(at)) });

    expect(runs).toEqual([expect.any(Number), null, expect.any(Number)]);
    const keys = await Promise.all(runs.map(async (id) => id && (await store.find.get(id))!.key));
    expect(keys).toEqual([tickKey("", ticks[0]!), null, tickKey("", ticks[2]!)]);
    expect(await scheduleOf(store, name)).toMatchObject({ count: 2, last: { run: runs[2] } });
    expect(await keyed(store, "job", tickKey("", ticks[1]!))).toBe(held);
  });

  test("a tick that made no run leaves the last run", async () => {
    const { store, clock, node } = await setup();
    await putOne(store);
    const runs = [aTickRun(clock.nowMs() - minute)];
    const [run] = await tickOne(store, await dueOf(store, node), { nextMs: clock.nowMs(), runs });

    const again = await tickOne(store, await dueOf(store, node), { runs });

    expect(again).toEqual([null]);
    expect(await scheduleOf(store, name)).toMatchObject({ count: 1, last: { run } });
  });

  test.each(["completed", "failed", "canceled", "completed a month ago"] as const)(
    "a tick whose run has %s makes no other",
    async (how) => {
      const { store, clock, node } = await setup();
      await putOne(store);
      const runs = [aTickRun(clock.nowMs() - minute)];
      const [run] = await tickOne(store, await dueOf(store, node), { nextMs: clock.nowMs(), runs });
      if (how === "canceled") await store.desk.cancel([run!]);
      const ends = how === "failed" ? failed() : undefined;
      await store.runs.settle((await lease(store, node)).map((each) => settled(each, ends)));
      if (how === "completed a month ago") await clock.advance("30d");

      expect(await tickOne(store, await dueOf(store, node), { runs })).toEqual([null]);
      expect((await store.find.list({})).items.map(({ id }) => id)).toEqual([run]);
    },
  );

  test("a tick's run holds its key for a week after it completed", async () => {
    const { store, clock, node } = await setup();
    await putOne(store);
    const tickMs = clock.nowMs() - minute;
    const [run] = await tickOne(store, await dueOf(store, node), { runs: [aTickRun(tickMs)] });
    await store.runs.settle((await lease(store, node)).map((each) => settled(each)));

    await clock.advance("6d");
    const during = await keyed(store, "job", tickKey("", tickMs));
    await clock.advance("2d");
    const after = await keyed(store, "job", tickKey("", tickMs));

    expect([during, after]).toEqual([run, null]);
  });

  test("nodes hear of the runs that a tick made", async () => {
    const { store, clock, node } = await setup();
    await putOne(store);
    const due = await dueOf(store, node);
    const heard: string[] = [];
    const stop = await store.runs.listen(node, (what) => heard.push(what));

    await tickOne(store, due, { runs: [aTickRun(clock.nowMs())] });

    await until(() => heard.includes("due"), { what: 'a call of "due"' });
    await stop();
  });
}

function racing(setup: () => Promise<Setup>): void {
  test("20 concurrent ticks of one revision make one run", async () => {
    const { store, clock, node } = await setup();
    await putOne(store);
    const due = await dueOf(store, node);
    const runs = [aTickRun(clock.nowMs())];

    const answers = await Promise.all(Array.from({ length: 20 }, () => store.ticks.tick([aTick(due, { runs })])));

    expect(answers.filter(([made]) => made)).toEqual([[[expect.any(Number)]]]);
    expect((await store.find.list({})).items).toHaveLength(1);
    expect(await scheduleOf(store, name)).toMatchObject({ count: 1 });
  });

  test("concurrent batches of the same schedules in opposite order all end, each schedule ticking once", async () => {
    const { store, clock, node } = await setup();
    await store.schedules.put(Array.from({ length: 30 }, (_, i) => aSchedule({ key: `k${i}` })));
    const { due } = await store.ticks.due({ node, aheadMs: 0, limit: 100 });
    const batch = due.map((each) => aTick(each, { runs: [aTickRun(clock.nowMs())] }));

    const answers = await Promise.all([batch, batch.toReversed(), batch].map((each) => store.ticks.tick(each)));

    expect(answers.flat().filter((made) => made)).toHaveLength(30);
    expect((await store.find.list({}, { limit: 200 })).items).toHaveLength(30);
  });

  test("a tick and an add of its key at once make one run", async () => {
    const { store, clock, node } = await setup();
    await putOne(store);
    const due = await dueOf(store, node);
    const tickMs = clock.nowMs();

    const [[made], added] = await Promise.all([
      tickOne(store, due, { runs: [aTickRun(tickMs)] }),
      addOne(store, { key: aKey(tickKey("", tickMs)) }),
    ]);

    const run = only((await store.find.list({})).items);
    expect(added).toBe(run.id);
    expect([run.id, null]).toContain(made);
  });

  test("a tick beside a pause either made its run before it, or is refused", async () => {
    const { store, clock, node } = await setup();
    await putOne(store);
    const due = await dueOf(store, node);

    const [[made], record] = await Promise.all([
      store.ticks.tick([aTick(due, { runs: [aTickRun(clock.nowMs())] })]),
      store.schedules.pause(name, true),
    ]);

    expect(record).toMatchObject({ paused: true, nextAt: null });
    expect(await scheduleOf(store, name)).toMatchObject({ paused: true, nextAt: null, count: made ? 1 : 0 });
    expect((await store.find.list({})).items).toHaveLength(made ? 1 : 0);
  });
}

function beating(setup: () => Promise<Setup>): void {
  const tickMsOf = async (store: Guarded, node: number, jobs: readonly string[] = ["job"]): Promise<number | null> =>
    (await store.nodes.beat(node, 30_000, aState({ jobs }), [])).tickMs;

  test("a beat tells when the earliest schedule is due", async () => {
    const { store, clock, node } = await setup();
    const none = await tickMsOf(store, node);
    await planOne(store, node, clock.nowMs() + 2 * minute, { key: "second" });
    await planOne(store, node, clock.nowMs() + minute, { key: "first", rule: aRule({ overlap: "skip" }) });
    await planOne(store, node, clock.nowMs() + 3 * minute, { key: "third" });

    expect([none, await tickMsOf(store, node)]).toEqual([null, clock.nowMs() + minute]);
  });

  test("a beat tells of a fresh schedule", async () => {
    const { store, clock, node } = await setup();
    await putOne(store, { input: wire(1) });

    near(await tickMsOf(store, node), clock.nowMs());
  });

  test("a beat does not tell of schedules that are paused, ended or taken out", async () => {
    const { store, node } = await setup();
    await putOne(store, { key: "paused" });
    await store.schedules.pause({ job: "job", key: "paused" }, true);
    await planOne(store, node, null, { key: "ended" });
    await declareOn(store, [aSchedule({ key: "out" })]);
    await declareOn(store, []);

    expect(await tickMsOf(store, node)).toBeNull();
  });

  test("a beat tells of declared schedules only while a live node has their job", async () => {
    const { store, clock, node } = await setup();
    const author = await declareOn(store, [aSchedule()]);
    const nextMs = clock.nowMs() + minute;
    await tickOne(store, await dueOf(store, node), { nextMs });

    const served = await tickMsOf(store, node, ["other"]);
    await store.nodes.leave(author);
    const left = await tickMsOf(store, node, ["other"]);
    const again = await tickMsOf(store, node, ["job"]);

    expect([served, left, again]).toEqual([nextMs, null, nextMs]);
  });

  test("no tick comes once the runs that were made reach the limit; a tick whose key was taken makes none", async () => {
    const { store, clock, node } = await setup();
    await putOne(store, { rule: aRule({ limit: 2 }) });
    const at = [3000, 2000, 1000].map((ago) => clock.nowMs() - ago);
    await addOne(store, { key: aKey(tickKey("", at[1]!)) });
    const next = async (tickMs: number): Promise<Date | null> => {
      await tickOne(store, await dueOf(store, node), { nextMs: clock.nowMs(), runs: [aTickRun(tickMs)] });
      return (await scheduleOf(store, { job: "job", key: "" }))!.nextAt;
    };

    const [first, taken, last] = [await next(at[0]!), await next(at[1]!), await next(at[2]!)];

    expect([first !== null, taken !== null, last]).toEqual([true, true, null]);
  });

  test("schedules that are left out are not due, nor what comes next", async () => {
    const { store, clock, node } = await setup();
    for (const key of ["a", "b", "later"]) await putOne(store, { key });
    const later = (await store.ticks.due({ node, aheadMs: 0, limit: 9 })).due.find(({ key }) => key === "later")!;
    await store.ticks.tick([aTick(later, { nextMs: clock.nowMs() + minute })]);

    const except = [
      { job: "job", key: "a" },
      { job: "job", key: "later" },
    ];
    const list = await store.ticks.due({ node, aheadMs: 0, limit: 9, except });

    expect([list.due.map(({ key }) => key), list.next]).toEqual([["b"], null]);
  });
}
