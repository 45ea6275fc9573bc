import { describe, expect, test } from "vitest";
import { z } from "zod";
import { runs } from "../../../sdk/index.ts";
import { defineJob } from "../../../sdk/job.ts";
import { testRuntime } from "../../../runtime/testing/index.ts";

describe("crash", () => {
  test("what was recorded is not done again, what was not is", async () => {
    const calls: string[] = [];
    const job = defineJob({
      id: "job",
      schema: z.void(),
      handler: async (_, ctx) => {
        await ctx.step("one", () => calls.push("one"));
        return ctx.step("two", ({ attempt }) => {
          calls.push("two");
          return calls.length === 2 ? new Promise(() => undefined) : attempt; // the first call never ends
        });
      },
    });
    await using t = await testRuntime({ jobs: [job] });

    const run = await job.trigger();
    await t.advance("1s");
    await t.crash();

    expect(calls).toEqual(["one", "two", "two"]);
    expect(await run.result()).toBe(1);
    expect(await run.get()).toMatchObject({ status: "completed", crashes: 1 });
  });

  test("a run that waits is not touched by it, and is woken on the next node", async () => {
    const job = defineJob({
      id: "job",
      schema: z.void(),
      handler: async (_, ctx) => {
        await ctx.sleep("1d");
        return ctx.waitFor("go");
      },
    });
    await using t = await testRuntime({ jobs: [job] });
    const run = await job.trigger();
    const result = run.result(); // asked of the node that dies

    await t.idle();
    await t.crash();
    await t.advance("1d");
    await t.crash();
    await t.signal(run, "go", 7);

    expect(await result).toBe(7);
    expect((await run.get())!.crashes).toBe(0);
  });

  test("before any write, it changes no result, and no step that was recorded is called again", async () => {
    const child = defineJob({ id: "child", schema: z.number(), handler: (n) => n * 10 });
    const play = async (crashAt: number | null): Promise<number> => {
      const calls = new Map<string, number>();
      const call = (name: string) => calls.set(name, (calls.get(name) ?? 0) + 1).get(name)!;
      const job = defineJob({
        id: "job",
        schema: z.void(),
        handler: async (_, ctx) => {
          const one = await ctx.step("one", () => (call("one"), 1));
          await ctx.sleep("1h");
          const both = await Promise.all([ctx.step("a", () => (call("a"), 2)), ctx.step("b", () => (call("b"), 3))]);
          const answer = await ctx.waitFor("answer");
          const ends = await child.batchTriggerAndWait([{ payload: 1 }, { payload: 2 }]);
          await ctx.step("end", () => void call("end"));
          return [one, both, answer, ends.map((end) => end.ok && end.result)];
        },
      });
      await using t = await testRuntime({ jobs: [job, child] });
      if (crashAt !== null) t.crashAfter(crashAt);

      const run = await job.trigger();
      await t.advance("2h");
      await t.signal(run, "answer", "yes");
      await t.advance("1m");

      expect(await run.get()).toMatchObject({ status: "completed" });
      expect(await run.result()).toEqual([1, [2, 3], "yes", [10, 20]]);
      expect((await runs.list({ job: "child" })).items).toHaveLength(2);
      const total = [...calls.values()].reduce((a, b) => a + b);
      expect(total).toBeLessThanOrEqual(crashAt === null ? 4 : 6); // those that were under way: two at most
      expect((await t.steps(run)).map(({ name }) => name).toSorted()).toEqual(["a", "b", "end", "one"]);
      return t.writes;
    };

    const writes = await play(null);
    for (let crashAt = 0; crashAt < writes; crashAt++) await play(crashAt);

    expect(writes).toBeGreaterThan(10);
  });

  test("jobs, slots and what was triggered since stay", async () => {
    const job = defineJob({ id: "job", schema: z.number(), handler: (n) => n + 1 });
    await using t = await testRuntime({ jobs: [] });
    t.register(job);
    t.resize(3);

    await t.crash();
    const run = await job.trigger(1);

    expect(t.jobs()).toEqual([job]);
    expect(t.stats().slots).toBe(3);
    expect(await run.result()).toBe(2);
  });

  test("a handler of a dead node gets no answer, and its timers do not ring", async () => {
    const seen: string[] = [];
    const job = defineJob({
      id: "job",
      schema: z.void(),
      handler: async (_, ctx) => {
        seen.push("begin");
        await ctx.sleep("500ms");
        seen.push("end");
      },
    });
    await using t = await testRuntime({ jobs: [job] });

    const run = await job.trigger();
    await t.idle();
    await t.crash();
    await t.advance("10s");

    expect(seen).toEqual(["begin", "begin", "end"]);
    expect((await run.get())!.status).toBe("completed");
  });
});
