import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { runs, signal } from "../../../sdk/index.ts";
import { WrongState } from "../../../sdk/port/error.ts";
import { defineEvent } from "../../../sdk/define/event.ts";
import { defineJob } from "../../../sdk/job.ts";
import { testRuntime } from "../../../runtime/testing/index.ts";

/** Takes turns of the event loop that no clock moves. */
const somethingReal = async (): Promise<void> => void (await readFile(new URL(import.meta.url)));
const fixed = { attempts: 3, delay: "1h", backoff: "fixed", jitter: false } as const;

describe("time", () => {
  test("advance moves sleeps, limits of waits and retries of steps, each to its instant", async () => {
    const seen = new Map<string, string>();
    const job = defineJob({
      id: "job",
      schema: z.void(),
      retry: fixed,
      handler: async (_, ctx) => {
        const see = (what: string) => seen.get(what) ?? seen.set(what, t.clock.now().toISOString().slice(8, 23)); // replays come later
        await ctx.sleep("3d");
        see("slept");
        await ctx.sleep("300ms");
        see("napped");
        await ctx.waitFor("news", { timeout: "2h" });
        see("gave up");
        await ctx.step("call", ({ attempt }) => {
          see(`try ${attempt}`);
          if (attempt < 3) throw new Error("busy");
        });
      },
    });
    await using t = await testRuntime({ jobs: [job], now: "2030-01-01T00:00:00Z" });

    const run = await job.trigger();
    await t.advance("4d");

    expect(Object.fromEntries(seen)).toEqual({
      slept: "04T00:00:00.000",
      napped: "04T00:00:00.300",
      "gave up": "04T02:00:00.300",
      "try 1": "04T02:00:00.300",
      "try 2": "04T03:00:00.300",
      "try 3": "04T04:00:00.300",
    });
    expect(await run.get()).toMatchObject({ status: "completed", attempt: 1 });
  });

  test("a year of months takes no time, and schedules go on in it", async () => {
    const paid: number[] = [];
    const ticks: Date[] = [];
    const pay = defineJob({
      id: "pay",
      schema: z.void(),
      handler: async (_, ctx) => {
        for (let month = 1; month <= 12; month++) {
          await ctx.step("pay", () => void paid.push(month));
          await ctx.sleep("30d");
        }
      },
    });
    const report = defineJob({
      id: "report",
      schema: z.void(),
      schedule: { cron: "0 0 1 * *", timezone: "UTC" },
      handler: (_, ctx) => void ticks.push(ctx.schedule!.tick),
    });
    await using t = await testRuntime({ jobs: [pay, report] });

    const run = await pay.trigger();
    await t.advance("365d");

    expect(paid).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect((await run.get())!.status).toBe("completed");
    expect(ticks).toHaveLength(12);
  });

  test("a long row of steps ends before the clock moves", async () => {
    let atMs = 0;
    const job = defineJob({
      id: "job",
      schema: z.void(),
      handler: async (_, ctx) => {
        const startMs = t.clock.nowMs();
        for (let n = 0; n < 100; n++) await ctx.step("step", () => n);
        await Promise.all(Array.from({ length: 300 }, async (_, n) => ctx.step("beside", () => n)));
        atMs = t.clock.nowMs() - startMs;
      },
    });
    await using t = await testRuntime({ jobs: [job] });

    const run = await job.trigger();
    await t.advance("1s");

    expect((await run.get())!.status).toBe("completed");
    expect(atMs).toBe(0);
  });

  test.each(["10d", "200ms"] as const)("idle does not wait for what sleeps %s", async (delay) => {
    const seen: string[] = [];
    const job = defineJob({
      id: "job",
      schema: z.void(),
      handler: async (_, ctx) => {
        await ctx.step("before", somethingReal);
        seen.push("before");
        await ctx.sleep(delay);
        seen.push("after");
      },
    });
    await using t = await testRuntime({ jobs: [job] });

    await job.trigger();
    await t.idle();
    const early = [...seen];
    await t.advance(delay);

    expect(early).toEqual(["before"]);
    expect(seen.at(-1)).toBe("after");
  });
});

