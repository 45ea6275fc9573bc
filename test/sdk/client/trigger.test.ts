import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { close, configure } from "../../../sdk/client/config.ts";
import { InvalidInput, InvalidPayload, JobNotFound, KeyConflict, NotStorable } from "../../../sdk/port/error.ts";
import { defineJob } from "../../../sdk/job.ts";
import { jsonSchemaOf } from "../../../sdk/define/schema.ts";
import type { AnyJob } from "../../../sdk/client/job.ts";
import type { TriggerOptions } from "../../../sdk/client/option.ts";
import { trigger } from "../../../sdk/client/trigger.ts";
import type { NewRun } from "../../../sdk/port/target.ts";
import { aJobRecord, recorder, type Recorder } from "./recorder.ts";

const schema = z.object({ userId: z.string(), at: z.date().optional() });
const remind = defineJob({
  id: "remind",
  schema,
  queue: "mail",
  priority: 2,
  tags: ["mail"],
  ttl: "1h",
  handler: () => 1,
});
const payload = { userId: "u1" };

/** What throws whatever is done with it. */
function revoked<T extends object>(of: T): T {
  const { proxy, revoke } = Proxy.revocable(of, {});
  revoke();
  return proxy;
}

let to: Recorder;
beforeEach(() => configure({ store: (to = recorder()) }));
afterEach(close);

/** The one run that was added. */
function added(): NewRun {
  const all = to.adds.flatMap(({ batch }) => batch);
  if (all.length !== 1) throw new Error(`${all.length} runs were added`);
  return all[0]!;
}

/** What is added for a trigger with these options. */
async function runFor(options: TriggerOptions, input: z.input<typeof schema> = payload): Promise<NewRun> {
  configure({ store: (to = recorder()) });
  await remind.trigger(input, options);
  return added();
}

