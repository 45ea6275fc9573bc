import type { StandardSchemaV1 } from "@standard-schema/spec";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { InvalidInput } from "../../../sdk/port/error.ts";
import type { Job } from "../../../sdk/client/job.ts";
import { defineJob } from "../../../sdk/job.ts";
import type { ScheduleOptions } from "../../../sdk/define/schedule.ts";
import type { DeclaredSchedule } from "../../../sdk/define/spec.ts";

const day = 86_400_000;
const plain = { schema: z.object({ of: z.string(), at: z.date().optional() }), handler: () => 1 };
const payload = { of: "yesterday" };

/** The schedules of a job `report`, as JavaScript would define it. */
function declared(schedule: unknown): readonly DeclaredSchedule[] {
  return defineJob({ ...plain, id: "report", schedule: schedule as ScheduleOptions<{ of: string }> }).schedules;
}

describe("a job's schedules", () => {
  test("one schedule needs no key", async () => {
    const [schedule, ...rest] = declared({
      cron: "30 2 * * *",
      payload: { of: "yesterday", at: new Date(0) },
      queue: "night",
      priority: 3,
      tags: ["a", "a", "b"],
      overlap: "skip",
    });

    expect(rest).toEqual([]);
    expect(schedule!.key).toBe("");
    expect(await schedule!.read("UTC")).toEqual({
      job: "report",
      key: "",
      rule: { cron: "30 2 * * *", timezone: "UTC", overlap: "skip", catchUp: { max: 1, withinMs: day } },
      input: { json: '{"of":"yesterday","at":"1970-01-01T00:00:00.000Z"}', meta: '{"at":["Date"]}' },
      queue: "night",
      priority: 3,
      tags: ["a", "b"],
    });
  });

  test("what its runs have of the job stays open", async () => {
    const [schedule] = declared({ every: "1h", payload });

    expect(await schedule!.read("UTC")).toMatchObject({ queue: null, priority: null, tags: [] });
  });

  test("several are told apart by key, and one of them may go without", () => {
    const list = declared([
      { every: "1h", payload },
      { every: "1d", payload, key: "daily" },
      { runAt: new Date(), payload, key: "now" },
    ]);

    expect(list.map(({ key }) => key)).toEqual(["", "daily", "now"]);
  });

  test("an empty list, and none at all, are none", () => {
    expect(declared([])).toEqual([]);
    expect(declared(undefined)).toEqual([]);
  });

  test("the raw input is stored, not what the schema makes of it", async () => {
    const job = defineJob({
      id: "job",
      schema: z.object({ n: z.string().transform(Number), d: z.number().default(1) }),
      schedule: { every: "1h", payload: { n: "5" } },
      handler: () => 1,
    });

    expect((await job.schedules[0]!.read("UTC")).input).toEqual({ json: '{"n":"5"}', meta: null });
  });

  test("a job without payload needs none", async () => {
    const job = defineJob({ id: "job", schema: z.void(), schedule: { every: "1h" }, handler: () => 1 });

    expect((await job.schedules[0]!.read("UTC")).input).toEqual({ json: "null", meta: '["undefined"]' });
  });

  test("a cron without a zone is read in the zone that it is asked for", async () => {
    const [own, none] = declared([
      { cron: "@daily", timezone: "Asia/Tokyo", payload, key: "own" },
      { cron: "@daily", payload },
    ]);

    const zones = [(await own!.read("Europe/Paris")).rule, (await none!.read("Europe/Paris")).rule];

    expect(zones.map(({ timezone }) => timezone)).toEqual(["Asia/Tokyo", "Europe/Paris"]);
  });
});

describe("functions", () => {
  test("are not asked when the job is defined, but at each reading", async () => {
    let asked = 0;
    const [schedule] = declared({ cron: () => `${asked++} * * * *`, timezone: () => "Asia/Tokyo", payload });

    const before = asked;
    const rules = [await schedule!.read("UTC"), await schedule!.read("UTC")].map(({ rule }) => rule);

    expect(before).toBe(0);
    expect(rules).toMatchObject([{ cron: "0 * * * *", timezone: "Asia/Tokyo" }, { cron: "1 * * * *" }]);
  });

  test("that answer badly are told by the reading alone, which may succeed later", async () => {
    const answers = ["every day", "@daily"];
    const [schedule] = declared({ cron: () => answers.shift(), payload });

    expect(() => schedule!.read("UTC")).toThrow(InvalidInput);
    expect((await schedule!.read("UTC")).rule.cron).toBe("@daily");
  });
});

