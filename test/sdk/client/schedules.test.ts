import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { plan } from "../../../runtime/schedule/plan.ts";
import { memory } from "../../../runtime/store/memory/index.ts";
import type { Guarded } from "../../../runtime/store/port.ts";
import { close, configure } from "../../../sdk/client/config.ts";
import { runs } from "../../../sdk/client/runs.ts";
import { InvalidInput, ScheduleNotFound, StoreUnavailable } from "../../../sdk/port/error.ts";
import { tickKey } from "../../../sdk/port/id.ts";
import { spreadOf } from "../../../sdk/define/rule.ts";
import { schedules, type Schedule, type ScheduleRef } from "../../../sdk/client/schedules.ts";
import type { Find } from "../../../sdk/port/target.ts";
import { aRule, aSchedule, declareOn } from "../../kit/build.ts";
import { recorder } from "./recorder.ts";
import { daily, loose, named, publish, remind } from "./reminder.ts";

const [second, minute, hour, day] = [1000, 60_000, 3_600_000, 86_400_000];

let store: Guarded;
beforeEach(() => configure({ store: (store = memory()) }));
afterEach(close);

describe("a schedule", () => {
  test("is found by its id, by job and key, and by the job itself", async () => {
    await store.schedules.put([aSchedule({ job: "remind", key: "" }), aSchedule({ job: "remind", key: "a@b" })]);
    const refs: readonly (readonly [ScheduleRef, string])[] = [
      ["remind", "remind"],
      ["remind@a@b", "remind@a@b"],
      [{ job: "remind" }, "remind"],
      [{ job: "remind", key: "a@b" }, "remind@a@b"],
      [{ job: remind, key: undefined }, "remind"],
      [{ job: remind, key: "a@b" }, "remind@a@b"],
      ["remind@", "remind"],
    ];

    for (const [ref, id] of refs) expect((await schedules.get(ref))?.id).toBe(id);
  });

  test("that is not there is null to get, false to remove, and an error to all else", async () => {
    const [from, to] = [new Date(0), new Date(1)];

    expect(await schedules.get("remind@x")).toBeNull();
    expect(await schedules.remove("remind@x")).toBe(false);
    for (const act of [schedules.pause, schedules.resume, schedules.trigger, schedules.preview])
      await expect(act("remind@x")).rejects.toThrow(ScheduleNotFound);
    await expect(schedules.backfill({ job: remind, key: "x" }, { from, to })).rejects.toThrow(
      'schedule "remind@x" does not exist; list schedules with "tasker schedules"',
    );
  });

  test.each([["@k"], [""], ["a b"], [5], [null], [undefined], [{}], [{ job: null }], [{ job: "j", key: 5 }]])(
    "%j names none",
    async (ref) => {
      for (const act of [schedules.get, schedules.pause, schedules.resume, schedules.remove, schedules.trigger])
        await expect(act(ref as string)).rejects.toThrow(InvalidInput);
    },
  );

  test.each<[unknown, string]>([
    ["remind@a\0", "id"],
    ["remind@\ud800", "id"],
    ["re\0mind", "id"],
    [{ job: "remind", key: "a\0" }, "key"],
    [{ job: "remind", key: "\udc00" }, "key"],
    [{ job: "re\0mind" }, "job"],
    [{ job: "remind", key: 5n }, "key"],
  ])("%s can't be the name of one", async (given, path) => {
    const ref = given as string;
    const { get, pause, resume, remove, trigger, preview } = schedules;

    for (const act of [get, pause, resume, remove, trigger, preview])
      await expect(act(ref)).rejects.toMatchObject({ code: "INVALID_INPUT", path });
    await expect(schedules.backfill(ref, { from: new Date(0) })).rejects.toMatchObject({ code: "INVALID_INPUT", path });
  });

  test("shows its payload decoded when it is read, so that a broken one hides nothing else", async () => {
    await store.schedules.put([aSchedule({ key: "ok", input: { json: '["1"]', meta: '[["bigint"]]' } })]);
    await store.schedules.put([aSchedule({ key: "bad", input: { json: "{", meta: null } })]);

    const [bad, ok] = (await schedules.list()).items;

    expect(bad!.id).toBe("job@bad");
    expect(() => bad!.payload).toThrow(InvalidInput);
    expect(ok!.key).toBe("ok");
  });

  test("can be paused, resumed and removed", async () => {
    await schedules.upsert(daily);

    const paused = await schedules.pause("remind@user:7");
    const resumed = await schedules.resume({ job: remind, key: "user:7" });
    const removed = [await schedules.remove(named), await schedules.remove(named)];

    expect(paused).toMatchObject({ id: "remind@user:7", paused: true, nextAt: null });
    expect(resumed).toMatchObject({ paused: false });
    expect(resumed.nextAt!.getUTCHours()).toBe(9);
    expect(removed).toEqual([true, false]);
  });

  test("that code declares is not removed while a node has the job", async () => {
    const node = await declareOn(store, [aSchedule()]);

    await expect(schedules.remove("job")).rejects.toThrow('schedule "job" is declared in code');
    await store.nodes.leave(node);

    expect(await schedules.remove("job")).toBe(true);
  });
});