describe("job.trigger", () => {
  test("adds the raw input with what the job says", async () => {
    const handle = await remind.trigger(payload);

    expect(added()).toEqual({
      job: "remind",
      queue: "mail",
      priority: 2,
      dueAt: null,
      delayMs: 0,
      input: { json: '{"userId":"u1"}', meta: null },
      tags: ["mail"],
      key: null,
      ttlMs: 3_600_000,
      options: null,
      replayOf: null,
    });
    expect(handle).toMatchObject({ id: "run_1", created: true, conflict: false });
  });

  test("stores the input, not what the schema makes of it", async () => {
    const job = defineJob({
      id: "job",
      schema: z.object({ n: z.string().transform(Number), d: z.number().default(1) }),
      handler: () => 1,
    });

    await job.trigger({ n: "5" });

    expect(added().input).toEqual({ json: '{"n":"5"}', meta: null });
  });

  test("refuses a wrong payload at once, naming the field, and adds nothing", async () => {
    await expect(remind.trigger({ userId: 7 } as never)).rejects.toThrow(
      'payload of job "remind" does not match its schema: payload.userId: ',
    );
    await expect(remind.trigger(undefined as never)).rejects.toThrow(InvalidPayload);
    expect(to.adds).toEqual([]);
  });

  test("refuses what can't be stored, naming the field", async () => {
    const job = defineJob({ id: "job", schema: z.object({ a: z.any() }), handler: () => 1 });

    await expect(job.trigger({ a: { f: () => 1 } })).rejects.toThrow(NotStorable);
    await expect(job.trigger({ a: { f: () => 1 } })).rejects.toThrow("payload.a.f is a function");
  });

  test("refuses a payload that can't even be read", async () => {
    const proxy = revoked(payload);

    await expect(remind.trigger(proxy)).rejects.toThrow(NotStorable);
    expect(await remind.batchTrigger([{ payload: proxy }])).toEqual([expect.any(NotStorable)]);
    expect(to.adds).toEqual([]);
  });

  test("passes the transaction on", async () => {
    const tx = { query: () => undefined };

    await remind.trigger(payload, { tx });

    expect(to.adds[0]!.tx).toBe(tx);
  });

  test("takes every option", async () => {
    const run = await runFor({
      delay: "5m",
      priority: 9,
      queue: "other",
      tags: ["b", "mail"],
      ttl: "2h",
      timeout: "1m",
      retry: { attempts: 2, delay: "3s" },
    });

    expect(run).toMatchObject({
      delayMs: 300_000,
      dueAt: null,
      priority: 9,
      queue: "other",
      tags: ["mail", "b"],
      ttlMs: 7_200_000,
      options: { timeoutMs: 60_000, retry: { attempts: 2, delayMs: 3000 } },
    });
  });

  test("runAt is an absolute instant, also one in the past", async () => {
    const past = new Date("2020-01-01");

    expect(await runFor({ runAt: past })).toMatchObject({ dueAt: past, delayMs: 0 });
  });

  test.each<[string, object, string]>([
    ["a negative delay", { delay: "-5s" }, "delay"],
    ["an absurd delay", { delay: "99999d" }, "delay"],
    ["a delay in raw milliseconds", { delay: 500 }, "delay"],
    ["an invalid runAt", { runAt: new Date(Number.NaN) }, "runAt"],
    ["a runAt as text", { runAt: "2030-01-01" }, "runAt"],
    ["an absurd runAt", { runAt: new Date(8e15) }, "runAt"],
    ["delay and runAt together", { delay: "5s", runAt: new Date() }, "runAt"],
    ["a priority out of range", { priority: -1 }, "priority"],
    ["a reserved queue", { queue: "$x" }, "queue"],
    ["too many tags with the job's own", { tags: Array.from({ length: 10 }, (_, i) => `t${i}`) }, "tags"],
    ["an empty key", { idempotencyKey: "" }, "idempotencyKey"],
    ["a key that is too long", { idempotencyKey: "k".repeat(257) }, "idempotencyKey"],
    ["a key with NUL", { idempotencyKey: "a\0" }, "idempotencyKey"],
    ["an unknown onConflict", { idempotencyKey: { key: "k", onConflict: "skip" } }, "idempotencyKey.onConflict"],
    ["a keep of zero", { idempotencyKey: { key: "k", keep: "0s" } }, "keep"],
    ["a ttl of zero", { ttl: "0s" }, "ttl"],
    ["a timeout of zero", { timeout: "0s" }, "timeout"],
    ["attempts out of range", { retry: { attempts: 0 } }, "retry.attempts"],
    ["a retry function", { retry: () => "1s" }, "retry"],
    ["a misspelt option of retry", { retry: { attempt: 9 } }, "attempt"],
    ["a delay of retry that is none", { retry: { delay: "soon" } }, "retry.delay"],
    ["a misspelt option of a key", { idempotencyKey: { key: "k", onConflit: "replace" } }, "onConflit"],
    ["a key without a text", { idempotencyKey: { key: Object.create(null) } }, "idempotencyKey"],
    ["tags that can't be read", { tags: revoked([]) }, "tags"],
    ["an unknown option", { dealy: "5s" }, "dealy"],
    ["a tx that is none", { tx: "tx" }, "tx"],
  ])("refuses %s", async (_, options, path) => {
    await expect(remind.trigger(payload, options as TriggerOptions)).rejects.toMatchObject({
      code: "INVALID_INPUT",
      path,
    });
    expect(to.adds).toEqual([]);
  });

  test("throws what the store answers for its run", async () => {
    configure({ store: recorder({ add: (run) => new KeyConflict(run.job, "k", "run_7") }) });

    await expect(remind.trigger(payload, { idempotencyKey: { key: "k", onConflict: "error" } })).rejects.toThrow(
      KeyConflict,
    );
  });

  test("the handle says whose run it is", async () => {
    configure({ store: recorder({ add: () => ({ id: 41, created: false, conflict: true }) }) });

    expect(await remind.trigger(payload, { idempotencyKey: "k" })).toMatchObject({
      id: "run_15",
      created: false,
      conflict: true,
    });
  });
});