describe("what is refused at definition, with the name of the job", () => {
  test.each<[string, unknown, string | null, string]>([
    ["a bad rule", { cron: "61 * * * *", payload }, "cron", 'job "report": cron "61 * * * *": '],
    ["both cron and every", { cron: "@daily", every: "1h", payload }, "every", 'job "report": a schedule has one of'],
    [
      "an unknown option",
      { every: "1h", payload, catchup: "none" },
      "catchup",
      'job "report": a schedule has no option "catchup"; did you mean "catchUp"?',
    ],
    [
      "an unknown option beside a function",
      { cron: () => "@daily", payload, timezon: "UTC" },
      "timezon",
      'job "report": a schedule has no option "timezon"; did you mean "timezone"?',
    ],
    [
      "two without key",
      [
        { every: "1h", payload },
        { every: "2h", payload },
      ],
      "schedule.key",
      'job "report": two schedules have no key; give each but one of them its own, such as key: "weekly"',
    ],
    [
      "one key twice",
      [
        { every: "1h", payload, key: "k" },
        { every: "2h", payload },
        { every: "2h", payload, key: "k" },
      ],
      "schedule.key",
      'job "report": two schedules have the key "k"; rename one of them',
    ],
    ["an empty key", { every: "1h", payload, key: "" }, "key", 'job "report": key "" is not a text of 1 to 128'],
    [
      "a queue that is none",
      { every: "1h", payload, queue: "a b" },
      "queue",
      'job "report": queue "a b" is not a name',
    ],
    ["a priority that is none", { every: "1h", payload, priority: 10 }, "priority", 'job "report": priority "10"'],
    ["tags that are none", { every: "1h", payload, tags: "a" }, "tags", 'job "report": tags are not a list'],
    [
      "a text",
      "@daily",
      "schedule",
      'job "report": a schedule is not an object; write schedule: { cron: "0 30 2 * * *" }',
    ],
    ["null in a list", [null], "schedule", 'job "report": a schedule is not an object'],
  ])("%s", (_, schedule, path, message) => {
    const define = (): unknown => declared(schedule);

    expect(define).toThrow(InvalidInput);
    expect(define).toThrow(message);
    expect(define).toThrow(expect.objectContaining({ path }));
  });

  test.each([
    ["wrong", { of: 7 }],
    ["missing", undefined],
  ])("a payload that is %s, with the path", (_, wrong) => {
    const define = (): unknown => declared({ every: "1h", payload: wrong });

    expect(define).toThrow(expect.objectContaining({ path: "schedule.payload" }));
    expect(define).toThrow(`job "report": schedule: payload${wrong ? ".of" : ""}: `);
  });

  test("a wrong payload beside a function", () => {
    expect(() => declared({ key: "b", cron: () => "@daily", payload: { of: 7 } })).toThrow(
      'job "report": schedule "b": payload.of: ',
    );
  });

  test("a payload that can't be stored", () => {
    const define = (): unknown =>
      defineJob({
        id: "report",
        schema: z.object({ of: z.any() }),
        schedule: { every: "1h", payload: { of: () => 1 } },
        handler: () => 1,
      });

    expect(define).toThrow("payload.of is a function");
    expect(define).toThrow(expect.objectContaining({ code: "NOT_STORABLE" }));
  });
});

describe("an asynchronous schema", () => {
  const unhandled: unknown[] = [];
  const hear = (reason: unknown): void => void unhandled.push(reason);
  beforeEach(() => {
    unhandled.length = 0;
    process.on("unhandledRejection", hear);
  });
  afterEach(() => process.off("unhandledRejection", hear));

  /** A job whose schema looks a name up. */
  function looking(name: string, found: () => Promise<boolean>): Job {
    const validate = async (value: unknown) => ((await found()) ? { value } : { issues: [{ message: "is nobody" }] });
    const schema: StandardSchemaV1 = { "~standard": { version: 1, vendor: "own", validate } };
    return defineJob({ id: "job", schema, schedule: { every: "1h", payload: { name } }, handler: () => 1 });
  }

  test("is asked once, and its answer waited for", async () => {
    let asked = 0;
    const [schedule] = looking("Ada", async () => ++asked > 0).schedules;

    const read = [await schedule!.read("UTC"), await schedule!.read("UTC")];

    expect(read[1]).toMatchObject({ job: "job", input: { json: '{"name":"Ada"}' } });
    expect(asked).toBe(1);
  });

  test.each([
    ["refuses", async () => false, InvalidInput],
    ["throws", async () => Promise.reject(new Error("away")), Error],
  ])("that %s is told by each reading, and by nothing else", async (_, found, kind) => {
    const job = looking("Bob", found);
    await new Promise(setImmediate); // by now an unhandled rejection would have been heard

    await expect(job.schedules[0]!.read("UTC")).rejects.toThrow(kind);
    await expect(job.schedules[0]!.read("UTC")).rejects.toThrow(kind);

    expect(unhandled).toEqual([]);
  });

  test("of zod does the same", async () => {
    const schema = z.object({ name: z.string().refine(async () => false, "is nobody") });
    const job = defineJob({ id: "job", schema, schedule: { every: "1h", payload: { name: "" } }, handler: () => 1 });
    await new Promise(setImmediate); // by now an unhandled rejection would have been heard

    await expect(job.schedules[0]!.read("UTC")).rejects.toThrow("payload.name: is nobody");

    expect(unhandled).toEqual([]);
  });

  test("still lets a bad rule be refused at definition", () => {
    const schema = z.object({ name: z.string().refine(async () => true) });

    expect(() =>
      defineJob({ id: "job", schema, schedule: { cron: "x", payload: { name: "" } }, handler: () => 1 }),
    ).toThrow('job "job": cron "x"');
  });
});