describe("lists", () => {
  beforeEach(async () => {
    await store.schedules.put(
      ["b", "a"].flatMap((job) => ["2", "1", ""].map((key) => aSchedule({ job, key, rule: aRule() }))),
    );
  });
  const ids = (page: { readonly items: readonly Schedule[] }): readonly string[] => page.items.map(({ id }) => id);

  test("are by job, then key", async () => {
    expect(ids(await schedules.list())).toEqual(["a", "a@1", "a@2", "b", "b@1", "b@2"]);
  });

  test("are filtered by job, pause and declaration", async () => {
    await schedules.pause("b@1");
    await declareOn(store, [aSchedule({ job: "a" })], "a");

    expect(ids(await schedules.list({ job: "b", paused: true }))).toEqual(["b@1"]);
    expect(ids(await schedules.list({ job: ["a", "b"], paused: false }))).toHaveLength(5);
    expect(ids(await schedules.list({ declared: true }))).toEqual(["a"]);
    expect(ids(await schedules.list({ job: [] }))).toEqual([]);
  });

  test("come in pages", async () => {
    const first = await schedules.list({}, { limit: 4 });
    const second = await schedules.list({}, { limit: 4, cursor: first.next! });

    expect([ids(first), ids(second)]).toEqual([
      ["a", "a@1", "a@2", "b"],
      ["b@1", "b@2"],
    ]);
    expect(second.next).toBeNull();
  });

  test.each([0, 201, 1.5, -1])("a limit of %d is refused", async (limit) => {
    await expect(schedules.list({}, { limit })).rejects.toThrow(`limit "${limit}" is not a whole number from 1 to 200`);
  });

  test.each<[unknown, string, string]>([
    [null, "query", 'query "null" is not an object; its options are job, paused, declared'],
    [5, "query", 'query "5" is not an object'],
    ["", "query", 'query "" is not an object'],
    [[], "query", 'query "[]" is not an object'],
    [{ job: {} }, "job", 'job "{}" is not a name'],
    [{ job: ["a", "b\0"] }, "job", "is not a name"],
    [{ job: "\ud800" }, "job", "is not a name"],
    [{ job: null }, "job", 'job "null" is not a name'],
    [{ paused: {} }, "paused", 'paused "{}" is neither true nor false'],
    [{ declared: "yes" }, "declared", 'declared "yes" is neither true nor false'],
  ])("a query of %j is refused", async (query, path, message) => {
    const answer = schedules.list(query as never);

    await expect(answer).rejects.toMatchObject({ code: "INVALID_INPUT", path });
    await expect(answer).rejects.toThrow(message);
  });

  test.each<[unknown, string]>([
    [null, "paging"],
    [{ limit: null }, "limit"],
    [{ limit: 5n }, "limit"],
    [{ cursor: null }, "cursor"],
    [{ cursor: 5 }, "cursor"],
    [{ cursor: '["a","\0"]' }, "cursor"],
    [{ cursor: '["a","\ud800"]' }, "cursor"],
    [{ cursor: '["a","\\u0000"]' }, "cursor"],
    [{ cursor: '["a","\\\\\\ud800"]' }, "cursor"],
  ])("paging of %s is refused", async (paging, path) => {
    await expect(schedules.list({}, paging as never)).rejects.toMatchObject({ code: "INVALID_INPUT", path });
  });

  test("go on after a key that looks like an escape", async () => {
    await store.schedules.put(["\\u0000", "z"].map((key) => aSchedule({ job: "c", key })));

    const first = await schedules.list({ job: "c" }, { limit: 1 });
    const second = await schedules.list({ job: "c" }, { limit: 1, cursor: first.next! });

    expect([...ids(first), ...ids(second)]).toEqual(["c@\\u0000", "c@z"]);
  });

  test("a field that does not exist is refused, rather than matching too much", async () => {
    await expect(schedules.list(loose({ jobs: "a" }) as never)).rejects.toThrow('did you mean "job"?');
  });
});