describe("what is sent", () => {
  const approved = defineEvent({ id: "approved", schema: z.object({ by: z.string() }) });
  const job = defineJob({
    id: "job",
    schema: z.void(),
    handler: async (_, ctx) => {
      const { by } = await ctx.waitFor(approved);
      const token = await ctx.token({ schema: z.number() });
      await ctx.step("hand-out", () => token.id);
      return [by, await token.wait()];
    },
  });

  test("signal and complete let the run go on", async () => {
    await using t = await testRuntime({ jobs: [job] });
    const run = await job.trigger();

    await t.signal(run, approved, { by: "Ann" });
    await t.idle(); // it does not wait for who waits for an answer
    const [, out] = await t.steps(run);
    await t.complete(out!.result as string, 7);

    expect(await run.result()).toEqual(["Ann", 7]);
    await expect(t.signal(run, approved, { by: "Bob" })).rejects.toThrow(WrongState);
  });

  test("their types are those of the event", async () => {
    await using t = await testRuntime({ jobs: [job] });
    const run = await job.trigger(undefined, { idempotencyKey: "a" });

    // @ts-expect-error -- by is text
    await expect(t.signal({ job: "job", key: "a" }, approved, { by: 1 })).rejects.toThrow("event");
    await t.signal({ job: "job", key: "a" }, "approved", { by: "Ann" });

    expect((await t.steps(run)).map(({ name }) => name)).toEqual(["token", "hand-out"]);
  });
});

describe("steps", () => {
  test("shows name, tries and result of each", async () => {
    const job = defineJob({
      id: "job",
      schema: z.void(),
      retry: fixed,
      handler: async (_, ctx) => {
        await ctx.step("date", () => new Date(5));
        await ctx.step("flaky", ({ attempt }) => {
          if (attempt === 1) throw new TypeError("busy");
          return "got it";
        });
        await ctx.step("date", () => undefined);
        await ctx.step("broken", () => Promise.reject(new Error("no")), { retry: { attempts: 1 } }).catch(() => null);
        await ctx.step("later", () => Promise.reject(new RangeError("not yet")));
      },
    });
    await using t = await testRuntime({ jobs: [job] });

    const run = await job.trigger(undefined, { idempotencyKey: "a" });
    await t.advance("90m");

    expect(await t.steps(run)).toMatchObject([
      { name: "date", tries: 1, result: new Date(5), error: null },
      { name: "flaky", tries: 2, result: "got it", error: null },
      { name: "date#2", tries: 1, result: undefined, error: null },
      { name: "broken", tries: 1, error: { name: "Error", message: "no" } },
      { name: "later", tries: 1, error: { name: "RangeError", message: "not yet" } },
    ]);
    expect(await t.steps({ job: "job", key: "a" })).toEqual(await t.steps(run.id));
  });

  test("a step of ctx.tx is one, too: its transaction commits once it is recorded", async () => {
    const rows: string[] = [];
    const job = defineJob({
      id: "job",
      schema: z.void(),
      handler: async (_, ctx) => {
        const inTx = async (work: (tx: string[]) => Promise<void>): Promise<void> => {
          const tx: string[] = [];
          await work(tx);
          rows.push(...tx);
        };
        return ctx.tx(inTx, (tx) => tx.push("row"), { name: "save" });
      },
    });
    await using t = await testRuntime({ jobs: [job], alwaysReplay: true });

    const run = await job.trigger();
    await t.idle();

    expect(rows).toEqual(["row"]);
    expect(await run.result()).toBe(1);
    expect(await t.steps(run)).toMatchObject([{ name: "save", tries: 1, result: 1 }]);
  });
});

describe("tx", () => {
  const other = defineJob({ id: "other", schema: z.string(), handler: (text) => text });
  const news = defineEvent({ id: "news", schema: z.string() });
  const real = (): never => {
    throw new Error("the database was asked for a transaction");
  };

  test("stands for a transaction, for triggers and signals in it too", async () => {
    const rows: string[] = [];
    const tx = { query: async (text: string) => void rows.push(text) };
    const job = defineJob({
      id: "job",
      schema: z.void(),
      handler: async (_, ctx) => {
        const id = await ctx.tx<string, typeof tx>(real, async (client) => {
          await client.query("insert");
          await signal(ctx.run.id, news, "it is in", { tx: client });
          return (await other.trigger("a", { tx: client })).id;
        });
        return [await ctx.waitFor(news), id];
      },
    });
    await using t = await testRuntime({ jobs: [job, other], alwaysReplay: true, tx });

    const run = await job.trigger();
    await t.idle();

    const { items } = await runs.list({ job: "other" });
    expect(rows).toEqual(["insert"]);
    expect(await run.result()).toEqual(["it is in", items[0]!.id]);
    expect(items).toMatchObject([{ status: "completed", result: "a" }]);
  });

  test("without it there are real transactions, and that of a process that dies is rolled back", async () => {
    const ends: string[] = [];
    const inOne = async (work: (tx: object) => Promise<void>): Promise<void> => {
      const end = await work({}).then(
        () => "committed",
        () => "rolled back",
      );
      ends.push(end);
      if (end !== "committed") throw new Error(end);
    };
    const job = defineJob({ id: "job", schema: z.void(), handler: (_, ctx) => ctx.tx(inOne, () => ends.length) });
    await using t = await testRuntime({ jobs: [job] });

    t.crashAfter(0);
    const run = await job.trigger();
    await t.idle();

    expect(await run.result()).toBe(1);
    expect(ends).toEqual(["rolled back", "committed"]);
  });

  test("is refused if it can't be one", async () => {
    await expect(testRuntime({ jobs: [], tx: "begin" as never })).rejects.toThrow("tx is not a transaction");
  });
});

