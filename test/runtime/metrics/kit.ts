/** A runtime that is measured, and work that shows in all metrics. */
import { setTimeout as pause } from "node:timers/promises";
import { expect, onTestFinished } from "vitest";
import { z } from "zod";
import { metrics, type MetricsOptions } from "../../../runtime/metrics/index.ts";
import { createRuntime, type Runtime } from "../../../runtime/runtime.ts";
import { memory } from "../../../runtime/store/memory/index.ts";
import type { Guarded } from "../../../runtime/store/port.ts";
import { configure } from "../../../sdk/client/config.ts";
import { schedules } from "../../../sdk/client/schedules.ts";
import { signal } from "../../../sdk/client/signal.ts";
import type { JobSpec } from "../../../sdk/define/spec.ts";
import { snooze } from "../../../sdk/define/signal.ts";
import { defineJob } from "../../../sdk/job.ts";
import { aRun } from "../../kit/build.ts";
import { scraped, type Scraped } from "../../kit/scrape.ts";
import { until } from "../../kit/until.ts";

/** A runtime on a store in memory that is measured, to which `trigger` goes. */
export async function measured(jobs: readonly JobSpec[], options: MetricsOptions = {}, store: Guarded = memory()) {
  const runtime = createRuntime({ store, jobs, poll: "50ms", lease: "5s", sweep: "100ms" });
  configure({ store: runtime.store });
  const metered = metrics(runtime, options);
  await runtime.start();
  onTestFinished(async () => {
    metered.close();
    await runtime.stop({ grace: "0ms" });
  });
  const read = async (): Promise<readonly Scraped[]> => scraped(await metered.text()).samples;
  return { runtime, metered, read };
}

const short = { retry: { attempts: 2, delay: "1ms", jitter: false } } as const;

/** Jobs whose runs end in every way. */
export function allKinds() {
  const anything = z.any();
  const good = defineJob({ id: "good", schema: anything, hooks: { onSuccess: () => undefined }, handler: () => 1 });
  const bad = defineJob({
    ...{ id: "bad", schema: anything, queue: "mail", ...short },
    handler: () => Promise.reject(new Error("boom")),
  });
  const slow = defineJob({
    ...{ id: "slow", schema: anything, timeout: "20ms", retry: { attempts: 1 } },
    handler: () => pause(500),
  });
  const skipped = defineJob({ id: "skipped", schema: anything, handler: (_, ctx) => ctx.skip("no need") });
  let tries = 0;
  const later = defineJob({ id: "later", schema: anything, handler: () => (tries++ === 0 ? snooze("5ms") : 1) });
  const child = defineJob({ id: "child", schema: anything, handler: () => 1 });
  const parent = defineJob({
    ...{ id: "parent", schema: anything },
    handler: async (_, ctx) => {
      await child.batchTriggerAndWait([{ payload: 1 }, { payload: 2 }]);
      await ctx.waitFor("go");
    },
  });
  const ticking = defineJob({ id: "ticking", schema: z.void(), schedule: { every: "1s" }, handler: () => 1 });
  return { good, bad, slow, skipped, later, child, parent, ticking };
}

/** Ends runs in every way that there is. */
export async function work(runtime: Runtime, jobs: ReturnType<typeof allKinds>): Promise<void> {
  const { good, bad, slow, skipped, later, parent } = jobs;
  for (let i = 0; i < 3; i++) await (await good.trigger(i)).result();
  const keyed = { idempotencyKey: "once" };
  for (const payload of [1, 1, 2]) await good.trigger(payload, keyed);
  for (const job of [bad, slow]) await expect((await job.trigger(1)).result()).rejects.toThrow();
  for (const job of [skipped, later]) await (await job.trigger(1)).result();
  const waiting = await parent.trigger(1);
  await until(async () => (await runtime.store.find.list({ reason: ["signal"] })).items.length === 1, {
    what: "it waits",
  });
  await signal(waiting.id, "go", null);
  await waiting.result();
  const held = await later.trigger(1, { delay: "1h" });
  await runtime.store.add([aRun({ job: "good", ttlMs: 0, delayMs: 1 })]);
  await schedules.trigger({ job: "ticking" });
  await until(async () => (await runtime.store.find.list({ job: ["ticking"] })).items.length > 1, { what: "it ticks" });
  expect(held.id).toMatch(/^run_/);
}
