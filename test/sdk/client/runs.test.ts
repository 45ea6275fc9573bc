import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { encode } from "../../../sdk/port/codec.ts";
import { close, configure } from "../../../sdk/client/config.ts";
import { nodes, queues, queuesOf, runs, runsOf, stats } from "../../../sdk/client/runs.ts";
import { InvalidInput, InvalidPayload, RunNotFound, WrongState } from "../../../sdk/port/error.ts";
import { jsonSchemaOf } from "../../../sdk/define/schema.ts";
import type { Page, Paging, RunFilter, RunRecord } from "../../../sdk/port/target.ts";
import { aJobRecord, aRecord, noStats, recorder, type Answers, type Recorder } from "./recorder.ts";

afterEach(close);

/** Configures a recorder, and answers it. */
function use(answers: Answers = {}): Recorder {
  const to = recorder(answers);
  configure({ store: to });
  return to;
}

describe("a run", () => {
  test("is shown with its id as text, and payload and result decoded when they are read", async () => {
    const broken = { json: "{", meta: null };
    use({
      find: {
        get: async (id) =>
          aRecord({
            id,
            input: encode({ at: new Date(0) }, "payload"),
            result: broken,
            replayOf: 36,
            options: { hook: { kind: "failure", of: 37 } },
          }),
      },
    });

    const run = await runs.need("run_a");

    expect(run).toMatchObject({
      id: "run_a",
      payload: { at: new Date(0) },
      replayOf: "run_10",
      hook: { kind: "failure", of: "run_11" },
    });
    expect(() => run.result).toThrow(InvalidInput);
  });

  test("is found by its job and key", async () => {
    use({
      find: {
        list: async ({ job, key }) => ({
          ...{ items: job?.[0] === "job" && key === "k" ? [aRecord({ id: 7 })] : [], next: null, complete: true },
        }),
        get: async (id) => aRecord({ id }),
      },
    });

    expect((await runs.get({ job: "job", key: "k" }))?.id).toBe("run_7");
    expect(await runs.get({ job: "job", key: "other" })).toBeNull();
  });

  test("that is not there is null to get, and an error to all else", async () => {
    use({ act: { id: 1, done: "missing", status: null } });

    expect(await runs.get("run_1")).toBeNull();
    for (const act of [runs.need, runs.cancel, runs.resume, runs.retry, runs.replay, runs.runNow])
      await expect(act("run_1")).rejects.toThrow(RunNotFound);
    await expect(runs.cancel({ job: "j", key: "k" })).rejects.toThrow('run "key k of job j" does not exist');
  });

  test.each(["1", "run_", "run_A", "", 5, null, { job: "j" }])("%j names none", async (ref) => {
    use();

    await expect(runs.get(ref as string)).rejects.toThrow(InvalidInput);
  });
});

