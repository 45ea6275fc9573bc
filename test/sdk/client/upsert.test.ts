import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { plan } from "../../../runtime/schedule/plan.ts";
import { memory } from "../../../runtime/store/memory/index.ts";
import type { Guarded } from "../../../runtime/store/port.ts";
import { close, configure } from "../../../sdk/client/config.ts";
import { InvalidInput, InvalidPayload, JobNotFound, StoreUnavailable } from "../../../sdk/port/error.ts";
import { defineJob } from "../../../sdk/job.ts";
import { spreadOf } from "../../../sdk/define/rule.ts";
import { schedules, type Schedule, type Upsert } from "../../../sdk/client/schedules.ts";
import { aSchedule, declareOn } from "../../kit/build.ts";
import { daily, loose, named, publish, remind } from "./reminder.ts";

const [hour, day] = [3_600_000, 86_400_000];

let store: Guarded;
beforeEach(() => configure({ store: (store = memory()) }));
afterEach(close);

/** What each answer is: a schedule's id, or an error's class. */
function shapes(answers: readonly (Schedule | Error)[]): readonly unknown[] {
  return answers.map((one) => (one instanceof Error ? one.constructor : one.id));
}

describe("upsert", () => {
  test("makes a schedule of a job, with what it was given", async () => {
    const before = Date.now();

    const made = await schedules.upsert({
      ...daily,
      timezone: "Europe/Paris",
      payload: { userId: "7", at: new Date(0) },
      overlap: "skip",
      queue: "mail",
      priority: 3,
      tags: ["a"],
    });

    expect(made).toMatchObject({
      id: "remind@user:7",
      job: "remind",
      key: "user:7",
      rule: { cron: "0 9 * * *", timezone: "Europe/Paris", overlap: "skip", catchUp: { max: 1, withinMs: day } },
      payload: { userId: "7", at: new Date(0) },
      ...{ queue: "mail", priority: 3, tags: ["a"] },
      ...{ declared: false, paused: false, lastTick: null, last: null, count: 0, served: false },
    });
    expect(made.createdAt.getTime()).toBeGreaterThanOrEqual(before);
    expect(made).not.toHaveProperty("fresh");
    expect(made).not.toHaveProperty("input");
    expect(await schedules.get(named)).toEqual(made);
  });

  test("changes the one that is there, and leaves a pause", async () => {
    await schedules.upsert(daily);
    await schedules.pause(named);

    const changed = await schedules.upsert({ ...daily, cron: "0 10 * * *", payload: { userId: "8" } });

    expect(changed).toMatchObject({ paused: true, rule: { cron: "0 10 * * *" }, payload: { userId: "8" } });
    expect((await schedules.list()).items).toHaveLength(1);
  });

  test("by the job's id checks and lifts the payload by what nodes published", async () => {
    await publish(store);
    const byId = { job: "remind", key: "k", every: "1h" } as const;

    const made = await schedules.upsert({ ...byId, payload: { userId: "7", at: "2030-01-01" } });

    expect(made.payload).toEqual({ userId: "7", at: new Date("2030-01-01") });
    await expect(schedules.upsert({ ...byId, payload: { userId: 7 } })).rejects.toThrow(InvalidPayload);
    await expect(schedules.upsert({ ...byId, payload: { userId: 7 } })).rejects.toThrow("payload.userId");
    await expect(schedules.upsert(byId)).rejects.toThrow(InvalidPayload);
  });

  test("of a job that nobody published is an error with names that look like it", async () => {
    await publish(store);

    const answer = schedules.upsert({ job: "remnid", key: "k", every: "1h" });

    await expect(answer).rejects.toThrow(JobNotFound);
    await expect(answer).rejects.toThrow('did you mean "remind"?');
  });

  test("by a job checks the payload by its schema", async () => {
    await expect(schedules.upsert(loose({ ...daily, payload: { userId: 7 } }))).rejects.toThrow(
      'payload of job "remind" does not match its schema: payload.userId: ',
    );
    await expect(schedules.upsert(loose({ ...daily, payload: undefined }))).rejects.toThrow(InvalidPayload);
    expect((await schedules.list()).items).toEqual([]);
  });

  test("waits for an asynchronous schema", async () => {
    const late = defineJob({
      id: "late",
      schema: z.object({ n: z.number().refine(async (n) => n > 0, "is too small") }),
      handler: () => 1,
    });

    const made = await schedules.upsert({ job: late, key: "k", every: "1h", payload: { n: 1 } });

    expect(made.payload).toEqual({ n: 1 });
    await expect(schedules.upsert({ job: late, key: "k", every: "1h", payload: { n: 0 } })).rejects.toThrow(
      "payload.n: is too small",
    );
  });

  test.each<[string, unknown, string]>([
    ["no key", { ...daily, key: undefined }, 'key "undefined" is not a text of 1 to 128'],
    ["an empty key", { ...daily, key: "" }, 'key "" is not a text of 1 to 128'],
    ["no job", { ...daily, job: undefined }, "job is neither a job nor the id of one; write job: remind"],
    ["a job of null", { ...daily, job: null }, "job is neither a job nor the id of one"],
    ["an unknown option", { ...daily, catchup: "none" }, 'a schedule has no option "catchup"; did you mean "catchUp"?'],
    ["a bad rule", { ...daily, cron: "x" }, 'cron "x"'],
    ["two rules", { ...daily, every: "1h" }, "not cron and every"],
    ["a bad queue", { ...daily, queue: "a b" }, 'queue "a b" is not a name'],
    ["a BigInt for a key", { ...daily, key: 5n }, 'key "5n" is not a text of 1 to 128'],
    ["a BigInt for a queue", { ...daily, queue: 5n }, 'queue "5n" is not a name'],
    ["a BigInt for a priority", { ...daily, priority: 5n }, 'priority "5n" is not a whole number from 0 to 9'],
    ["a BigInt for an end", { ...daily, endsAt: 5n }, 'endsAt "5n" is not a valid Date'],
    ["what is no object", "daily", "a schedule is not an object; write { key"],
  ])("refuses %s", async (_, given, message) => {
    const answer = schedules.upsert(loose(given));

    await expect(answer).rejects.toThrow(InvalidInput);
    await expect(answer).rejects.toThrow(message);
  });

  test("a payload that can't be stored is refused, naming the field", async () => {
    const any = defineJob({ id: "any", schema: z.object({ f: z.any() }), handler: () => 1 });

    await expect(schedules.upsert({ job: any, key: "k", every: "1h", payload: { f: () => 1 } })).rejects.toThrow(
      "payload.f is a function",
    );
  });

  test("refuses one that code declares", async () => {
    await declareOn(store, [aSchedule({ job: "remind", key: "user:7" })], "remind");

    await expect(schedules.upsert(daily)).rejects.toThrow('schedule "remind@user:7" is declared in code');
    await expect(schedules.get(named)).resolves.toMatchObject({ declared: true, served: true });
  });
});