describe("alwaysReplay", () => {
  test("ends each attempt after a step, and calls no step twice", async () => {
    const calls: string[] = [];
    let handlers = 0;
    const child = defineJob({ id: "child", schema: z.number(), handler: (n) => n * 2 });
    const job = defineJob({
      id: "job",
      schema: z.void(),
      retry: fixed,
      handler: async (_, ctx) => {
        handlers++;
        const one = await ctx.step("one", () => (calls.push("one"), 1));
        await ctx.sleep("100ms");
        const both = await Promise.all([
          ctx.step("quick", () => (calls.push("quick"), 2)),
          ctx.step("slow", async () => {
            await somethingReal();
            return (calls.push("slow"), 3);
          }),
        ]);
        await ctx.step("flaky", ({ attempt }) => {
          calls.push(`flaky ${attempt}`);
          if (attempt === 1) throw new Error("busy");
        });
        return [one, ...both, await child.triggerAndWait(2)];
      },
    });
    await using t = await testRuntime({ jobs: [job, child], alwaysReplay: true });

    const run = await job.trigger();
    await t.advance("1s");
    await t.idle();
    await t.advance("2h");

    expect(await run.result()).toEqual([1, 2, 3, 4]);
    expect(calls).toEqual(["one", "quick", "slow", "flaky 1", "flaky 2"]);
    expect(handlers).toBeGreaterThan(4);
    expect((await run.get())!.status).toBe("completed");
  });

  test("finds state that lives outside of steps", async () => {
    const job = defineJob({
      id: "job",
      schema: z.void(),
      handler: async (_, ctx) => {
        let total = 0;
        await ctx.step("one", () => void (total += 1));
        await ctx.step("two", () => void (total += 1));
        return total;
      },
    });
    const totalWith = async (alwaysReplay: boolean): Promise<unknown> => {
      await using t = await testRuntime({ jobs: [job], alwaysReplay });
      const run = await job.trigger();
      await t.idle();
      return run.result();
    };

    expect(await totalWith(false)).toBe(2);
    expect(await totalWith(true)).toBe(0);
  });

  test.each(["idle", "advance"] as const)(
    "%s throws for a handler that asks for other steps each time",
    async (how) => {
      let calls = 0;
      const job = defineJob({
        id: "job",
        schema: z.void(),
        handler: async (_, ctx) => {
          await ctx.step(`charge-${++calls}`, () => null);
          await ctx.step("mail", () => null);
        },
      });
      await using t = await testRuntime({ jobs: [job], alwaysReplay: true });

      await job.trigger();

      await expect(how === "idle" ? t.idle() : t.advance("5s")).rejects.toThrow(
        /its journal goes on with step "charge-1" at 1 \(testing\/flow.test.ts:\d+\), but the code asks for step "charge-2" \(testing/,
      );
    },
  );

  test("the loser of a race may fail unheard", async () => {
    const job = defineJob({
      id: "job",
      schema: z.void(),
      retry: { attempts: 1 },
      handler: (_, ctx) =>
        Promise.race([ctx.step("won", () => "won"), ctx.step("lost", () => Promise.reject(new Error("lost")))]),
    });
    await using t = await testRuntime({ jobs: [job], alwaysReplay: true });

    const run = await job.trigger();
    await t.idle();

    expect(await run.result()).toBe("won");
  });

  test("jobs stay those that were given", async () => {
    const job = defineJob({ id: "job", schema: z.void(), handler: () => null });
    await using t = await testRuntime({ jobs: [job] });

    expect(t.jobs()).toEqual([job]);
    expect(t.jobs()[0]).toBe(job);
  });
});
