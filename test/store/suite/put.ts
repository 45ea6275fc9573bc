import { expect, test } from "vitest";
import type { Rule, ScheduleName, ScheduleRecord } from "../../../sdk/port/target.ts";
import {
  aOneShot,
  aRule,
  aSchedule,
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
  wire,
} from "../../kit/build.ts";
import type { Setup } from "../suite.ts";
import { near } from "./near.ts";

const hour = 3_600_000;
const name: ScheduleName = { job: "job", key: "" };

/** Making and changing schedules. */
export function puts(setup: () => Promise<Setup>): void {
  putting(setup);
  retiming(setup);
  refusing(setup);
}

function putting(setup: () => Promise<Setup>): void {
  test("a new schedule is kept as it was given, and its ticks count from now", async () => {
    const { store, clock } = await setup();
    const given = aSchedule({
      key: "user:7",
      rule: aRule({ spreadMs: 500, overlap: "skip", limit: 9, catchUp: { max: 0, withinMs: 0 } }),
      input: { json: '{"at":"2030-01-01"}', meta: '{"values":{"at":["Date"]}}' },
      queue: "q",
      priority: 7,
      tags: ["a", "b"],
    });

    const record = only(await store.schedules.put([given])) as ScheduleRecord;

    const state = { declared: false, paused: false, fresh: true, lastTick: null, last: null, count: 0, served: false };
    expect(record).toMatchObject({ ...given, ...state });
    for (const at of [record.nextAt, record.createdAt, record.updatedAt]) near(at, clock.now());
    expect(await scheduleOf(store, { job: "job", key: "user:7" })).toEqual(record);
  });

  test("job and key together name a schedule", async () => {
    const { store } = await setup();
    const names = [name, { job: "job", key: "k" }, { job: "other", key: "" }, { job: "other", key: "k" }];

    await store.schedules.put(names.map((each, i) => aSchedule({ ...each, input: wire(i) })));

    const found = await Promise.all(names.map((each) => scheduleOf(store, each)));
    expect(found.map((each) => each?.input.json)).toEqual(["0", "1", "2", "3"]);
    expect(await scheduleOf(store, { job: "job", key: "other" })).toBeNull();
  });

  test("answers are in the order of the batch", async () => {
    const { store } = await setup();
    await putOne(store, { key: "b" });

    const answers = await store.schedules.put(["c", "b", "a"].map((key) => aSchedule({ key })));

    expect(answers.map((each) => (each as ScheduleRecord).key)).toEqual(["c", "b", "a"]);
  });

  test("a repeat replaces what the schedule was given, and leaves its next tick", async () => {
    const { store, clock, node } = await setup();
    const next = new Date(clock.nowMs() + hour);
    const old = await planOne(store, node, next.getTime(), { queue: "old", priority: 1, tags: ["old"] });
    await clock.advance("1m");

    const record = await putOne(store, { input: wire("new"), queue: null, priority: 9, tags: ["new"] });

    const given = { input: wire("new"), queue: null, priority: 9, tags: ["new"] };
    expect(record).toMatchObject({ ...given, nextAt: next, fresh: false, createdAt: old.createdAt });
    near(record.updatedAt, clock.now());
  });

  test("a repeat leaves what the schedule has done", async () => {
    const { store, clock, node } = await setup();
    await putOne(store);
    const tickMs = clock.nowMs() - 1000;
    const [run] = await tickOne(store, await dueOf(store, node), { lastMs: tickMs, runs: [aTickRun(tickMs)] });

    const record = await putOne(store, { rule: aRule({ everyMs: hour, overlap: "skip" }) });

    expect(record).toMatchObject({ count: 1, last: { run }, lastTick: new Date(tickMs) });
  });

  test("a schedule whose next tick nobody has worked out counts from its first put", async () => {
    const { store, clock } = await setup();
    const first = await putOne(store);
    await clock.advance("1m");

    const record = await putOne(store, { input: wire("new") });

    expect(record).toMatchObject({ nextAt: first.nextAt, fresh: true });
  });

  test("a tick that was worked out before a put is refused", async () => {
    const { store, node } = await setup();
    await putOne(store);
    const due = await dueOf(store, node);

    await putOne(store);

    expect(await store.ticks.tick([aTick(due)])).toEqual([null]);
    expect((await dueOf(store, node)).rev).toBe(due.rev + 1);
  });

  test("20 concurrent puts of a schedule make one", async () => {
    const { store } = await setup();

    const answers = await Promise.all(Array.from({ length: 20 }, () => putOne(store)));

    expect(answers).toHaveLength(20);
    expect((await store.schedules.list({})).items).toHaveLength(1);
  });
}