describe("trigger", () => {
  test("adds a run now, with the schedule's payload and the job's own options, and tells the schedule", async () => {
    await publish(store, { queue: "mail", priority: 2, tags: ["mail"], ttlMs: hour });
    await schedules.upsert({ ...daily, priority: 7, tags: ["mail", "a"] });
    const before = Date.now();

    const handle = await schedules.trigger<typeof remind>("remind@user:7");

    const run = (await handle.get())!;
    expect(run).toMatchObject({
      ...{ job: "remind", queue: "mail", priority: 7, tags: ["mail", "a"], payload: { userId: "7" }, key: null },
      ...{ status: "pending", schedule: { id: "remind@user:7" } },
    });
    expect(run.dueAt.getTime() - before).toBeLessThan(minute);
    expect(run.expiresAt!.getTime() - run.dueAt.getTime()).toBe(hour);
    expect(run.schedule!.tick.getTime()).toBeGreaterThanOrEqual(before);
    expect((await schedules.get(named))!.last).toEqual({ run: handle.id, status: "pending", reason: null });
    const { options } = (await store.find.list({})).items[0]!;
    expect(options!.schedule!.next! - options!.schedule!.previous!).toBe(day);
  });

  test("adds one each time, also while it is paused", async () => {
    await schedules.upsert(daily);
    await schedules.pause(named);

    const handles = [await schedules.trigger(named), await schedules.trigger(named)];

    expect(new Set(handles.map(({ id }) => id)).size).toBe(2);
  });

  test("goes by defaults where no node has published the job", async () => {
    await schedules.upsert(daily);

    const run = await (await schedules.trigger(named)).get();

    expect(run).toMatchObject({ queue: "default", priority: 0, tags: [], expiresAt: null });
  });

  test("adds nothing while the published jobs can't be read", async () => {
    const record = { ...(await store.schedules.put([aSchedule()]))[0]! };
    const find: Partial<Find> = { jobs: () => Promise.reject(new StoreUnavailable("memory", "away")) };
    const to = recorder({
      find,
      schedules: { list: async () => ({ items: [record as never], next: null, complete: true, at: new Date() }) },
    });
    configure({ store: to });

    await expect(schedules.trigger("job")).rejects.toThrow(StoreUnavailable);
    expect(to.adds).toEqual([]);
  });
});

