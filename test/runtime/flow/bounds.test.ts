/** How much a workflow may do and keep, and what it hears beyond that. */
import { expect, test } from "vitest";
import { z } from "zod";
import { defineJob, runs, StepFailed, type Context } from "../../../sdk/index.ts";

import { testRuntime } from "../../../runtime/testing/index.ts";

const aJob = (handler: (ctx: Context) => unknown) =>
  defineJob({ id: "job", schema: z.void(), retry: { attempts: 3, delay: "1s" }, handler: (_, ctx) => handler(ctx) });

test("a workflow that asks for more than its bound fails for good, in its first attempt", async () => {
  const called: string[] = [];
  const job = aJob(async (ctx) => {
    for (const name of ["a", "b", "c"]) await ctx.step(name, () => called.push(name));
    await ctx.sleep("1d");
    return "done";
  });
  await using t = await testRuntime({ jobs: [job], steps: 3 });

  const run = await job.trigger();
  await t.advance("1m");

  expect(await run.get()).toMatchObject({
    ...{ status: "failed", attempt: 1 },
    error: {
      name: "JournalFull",
      message: `run "${run.id}" asks for more than 3 steps, sleeps, waits and children; trigger a run that goes on from here, and end this one; or raise the setting "steps"`,
    },
  });
  expect(called).toEqual(["a", "b", "c"]);
});

test("of calls that go beyond it together, none begins", async () => {
  const called: number[] = [];
  const job = aJob((ctx) => Promise.all([1, 2, 3].map((n) => ctx.step(`s${n}`, () => called.push(n)))));
  await using t = await testRuntime({ jobs: [job], steps: 2 });

  const run = await job.trigger();
  await t.idle();

  await expect(run.result()).rejects.toThrow("asks for more than 2 steps");
  expect(called).toEqual([]);
});

test("ends of children do not count", async () => {
  const child = defineJob({ id: "child", schema: z.int(), handler: (n) => n });
  const job = aJob(async () => (await child.batchTriggerAndWait([1, 2, 3].map((payload) => ({ payload })))).length);
  await using t = await testRuntime({ jobs: [job, child], steps: 1 });

  const run = await job.trigger();
  await t.idle();

  expect(await run.result()).toBe(3);
});

test("a result that is too large fails its step at once, by name, and the handler may go on", async () => {
  let tries = 0;
  const job = aJob(async (ctx) => {
    const failed = await ctx.step("read", () => (tries++, "x".repeat(256 * 1024))).catch((error: unknown) => error);
    return [failed instanceof StepFailed && failed.message, await ctx.step("go-on", () => 1)];
  });
  await using t = await testRuntime({ jobs: [job], alwaysReplay: true });

  const run = await job.trigger();
  await t.idle();

  expect(await run.result()).toEqual([
    `step "read" failed after 1 try: step "read" is larger than 256 KiB; store it elsewhere and pass its id`,
    1,
  ]);
  expect(tries).toBe(1);
});

test.each([
  ["a step", (ctx: Context, large: string) => ctx.step("large", () => large)],
  [
    "ctx.tx",
    (ctx: Context, large: string) =>
      ctx.tx(
        (work) => work({}),
        () => large,
        { name: "large" },
      ),
  ],
])("results of 32 MiB together are the most: %s that goes beyond fails", async (_, keep) => {
  const large = "x".repeat(255 * 1024);
  const job = aJob(async (ctx) => {
    for (let i = 0; i < 150; i++) await keep(ctx, large);
  });
  await using t = await testRuntime({ jobs: [job] });

  const run = await job.trigger();
  await t.idle();

  const { error, status } = await runs.get(run.id).then((found) => found!);
  expect(status).toBe("failed");
  expect(error!.message).toBe(
    `step "large#129" failed after 1 try: run "${run.id}" has more than 32 MiB in its journal; store results elsewhere, and return their ids`,
  );
  expect((await t.steps(run)).at(-1)).toMatchObject({ name: "large#129", tries: 1, error: { name: "JournalFull" } });
});

test("a long replay leaves others their turns", async () => {
  let turns = 0;
  let during = 0;
  const job = aJob(async (ctx) => {
    const before = turns;
    for (let i = 0; i < 2000; i++) await ctx.step(`s${i}`, () => i);
    during = turns - before;
    await ctx.waitFor("go");
  });
  await using t = await testRuntime({ jobs: [job] });
  const run = await job.trigger();
  await t.idle();

  const others = setInterval(() => turns++, 0);
  await t.signal(run, "go", null);
  await t.idle();
  clearInterval(others);

  expect(await run.result()).toBeUndefined();
  expect(during).toBeGreaterThan(3);
});