function retiming(setup: () => Promise<Setup>): void {
  const base = aRule({ cron: "0 9 * * *", timezone: "UTC", dst: { gap: "next" } });
  const timings: readonly (readonly [string, Rule])[] = [
    ["cron", { ...base, cron: "0 10 * * *" }],
    ["timezone", { ...base, timezone: "Europe/Paris" }],
    ["dst", { ...base, dst: { gap: "skip" } }],
    ["everyMs", { ...base, everyMs: 90_000 }],
    ["anchorMs", { ...base, anchorMs: 1 }],
    ["spreadMs", { ...base, spreadMs: 1000 }],
    ["startsMs", { ...base, startsMs: 1000 }],
    ["endsMs", { ...base, endsMs: 4e12 }],
  ];
  test.each(timings)("a rule with another %s takes its next tick from now on", async (_, rule) => {
    const { store, clock, node } = await setup();
    await planOne(store, node, clock.nowMs() + hour, { rule: base });
    await clock.advance("10m");

    const record = await putOne(store, { rule });

    expect(record).toMatchObject({ rule, fresh: true });
    near(record.nextAt, clock.now());
  });

  test.each([
    ["overlap", aRule({ overlap: "cancel" })],
    ["catchUp", aRule({ catchUp: { max: 5, withinMs: hour } })],
    ["limit", aRule({ limit: 10 })],
  ])("a rule with another %s keeps its next tick", async (_, rule) => {
    const { store, clock, node } = await setup();
    const next = new Date(clock.nowMs() + hour);
    await planOne(store, node, next.getTime());

    const record = await putOne(store, { rule });

    expect(record).toMatchObject({ rule, fresh: false, nextAt: next });
  });

  test("a schedule that has ended stays so through a repeat, also with another policy", async () => {
    const { store, node } = await setup();
    await planOne(store, node, null, { rule: aRule({ limit: 1 }) });

    const record = await putOne(store, { rule: aRule({ limit: 1, overlap: "skip" }), input: wire("new") });

    expect(record).toMatchObject({ nextAt: null, fresh: false, paused: false, input: wire("new") });
  });

  test.each([
    ["timing", aRule({ limit: 1, everyMs: 90_000 })],
    ["limit", aRule({ limit: 2 })],
  ])("a schedule that has ended goes on with another %s", async (_, rule) => {
    const { store, clock, node } = await setup();
    await planOne(store, node, null, { rule: aRule({ limit: 1 }) });
    await clock.advance("10m");

    const record = await putOne(store, { rule });

    expect(record.fresh).toBe(true);
    near(record.nextAt, clock.now());
  });

  test("a one-shot that has ticked ticks again only for another instant", async () => {
    const { store, clock, node } = await setup();
    const atMs = clock.nowMs() - 1000;
    await putOne(store, { rule: aOneShot(atMs) });
    await tickOne(store, await dueOf(store, node), { nextMs: null, lastMs: atMs, runs: [aTickRun(atMs)] });

    const same = await putOne(store, { rule: aOneShot(atMs), input: wire("new") });
    const moved = await putOne(store, { rule: aOneShot(atMs - hour) });

    expect(same).toMatchObject({ nextAt: null, fresh: false, lastTick: new Date(atMs) });
    expect(moved).toMatchObject({ fresh: true, lastTick: null, count: 1 });
    near(moved.nextAt, clock.now());
  });

  test("a paused schedule stays paused through a new timing, which counts from its resume", async () => {
    const { store, clock, node } = await setup();
    await planOne(store, node, clock.nowMs() + hour);
    await store.schedules.pause(name, true);

    const record = await putOne(store, { rule: aRule({ everyMs: 90_000, limit: 3 }) });
    await clock.advance("10m");
    const resumed = (await store.schedules.pause(name, false))!;

    expect(record).toMatchObject({ paused: true, nextAt: null, fresh: false, rule: { everyMs: 90_000 } });
    expect(resumed).toMatchObject({ paused: false, fresh: true });
    near(resumed.nextAt, clock.now());
  });
}

function refusing(setup: () => Promise<Setup>): void {
  test.each([
    ["NUL in its job", { job: "a\0" }],
    ["NUL in its key", { key: "a\0" }],
    ["a lone surrogate in its key", { key: "\ud800" }],
    ["NUL in its queue", { queue: "a\0" }],
    ["a lone surrogate in a tag", { tags: ["ok", "\udc00"] }],
  ])("a schedule with %s is refused alone", async (_, wrong) => {
    const { store } = await setup();

    const answers = await store.schedules.put([aSchedule({ key: "1" }), aSchedule(wrong), aSchedule({ key: "2" })]);

    expect(answers).toMatchObject([{ key: "1" }, { code: "INVALID_INPUT" }, { key: "2" }]);
    expect((await store.schedules.list({})).items.map(({ key }) => key)).toEqual(["1", "2"]);
  });

  test("a schedule that code declares is refused alone, and stays as it is", async () => {
    const { store } = await setup();
    await declareOn(store, [aSchedule()]);
    const before = await scheduleOf(store, name);

    const answers = await store.schedules.put([aSchedule({ key: "1" }), aSchedule({ input: wire("new") })]);

    expect(answers).toMatchObject([{ key: "1" }, { code: "INVALID_INPUT" }]);
    expect((answers[1] as Error).message).toContain('schedule "job" is declared in code');
    expect(await scheduleOf(store, name)).toEqual(before);
  });

  test("the name of a schedule that code took out is free", async () => {
    const { store, clock } = await setup();
    await takeOut(store);

    const record = await putOne(store, { input: wire("new") });

    expect(record).toMatchObject({ declared: false, fresh: true, input: wire("new") });
    near(record.nextAt, clock.now());
    expect(await scheduleOf(store, name)).toEqual(record);
  });
}