describe("idempotency keys", () => {
  test("a text is a key for 24 hours that returns its run", async () => {
    const { key } = await runFor({ idempotencyKey: "order-1" });

    expect(key).toMatchObject({ key: "order-1", keepMs: 86_400_000, onConflict: "return" });
    expect(key?.hash).toMatch(/^[0-9a-f]{40}$/);
  });

  test("the hash is of the payload: types count, the order of fields does not", async () => {
    const hash = async (input: object): Promise<string> =>
      (await runFor({ idempotencyKey: "k" }, input as z.input<typeof schema>)).key!.hash;
    const at = new Date(0);

    const [one, turned, other, later] = [
      await hash({ userId: "a", at }),
      await hash({ at, userId: "a" }),
      await hash({ userId: "b", at }),
      await hash({ userId: "a", at: new Date(1) }),
    ];

    expect(turned).toBe(one);
    expect(new Set([one, other, later]).size).toBe(3);
  });
});

describe("job.batchTrigger", () => {
  test("answers a handle or an error per item, in order", async () => {
    const taken = recorder({
      add: (run, id) =>
        run.priority === 7 ? new KeyConflict("remind", "k", "run_1") : { id, created: true, conflict: false },
    });
    configure({ store: taken });

    const answers = await remind.batchTrigger([
      { payload: { userId: "a" } },
      { payload: { userId: 1 } as never },
      { payload: { userId: "b" }, options: { priority: 7 } },
      { payload: { userId: "c" }, options: { delay: "x" as "1s" } },
      undefined as never,
      { payload: { userId: "d" }, options: { tx: {} } as object },
      { payload: { userId: "e" }, options: { delay: "1m" } },
    ]);

    expect(answers.map((one) => (one instanceof Error ? one.constructor : one.id))).toEqual([
      "run_1",
      InvalidPayload,
      KeyConflict,
      InvalidInput,
      InvalidInput,
      InvalidInput,
      "run_3",
    ]);
    expect(taken.adds[0]!.batch.map((run) => [run.input.json, run.delayMs])).toEqual([
      ['{"userId":"a"}', 0],
      ['{"userId":"b"}', 0],
      ['{"userId":"e"}', 60_000],
    ]);
  });

  test("adds the same as single triggers would", async () => {
    const options = { delay: "1s", tags: ["x"], idempotencyKey: "k" } as const;

    await remind.batchTrigger([{ payload, options }]);
    await remind.trigger(payload, options);

    expect(to.adds[0]!.batch).toEqual(to.adds[1]!.batch);
  });

  test("takes 10,000 in one call, a thousand at a time", async () => {
    const items = Array.from({ length: 10_000 }, (_, i) => ({ payload: { userId: `u${i}` } }));

    const answers = await remind.batchTrigger(items);

    expect(answers.map((one) => !(one instanceof Error) && one.id)).toEqual(
      items.map((_, i) => `run_${(i + 1).toString(36)}`),
    );
    expect(to.adds.map(({ batch }) => batch.length)).toEqual(Array(10).fill(1000));
  });

  test("a chunk that the store refuses fails its own items only", async () => {
    let calls = 0;
    const store = {
      ...recorder(),
      add: async (batch: readonly NewRun[]) => {
        if (++calls === 1) throw new Error("away");
        return batch.map((_, id) => ({ id, created: true, conflict: false }));
      },
    };
    configure({ store });

    const answers = await remind.batchTrigger(Array.from({ length: 1500 }, () => ({ payload })));

    expect(answers.filter((one) => one instanceof Error)).toHaveLength(1000);
    expect(answers[1000]).toMatchObject({ id: "run_0" });
  });

  test("an empty batch adds nothing; one transaction is for all", async () => {
    const tx = { query: () => undefined };

    expect(await remind.batchTrigger([])).toEqual([]);
    await remind.batchTrigger([{ payload }], { tx });

    expect(to.adds.map((add) => add.tx)).toEqual([tx]);
  });

  test.each<[string, unknown, unknown]>([
    ["what is not a list", {}, {}],
    ["options that are meant for each item", [{ payload }], { delay: "1h" }],
    ["options that are null", [{ payload }], null],
  ])("refuses %s", async (_, items, options) => {
    await expect(remind.batchTrigger(items as never, options as never)).rejects.toThrow(InvalidInput);
    expect(to.adds).toEqual([]);
  });

  test("a hole, and an item whose options are no object, fail alone", async () => {
    const items = [{ payload, options: "1h" }, , { payload }];

    const answers = await remind.batchTrigger(items as never);

    expect(answers).toEqual([
      expect.any(InvalidInput),
      expect.any(InvalidInput),
      expect.objectContaining({ id: "run_1" }),
    ]);
  });
});

