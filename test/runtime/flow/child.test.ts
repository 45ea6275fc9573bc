/** What becomes of children that fail, and of runs that were parked. */
import { expect, test } from "vitest";
import { z } from "zod";
import { defineJob, runs } from "../../../sdk/index.ts";
import { testRuntime } from "../../../runtime/testing/index.ts";

const fragile = defineJob({
  id: "fragile",
  schema: z.number(),
  retry: { attempts: 1 },
  handler: async (n, ctx) => {
    if (n === 2) throw new Error("not two");
    await ctx.sleep("1h");
  },
});

test('failure: "cancel" cancels the other children', async () => {
  const parent = defineJob({
    id: "parent",
    schema: z.void(),
    retry: { attempts: 1 },
    handler: () => fragile.batchTriggerAndWait([{ payload: 1 }, { payload: 2 }], { failure: "cancel" }),
  });
  await using t = await testRuntime({ jobs: [parent, fragile] });

  await parent.trigger();
  await t.advance("1m");

  const { items } = await runs.list({ job: "fragile" });
  expect(items.map(({ status }) => status).toSorted()).toEqual(["canceled", "failed"]);
});

test("a child's failure that is not caught spends one attempt", async () => {
  const parent = defineJob({
    id: "parent",
    schema: z.void(),
    retry: { attempts: 3 },
    handler: () => fragile.triggerAndWait(2),
  });
  await using t = await testRuntime({ jobs: [parent, fragile] });

  const run = await parent.trigger();
  await t.advance("1m");

  expect(await run.get()).toMatchObject({ status: "failed", attempt: 1 });
});

test("a parked run goes on once its code fits again", async () => {
  let name = "charge";
  const job = defineJob({
    id: "job",
    schema: z.void(),
    handler: async (_, ctx) => {
      await ctx.step(name, () => null);
      await ctx.sleep("1h");
    },
  });
  await using t = await testRuntime({ jobs: [job] });
  const run = await job.trigger();
  await t.idle();

  name = "pay";
  await t.advance("2h");
  const parked = await run.get();
  name = "charge";
  await runs.fix(run.id);
  await t.advance("1m");

  expect(parked).toMatchObject({ status: "waiting", reason: "parked" });
  expect((await run.get())!.status).toBe("completed");
});
