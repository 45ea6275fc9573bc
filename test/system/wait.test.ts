/** Signals that come while a workflow is not there to hear them, on a real database. */
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { defineJob, signal, type Context } from "../../sdk/index.ts";
import { configured } from "../../sdk/client/config.ts";
import { createRuntime, type Runtime } from "../../runtime/runtime.ts";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { until } from "../kit/until.ts";
import { freshStore } from "./kit.ts";

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const jobOf = (handler: (ctx: Context) => unknown) =>
  defineJob({ id: "job", schema: z.null(), handler: (_, ctx) => handler(ctx) });

async function started(job: ReturnType<typeof jobOf>, url: string): Promise<Runtime> {
  const runtime = createRuntime({ jobs: [job], store: postgres({ url }), logger: silent });
  await runtime.start();
  onTestFinished(() => runtime.stop());
  return runtime;
}

test("a signal that came in time is taken, though no process was there until after the wait's end", async () => {
  const { url, store } = await freshStore();
  onTestFinished(configured(store));
  let endMs = 0;
  const job = jobOf((ctx) => {
    endMs ||= Date.now() + 2000;
    return ctx.waitFor("go", { timeout: "2s" });
  });
  const first = await started(job, url);
  const run = await job.trigger(null);
  await until(async () => (await store.find.list({ status: ["running"] }, {})).items.length === 0 && endMs > 0, {
    what: "it waits",
  });
  await first.stop();

  await signal(run, "go", "in time");
  await until(() => Date.now() > endMs, { what: "the wait has ended" });
  await started(job, url);

  expect(await run.result({ timeout: "20s" })).toBe("in time");
});

test("a short wait takes a signal that comes before its end", async () => {
  const { url, store } = await freshStore();
  onTestFinished(configured(store));
  let waits = false;
  const job = jobOf((ctx) => {
    waits = true;
    return ctx.waitFor("go", { timeout: "900ms" });
  });
  await started(job, url);
  const run = await job.trigger(null);
  await until(() => waits, { what: "it waits" });

  await signal(run, "go", "in time");

  expect(await run.result({ timeout: "20s" })).toBe("in time");
});

test("a wait takes a signal while a step runs", async () => {
  const { url, store } = await freshStore();
  onTestFinished(configured(store));
  let stop = (): void => undefined;
  let runs = false;
  const job = jobOf(async (ctx) => {
    const step = ctx.step("long", () => {
      runs = true;
      return new Promise<string>((resolve) => (stop = () => resolve("stopped")));
    });
    const why = await ctx.waitFor("stop");
    stop();
    return [why, await step];
  });
  await started(job, url);
  const run = await job.trigger(null);
  await until(() => runs, { what: "its step runs" });

  await signal(run, "stop", "enough");

  expect(await run.result({ timeout: "20s" })).toEqual(["enough", "stopped"]);
});