describe("trigger by id", () => {
  const published = aJobRecord({
    id: "remind",
    queue: "mail",
    priority: 3,
    tags: ["t"],
    ttlMs: 5000,
    schema: jsonSchemaOf(schema),
  });

  test("takes what nodes published of the job", async () => {
    configure({ store: (to = recorder({ find: { jobs: async () => [published] } })) });

    const handle = await trigger<typeof remind>("remind", payload, { delay: "1s" });

    expect(added()).toMatchObject({
      job: "remind",
      queue: "mail",
      priority: 3,
      tags: ["t"],
      ttlMs: 5000,
      delayMs: 1000,
      input: { json: '{"userId":"u1"}', meta: null },
    });
    expect(handle.id).toBe("run_1");
  });

  test("makes a Date of its text where the job wants one", async () => {
    configure({ store: (to = recorder({ find: { jobs: async () => [published] } })) });

    await trigger("remind", { userId: "u", at: "2030-01-01T00:00:00Z" });

    expect(added().input).toEqual({ json: '{"userId":"u","at":"2030-01-01T00:00:00.000Z"}', meta: '{"at":["Date"]}' });
  });

  test("refuses a payload that the published schema refuses, naming the field", async () => {
    configure({ store: (to = recorder({ find: { jobs: async () => [published] } })) });

    await expect(trigger("remind", { userId: 7, at: "soon" })).rejects.toMatchObject({
      code: "INVALID_PAYLOAD",
      issues: [{ path: "userId" }, { path: "at" }],
    });
    await expect(trigger("remind")).rejects.toThrow(InvalidPayload);
    expect(to.adds).toEqual([]);
  });

  test("refuses a payload that can't be read, and an id that is not a text", async () => {
    configure({ store: (to = recorder({ find: { jobs: async () => [published] } })) });

    await expect(trigger<AnyJob>("remind", revoked({}))).rejects.toThrow(NotStorable);
    await expect(trigger<AnyJob>(revoked({}) as never, payload)).rejects.toThrow(JobNotFound);
  });

  test("a job without a JSON Schema takes any payload", async () => {
    configure({ store: (to = recorder({ find: { jobs: async () => [aJobRecord()] } })) });

    await trigger("job", new Date(0));

    expect(added().input.meta).toBe('["Date"]');
  });

  test("an unknown id is an error with names that look like it", async () => {
    configure({ store: recorder({ find: { jobs: async () => [published] } }) });

    await expect(trigger("remnid", {})).rejects.toThrow(
      'job "remnid" is not known to any process on this store (known: remind); did you mean "remind"?',
    );
    await expect(trigger(undefined as never)).rejects.toThrow(JobNotFound);
  });

  test("asks for the jobs once in 30 s, and again for an id that it does not know", async () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const jobs = vi.fn(async () => [published]);
    configure({ store: recorder({ find: { jobs } }) });

    await trigger("remind", payload);
    await trigger("remind", payload);
    const soon = jobs.mock.calls.length;
    await trigger("other", payload).catch(() => undefined);
    const unknown = jobs.mock.calls.length;
    vi.advanceTimersByTime(30_000);
    await trigger("remind", payload);
    vi.useRealTimers();

    expect([soon, unknown, jobs.mock.calls.length]).toEqual([1, 2, 3]);
  });
});