describe("backfill", () => {
  const hourly = { job: remind, key: "h", every: "1h", payload: { userId: "7" } } as const;
  const [from, to] = [new Date("2020-01-01T00:00Z"), new Date("2020-01-01T03:00Z")];

  test("adds a run for each tick of the range, its ends included", async () => {
    await schedules.upsert({ ...hourly, spread: "59m" });

    const filled = await schedules.backfill("remind@h", { from, to });

    const made = await Promise.all(filled.runs.map((id) => runs.need(id)));
    expect(filled.ticks).toBe(4);
    expect(made.map(({ schedule, key }) => [schedule!.tick.toISOString(), key])).toEqual(
      [0, 1, 2, 3].map((h) => [`2020-01-01T0${h}:00:00.000Z`, tickKey("h", from.getTime() + h * hour)]),
    );
    expect(made.every(({ dueAt }) => dueAt.getTime() <= Date.now())).toBe(true);
    expect((await schedules.get("remind@h"))!.last!.run).toBe(filled.runs[3]);
  });

  test("makes no second run for a tick, whoever made the first", async () => {
    await schedules.upsert(hourly);
    await schedules.backfill("remind@h", { from, to: new Date(from.getTime() + hour) });

    const again = await schedules.backfill("remind@h", { from, to });

    expect([again.ticks, again.runs.length]).toEqual([4, 2]);
  });

  test("ends at the store's now, whatever this machine's clock says, if no end is given", async () => {
    configure({ store: (store = memory({ now: () => to.getTime() + 1 })) });
    await schedules.upsert(hourly);

    const filled = await schedules.backfill("remind@h", { from });

    expect(filled.ticks).toBe(4);
  });

  test("leaves its runs to themselves where the next tick would cancel them", async () => {
    await schedules.upsert({ ...hourly, overlap: "cancel" });
    await schedules.upsert({ ...hourly, key: "skip", overlap: "skip" });

    const [, skip] = [
      await schedules.backfill("remind@h", { from, to }),
      await schedules.backfill("remind@skip", { from, to }),
    ];

    expect((await schedules.get("remind@h"))!.last).toBeNull();
    expect((await schedules.get("remind@skip"))!.last!.run).toBe(skip.runs.at(-1));
  });

  test("of a range without ticks adds nothing", async () => {
    await schedules.upsert(hourly);

    const filled = await schedules.backfill("remind@h", { from: new Date(1), to: new Date(2) });

    expect(filled).toEqual({ ticks: 0, runs: [] });
  });

  test("takes 1000 ticks, reading the published jobs once, and no more", async () => {
    await schedules.upsert(hourly);
    const jobs = vi.spyOn(store.find, "jobs");
    const most = { from, to: new Date(from.getTime() + 999 * hour) };

    const filled = await schedules.backfill("remind@h", most);

    expect([filled.ticks, filled.runs.length, jobs.mock.calls.length]).toEqual([1000, 1000, 1]);
    await expect(schedules.backfill("remind@h", { ...most, to: new Date(most.to.getTime() + hour) })).rejects.toThrow(
      "the range has more than 1000 ticks; backfill it in parts",
    );
  });

  test.each([
    ["not over", { from, to: new Date(Date.now() + day) }, "is not over; the schedule itself makes the coming runs"],
    ["turned round", { from: to, to: from }, "to is before from; exchange them"],
    ["yet to come", { from: new Date(Date.now() + day) }, "is yet to come; the schedule itself makes the coming runs"],
    ["not there", undefined as never, 'range "undefined" is not an object; its options are from, to'],
    ["misspelt", { form: from } as never, 'range has no option "form"; did you mean "from"?'],
    ["without a start", {} as never, 'from "undefined" is not a valid Date'],
    ["ended by null", { from, to: null as never }, 'to "null" is not a valid Date'],
    ["of texts", { from: "2020-01-01" as unknown as Date, to }, 'from "2020-01-01" is not a valid Date'],
  ])("refuses a range that is %s", async (_, range, message) => {
    await schedules.upsert(hourly);

    const answer = schedules.backfill("remind@h", range);

    await expect(answer).rejects.toThrow(InvalidInput);
    await expect(answer).rejects.toThrow(message);
  });
});