describe("upsertMany", () => {
  test("answers a schedule or an error per item, in order", async () => {
    await declareOn(store, [aSchedule({ job: "remind", key: "declared" })], "remind");

    const answers = await schedules.upsertMany([
      { ...daily, key: "b" },
      loose({ ...daily, key: "wrong", payload: {} }),
      { ...daily, key: "declared" },
      loose(null),
      { ...daily, key: "a" },
      { job: "nobody", key: "x", every: "1h" },
    ] as readonly Upsert[]);

    expect(shapes(answers)).toEqual(["remind@b", InvalidPayload, InvalidInput, InvalidInput, "remind@a", JobNotFound]);
    expect((await schedules.list({ declared: false })).items.map(({ id }) => id)).toEqual(["remind@a", "remind@b"]);
  });

  test("takes the first of repeats, wherever in the list they are", async () => {
    const list = Array.from({ length: 600 }, (_, i) => ({ ...daily, key: `${i % 599}`, payload: { userId: `${i}` } }));

    const answers = await schedules.upsertMany([...list.slice(0, 2), list[1]!, ...list.slice(2)]);

    expect(answers.flatMap((one, i) => (one instanceof Error ? [[i, one.message]] : []))).toEqual([
      [2, 'schedule "remind@1" is in the list twice; leave one out'],
      [600, 'schedule "remind@0" is in the list twice; leave one out'],
    ]);
    expect((await schedules.get("remind@0"))!.payload).toEqual({ userId: "0" });
  });

  test("a repeat of what is wrong is no repeat", async () => {
    const answers = await schedules.upsertMany([loose({ ...daily, payload: {} }), daily]);

    expect(shapes(answers)).toEqual([InvalidPayload, "remind@user:7"]);
  });

  test("takes 1200 in one call, and reads the published jobs once", async () => {
    await publish(store);
    const jobs = vi.spyOn(store.find, "jobs");
    const list = Array.from({ length: 1200 }, (_, i) => ({
      ...{ job: i % 2 ? "remind" : "nobody", key: `${i}`, every: "1h" as const, payload: { userId: "7" } },
    }));

    const answers = await schedules.upsertMany(list);

    expect(shapes(answers)).toEqual(list.map(({ key }, i) => (i % 2 ? `remind@${key}` : JobNotFound)));
    expect(jobs.mock.calls.length).toBeLessThanOrEqual(2); // one for each id
  });

  test("a part that the store refuses fails alone", async () => {
    const put = store.schedules.put.bind(store.schedules);
    const away = vi
      .spyOn(store.schedules, "put")
      .mockImplementationOnce(put)
      .mockRejectedValueOnce(new StoreUnavailable("memory", "away"));

    const answers = await schedules.upsertMany(Array.from({ length: 1200 }, (_, i) => ({ ...daily, key: `${i}` })));

    expect(away.mock.calls.map(([batch]) => batch.length)).toEqual([500, 500, 200]);
    expect(answers.map((one) => one instanceof StoreUnavailable)).toEqual(
      Array.from({ length: 1200 }, (_, i) => i >= 500 && i < 1000),
    );
    expect(answers[1199]).toMatchObject({ key: "1199" });
  });

  test("an empty list is none, and what is no list is refused", async () => {
    expect(await schedules.upsertMany([])).toEqual([]);
    await expect(schedules.upsertMany(loose({}) as never)).rejects.toThrow(InvalidInput);
  });
});