describe("acts", () => {
  test("reach the desk with the run's number", async () => {
    const asking = use({ act: { id: 36, done: "asked", status: "running" } });
    const answer = await runs.cancel("run_10");
    const to = use({ act: { id: 36, done: "done", status: "pending" } });
    await runs.resume("run_10");
    await runs.retry("run_10");
    await runs.runNow("run_10");
    await runs.forget("run_10", 3);

    expect(answer).toBe("asked");
    expect(asking.acts).toEqual([["cancel", [36]]]);
    expect(to.acts).toEqual([
      ["revive", [36], "canceled"],
      ["revive", [36], "failed"],
      ["edit", 36, { delayMs: 0 }],
      ["purge", { attempt: { run: 36, token: 3 } }, 1],
    ]);
  });

  test("that don't fit the state say so", async () => {
    use({ act: { id: 1, done: "refused", status: "completed" } });

    await expect(runs.retry("run_1")).rejects.toThrow(
      'run "run_1" is completed, so it can\'t be retried; only a failed run can be',
    );
    await expect(runs.resume("run_1")).rejects.toThrow(WrongState);
    await expect(runs.edit("run_1", { priority: 1 })).rejects.toThrow(WrongState);
  });

  test("replay adds a new run with the old one's input", async () => {
    const old = aRecord({
      id: 5,
      job: "j",
      queue: "q",
      priority: 3,
      tags: ["t"],
      key: "k",
      input: encode([1n], "payload"),
      options: { timeoutMs: 5 },
      status: "failed",
    });
    const to = use({ find: { get: async () => old } });

    const handle = await runs.replay("run_5");

    expect(handle.created).toBe(true);
    expect(to.adds[0]!.batch[0]).toEqual({
      job: "j",
      queue: "q",
      priority: 3,
      tags: ["t"],
      input: old.input,
      options: { timeoutMs: 5 },
      dueAt: null,
      delayMs: 0,
      key: null,
      ttlMs: null,
      replayOf: 5,
    });
  });

  test("edit changes only what is given", async () => {
    const to = use();
    const runAt = new Date("2030-01-01");

    await runs.edit("run_1", { runAt });
    await runs.edit("run_1", { delay: "5m", attempts: 9, priority: 1 });

    expect(to.acts).toEqual([
      ["edit", 1, { dueAt: runAt }],
      ["edit", 1, { delayMs: 300_000, attempts: 9, priority: 1 }],
    ]);
  });

  test("edit checks a payload by the published schema; one of an unpublished job is taken", async () => {
    const schema = jsonSchemaOf(z.object({ at: z.date() }));
    const to = use({ find: { get: async () => aRecord(), jobs: async () => [aJobRecord({ schema })] } });

    await runs.edit("run_1", { payload: { at: "2030-01-01" } });
    await expect(runs.edit("run_1", { payload: { at: 5 } })).rejects.toThrow(InvalidPayload);
    const other = use({ find: { get: async () => aRecord() } });
    await runs.edit("run_1", { payload: undefined });

    expect(to.acts).toEqual([
      ["edit", 1, { input: { json: '{"at":"2030-01-01T00:00:00.000Z"}', meta: '{"at":["Date"]}' } }],
    ]);
    expect(other.acts).toEqual([["edit", 1, { input: { json: "null", meta: '["undefined"]' } }]]);
  });

  test.each([{ runAt: new Date(), delay: "1s" }, { attempts: 0 }, { priority: 10 }, { delay: "-1s" }])(
    "edit refuses %j",
    async (change) => {
      use();

      await expect(runs.edit("run_1", change as object)).rejects.toThrow(InvalidInput);
    },
  );

  test("a field or status that does not exist is refused, rather than matching too much or nothing", async () => {
    use({ purged: [0] });
    const loose = (query: object) => query; // as JavaScript would call it

    await expect(runs.list(loose({ statuss: "failed" }))).rejects.toThrow(/no option "statuss"; did you mean "status"/);
    await expect(runs.list(loose({ status: "fail" }))).rejects.toThrow(/status "fail" is none of pending/);
    await expect(runs.purge(loose({ status: "failed", befor: new Date() }))).rejects.toThrow(/did you mean "before"/);
    await expect(runs.purge(loose({ status: "pending" }))).rejects.toThrow(/none of completed, failed, canceled/);
    await expect(runs.edit("run_1", loose({ prio: 3 }))).rejects.toThrow(/no option "prio"/);
  });

  test("purge deletes until nothing is left, and never without a filter", async () => {
    const to = use({ purged: [1000, 1000, 5] });

    expect(await runs.purge({ status: "completed", before: new Date(0) })).toBe(2005);
    await runs.purge("run_1");
    await expect(runs.purge({})).rejects.toThrow(InvalidInput);

    expect(to.acts[0]).toEqual(["purge", { status: ["completed"], before: new Date(0) }, 1000]);
    expect(to.acts.at(-1)).toEqual(["purge", { ids: [1] }, 1000]);
  });
});