describe("preview", () => {
  test("shows the coming ticks of a stored schedule, and when their runs start", async () => {
    const { rule } = await schedules.upsert({ ...daily, spread: "10m" });
    const spread = spreadOf(named, rule);

    const ticks = await schedules.preview(named, { from: new Date("2030-01-01T09:00Z"), count: 2 });

    expect(ticks).toEqual(
      ["2030-01-02T09:00Z", "2030-01-03T09:00Z"].map((text) => ({
        tick: new Date(text),
        dueAt: new Date(new Date(text).getTime() + spread),
        changes: [],
      })),
    );
    expect(spread).toBeGreaterThan(0);
    expect(await schedules.preview({ job: remind, key: "user:7" })).toHaveLength(5);
  });

  test("shows those of a rule that is stored nowhere, from now on", async () => {
    const ticks = await schedules.preview({ every: "1m", spread: "10s" });

    expect(ticks).toHaveLength(5);
    expect(ticks[0]!.tick.getTime() - Date.now()).toBeLessThanOrEqual(minute);
    expect(ticks[4]!.tick.getTime() - ticks[0]!.tick.getTime()).toBe(4 * minute);
    expect(ticks[0]!.dueAt).toEqual(ticks[0]!.tick);
  });

  test("needs no store for a rule", async () => {
    await close();

    expect(await schedules.preview({ cron: "@daily" }, { count: 1 })).toHaveLength(1);
  });

  test("tells of each clock change once, with the tick that comes after it or at it", async () => {
    const from = new Date("2030-03-30T23:00Z");

    const hourly = await schedules.preview({ cron: "0 * * * *", timezone: "Europe/Paris" }, { from, count: 4 });
    const late = await schedules.preview({ cron: "30 9 * * *", timezone: "Europe/Paris" }, { from, count: 2 });

    const change = { at: new Date("2030-03-31T01:00Z"), before: 60, after: 120 };
    expect(hourly.map(({ changes }) => changes)).toEqual([[], [change], [], []]);
    expect(late.map(({ changes }) => changes)).toEqual([[change], []]);
  });

  test("ends with the rule, and with what its limit leaves", async () => {
    const from = new Date(0);
    const rule = { every: "1s", endsAt: new Date(3 * second) } as const;
    const node = await declareOn(store, []);
    await schedules.upsert(loose({ ...daily, cron: undefined, every: "1h", limit: 3 }));
    const { due, nowMs } = await store.ticks.due({ node, aheadMs: 0, limit: 1 });
    const { tick } = plan(due[0]!, { nowMs: nowMs + hour, aheadMs: 0, sinceMs: nowMs });
    await store.ticks.tick([tick]);

    expect(await schedules.preview(rule, { from })).toHaveLength(3);
    expect(await schedules.preview({ ...rule, limit: 2 }, { from })).toHaveLength(2);
    expect(await schedules.preview(named)).toHaveLength(2);
    expect(await schedules.preview({ runAt: new Date(1) })).toEqual([]);
  });

  test.each([0, 1001, 1.5, Number.NaN])("a count of %d is refused", async (count) => {
    await expect(schedules.preview({ every: "1m" }, { count })).rejects.toThrow(
      `count "${count}" is not a whole number from 1 to 1000`,
    );
  });

  test("refuses what is no span", async () => {
    await expect(schedules.preview({ every: "1m" }, null as never)).rejects.toThrow('span "null" is not an object');
    await expect(schedules.preview({ every: "1m" }, { count: 5n as never })).rejects.toThrow('count "5n" is not');
    await expect(schedules.preview({ every: "1m" }, { from: 5n as never })).rejects.toThrow('from "5n" is not a valid');
  });

  test("refuses what is no rule", async () => {
    await expect(schedules.preview({ cron: "x" })).rejects.toThrow(InvalidInput);
    await expect(schedules.preview(loose({ cron: "@daily", key: "k" }))).rejects.toThrow(/no option "key"/);
    await expect(schedules.preview(loose(null))).rejects.toThrow("a schedule is named by its id");
  });
});