describe("the next instant of a schedule that no node has seen", () => {
  test("is the first tick from now on, spread included", async () => {
    const before = Date.now();

    const made = await schedules.upsert({ ...daily, spread: "30m" });

    const tick = made.nextAt!.getTime() - spreadOf(named, made.rule);
    expect(new Date(tick).toISOString()).toMatch(/T09:00:00.000Z$/);
    expect(made.nextAt!.getTime()).toBeGreaterThan(before);
    expect(made.nextAt!.getTime() - before).toBeLessThanOrEqual(day);
  });

  test("is what a node then plans", async () => {
    const now = Date.now();
    configure({ store: (store = memory({ now: () => now })) });
    const node = await declareOn(store, []);
    const made = [
      await schedules.upsert({ ...daily, key: "cron", cron: "* * * * *", spread: "1h" }),
      await schedules.upsert({ ...daily, key: "every", cron: undefined, every: "7m", anchor: new Date(5) }),
      await schedules.upsert(loose({ ...daily, key: "once", cron: undefined, runAt: new Date(Date.now() + hour) })),
      await schedules.upsert({ ...daily, key: "later", startsAt: new Date(Date.now() + 400 * day) }),
    ];

    const { due, nowMs } = await store.ticks.due({ node, aheadMs: 0, limit: 10 });
    const planned = due.map((one) => plan(one, { nowMs, aheadMs: 0, sinceMs: nowMs }).tick);

    expect(spreadOf({ job: "remind", key: "cron" }, made[0]!.rule)).toBeGreaterThan(60_000); // a tick of the past is next
    expect(Object.fromEntries(planned.map(({ key, nextMs }) => [key, nextMs]))).toEqual(
      Object.fromEntries(made.map(({ key, nextAt }) => [key, nextAt!.getTime()])),
    );
  });

  test("is the instant of a one-shot, or now for one in the past", async () => {
    const before = Date.now();
    const runAt = new Date(before + hour);
    const once = { job: remind, payload: { userId: "7" } };

    const coming = await schedules.upsert({ ...once, key: "coming", runAt });
    const past = await schedules.upsert({ ...once, key: "past", runAt: new Date(0) });

    expect(coming.nextAt).toEqual(runAt);
    expect(past.nextAt!.getTime()).toBeGreaterThanOrEqual(before);
    expect(past.nextAt!.getTime()).toBeLessThanOrEqual(Date.now());
  });

  test("is null where none comes", async () => {
    const made = await schedules.upsert({ ...daily, endsAt: new Date(1) });

    expect(made.nextAt).toBeNull();
  });
});