describe("lists", () => {
  test("a query becomes the store's filter", async () => {
    let asked: RunFilter = {};
    use({ find: { list: async (filter) => ((asked = filter), { items: [aRecord()], next: null, complete: true }) } });

    const page = await runs.list({
      ids: ["run_1"],
      status: "failed",
      job: ["a", "b"],
      queue: "q",
      tags: ["t"],
      key: "k",
      payload: { "user.id": 42 },
      error: "boom",
      hooks: true,
      createdAfter: undefined,
    });

    expect(page.items[0]!.id).toBe("run_1");
    expect(asked).toEqual({
      ids: [1],
      status: ["failed"],
      job: ["a", "b"],
      queue: ["q"],
      tags: ["t"],
      key: "k",
      payload: [{ path: ["user", "id"], value: "42" }],
      error: "boom",
      hooks: true,
    });
  });

  test("each goes through all pages", async () => {
    const pages: Record<string, Page<RunRecord>> = {
      first: { items: [aRecord({ id: 3 }), aRecord({ id: 2 })], next: "more", complete: true },
      more: { items: [aRecord({ id: 1 })], next: null, complete: true },
    };
    use({ find: { list: async (_, page?: Paging) => pages[page?.cursor ?? "first"]! } });
    const ids: string[] = [];

    for await (const run of runs.each({ job: "job" })) ids.push(run.id);

    expect(ids).toEqual(["run_3", "run_2", "run_1"]);
  });

  test.each([0, 201, 1.5])("a limit of %d is refused", async (limit) => {
    use();

    await expect(runs.list({}, { limit })).rejects.toThrow(InvalidInput);
  });

  test("attempts, failures and logs name their run by text", async () => {
    const attempt = {
      run: 36,
      token: 1,
      n: 1,
      job: "j",
      node: null,
      startedAt: null,
      endedAt: new Date(0),
      outcome: "error",
      error: null,
      retryAt: null,
    } as const;
    const line = { run: 36, attempt: 1, at: new Date(0), level: "info", message: "m", data: '{"a":1}' } as const;
    const asked: unknown[] = [];
    use({
      find: {
        attempts: async (filter) => (asked.push(filter), { items: [attempt], next: null, complete: true }),
        logs: async () => ({ items: [line], next: null, complete: true }),
      },
    });

    const [own, failures, logs] = [
      await runs.attempts("run_10"),
      await runs.failures({ job: "j" }),
      await runs.logs("run_10"),
    ];

    expect([own.items[0]!.run, failures.items[0]!.run]).toEqual(["run_10", "run_10"]);
    expect(logs.items[0]).toEqual({ ...line, run: "run_10", data: { a: 1 } });
    expect(asked).toEqual([{ run: 36 }, { job: ["j"] }]);
  });

  test("a line whose data is no JSON is answered with the text of it, and hides no other", async () => {
    const line = { run: 36, attempt: 1, at: new Date(0), level: "info", message: "m" } as const;
    const items = ['{"t":"ééé', "null", '"a"'].map((data) => ({ ...line, data }));
    use({ find: { logs: async () => ({ items, next: null, complete: true }) } });

    const logs = await runs.logs("run_10");

    expect(logs.items.map(({ data }) => data)).toEqual(['{"t":"ééé', null, "a"]);
  });
});

test("queues are listed, paused and resumed by name; nodes and stats are read", async () => {
  const to = use({ find: { stats: async () => ({ ...noStats, queues: [{ name: "mail", paused: true }] }) } });

  await queues.pause("mail");
  await queues.resume("mail");

  expect(await queues.list()).toEqual([{ name: "mail", paused: true }]);
  expect(to.acts).toEqual([
    ["pause", "mail", true],
    ["pause", "mail", true], // for what was being claimed meanwhile
    ["pause", "mail", false],
  ]);
  await expect(queues.pause("a b")).rejects.toThrow(InvalidInput);
  expect(await nodes.list()).toEqual([]);
  expect((await stats()).windowMs).toBe(60_000);
});

test("verbs that are bound to a target act on that one, and leave the process's own alone", async () => {
  const own = use();
  const other = recorder({ act: { id: 36, done: "done", status: "canceled" } });

  await runsOf(async () => other).cancel("run_10");
  await queuesOf(async () => other).pause("mail");

  expect(other.acts).toEqual([
    ["cancel", [36]],
    ["pause", "mail", true],
    ["pause", "mail", true], // for what was being claimed meanwhile
  ]);
  expect(own.acts).toEqual([]);
});
