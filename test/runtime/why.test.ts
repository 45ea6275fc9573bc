import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { runsOf } from "../../sdk/client/runs.ts";
import { signalOf } from "../../sdk/client/signal.ts";
import { triggerOf } from "../../sdk/client/trigger.ts";
import type { Why } from "../../sdk/client/why.ts";
import type { Context } from "../../sdk/define/context.ts";
import { defineJob } from "../../sdk/job.ts";
import { createRuntime, type Runtime } from "../../runtime/runtime.ts";
import { memory } from "../../runtime/store/memory/index.ts";
import { postgres } from "../../runtime/store/postgres/index.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import { freshDatabase, type Database } from "../kit/database.ts";
import { until } from "../kit/until.ts";
import { deferred } from "./kit.ts";

let database: Database;
beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database.drop());

/** What the job `flow` does now. */
let code: (ctx: Context) => Promise<unknown>;
let held = deferred();
const retry = { attempts: 5, delay: "40s", backoff: "fixed", jitter: false } as const;
const flow = defineJob({ id: "flow", schema: z.unknown(), retry, handler: (_, ctx) => code(ctx) });
const part = defineJob({
  id: "part",
  schema: z.number(),
  handler: (n, ctx) => (n < 2 ? n : ctx.sleep("1h")),
});
const hold = defineJob({
  id: "hold",
  schema: z.unknown(),
  queue: "narrow",
  handler: async (_, { progress }) => {
    progress(40, "of 100 rows");
    await held.promise;
  },
});

const stores: Readonly<Record<string, () => Guarded>> = {
  memory: () => memory(),
  postgres: () => postgres({ url: database.url }),
};

describe.each(Object.entries(stores))("on the %s store", (_name, store) => {
  let runtime: Runtime;
  beforeAll(async () => {
    held = deferred();
    const queues = { narrow: { concurrency: 1 } };
    runtime = createRuntime({ store: store(), jobs: [flow, part, hold], name: "host:1", slots: 10, queues });
    await runtime.start();
  });
  afterAll(async () => {
    held.resolve();
    await runtime.stop();
  });
  const open = async (): Promise<Runtime["store"]> => runtime.store;
  const [trigger, runs, signal] = [triggerOf(open), runsOf(open), signalOf(open)];

  /** Runs code as a workflow, until this is the reason for where it stands. */
  async function reached(by: typeof code, wanted: Why["because"]["code"]): Promise<Why> {
    code = by;
    const { id } = await trigger("flow", null);
    return because(id, wanted);
  }
  const because = (id: string, wanted: Why["because"]["code"]): Promise<Why> =>
    until(
      async () => {
        const why = await runs.why(id);
        return why.because.code === wanted ? why : null;
      },
      { what: `${id} to be ${wanted}`, timeoutMs: 15_000 },
    );

  test("a run that waits for a signal says its name, until when, and how it is sent", async () => {
    const { run, text, because, at } = await reached((ctx) => ctx.waitFor("paid", { timeout: "3d" }), "signal");

    expect(text).toMatch(/^It waits for signal "paid", at most until 20\S+Z \(in (3d|2d 23h)\); send it with: /);
    expect(text.endsWith(` tasker signal ${run} paid`)).toBe(true);
    expect(because).toMatchObject({ names: ["paid"], token: false });
    expect((because as { until: Date }).until.getTime() - at.getTime()).toBeGreaterThan(3 * 86_300_000);
  });

  test("of several waits the names are told once each, and the secret of a token is not", async () => {
    const { run, text, because } = await reached(async (ctx) => {
      const token = await ctx.token();
      return Promise.race([ctx.waitFor("a"), ctx.waitFor("b"), ctx.waitFor("a"), token.wait()]);
    }, "signal");

    expect(text).toBe(
      `It waits for signal "a" or "b" or the answer to a token; send it with: tasker signal ${run} a, or tasker complete TOKEN`,
    );
    expect(because).toEqual({ code: "signal", names: ["a", "b"], token: true, until: null });
  });

  test("a run that sleeps says until when, and under which name", async () => {
    const named = await reached((ctx) => ctx.sleep("cool", "1h"), "sleep");
    const plain = await reached((ctx) => ctx.sleep("1h"), "sleep");

    expect(named.text).toMatch(/^It sleeps \("cool"\) and wakes in (1h|59m \d+s), at 20\S+Z$/);
    expect(plain.text).toMatch(/^It sleeps and wakes in (1h|59m \d+s), at 20\S+Z$/);
  });

  test("a run whose step failed says which, and after which error it is tried again", async () => {
    const { text, because } = await reached(
      (ctx) => ctx.step("charge", () => Promise.reject(new Error("card declined"))),
      "step",
    );

    expect(text).toMatch(
      /^Its step "charge" failed and is tried again in (40|39(\.\d)?)s, at 20\S+Z, after this error: Error: card declined$/,
    );
    expect(because).toMatchObject({ name: "charge", error: { name: "Error", message: "card declined" } });
  });

  test("a run that waits for runs that it made says which of them have not ended", async () => {
    const items = [0, 1, 2, 3, 4, 5].map((payload) => ({ payload }));
    const { run } = await reached(() => part.batchTriggerAndWait(items), "child");
    const { text, because } = await until(
      async () => {
        const why = await runs.why(run);
        return why.text.includes("4 of the 6") && why.text.split("(waiting)").length > 3 ? why : null;
      },
      { what: "two children to end" },
    );

    expect(text).toMatch(
      /^It waits for 4 of the 6 runs that it made: run_\w+ \(waiting\), run_\w+ \(waiting\), run_\w+ \(waiting\) and 1 more; look into one with: tasker why run_\w+$/,
    );
    expect(because).toMatchObject({ ended: 2, count: 6, runs: [{}, {}, {}, { status: "waiting" }] });
  });

  test("a run whose code does not fit its journal says what differs, and how that is mended", async () => {
    const { run } = await reached(async (ctx) => {
      await ctx.step("charge", () => 1);
      await ctx.waitFor("paid");
    }, "signal");
    code = async (ctx) => {
      await ctx.step("pay", () => 1);
      await ctx.waitFor("paid");
    };
    await signal(run, "paid", null);

    const { text, because: found } = await because(run, "parked");

    expect(text).toMatch(
      /^It is parked: run "run_\w+" can't be replayed: its journal goes on with step "charge" .*, with: tasker runs fix run_\w+ \[--rename-step old=new \|/,
    );
    expect(found).toMatchObject({ error: { name: "Diverged" } });
  });

  test("a run that failed and is tried again says when, and after which error", async () => {
    const { text } = await reached(() => Promise.reject(new Error("no route")), "retrying");

    expect(text).toMatch(/^Attempt 2 of 5 starts in (40|39(\.\d)?)s, at 20\S+Z, after this error: Error: no route$/);
  });

  test("a run that has just started says that it runs; one that finds its queue full, which run has the place", async () => {
    const { id, why } = await trigger("hold", null, { idempotencyKey: "first" });
    const first = await because(id, "running");
    const second = await trigger("hold", null);
    const { text } = await because(second.id, "full");
    await until(async () => (await why()).text.includes("progress"), { what: "progress to be stored" });

    expect(first.text).toMatch(/^Node "host:1" has been running it for /);
    expect((await runs.why({ job: "hold", key: "first" })).text).toMatch(
      /^Node "host:1" has been running it for \S+ \(progress 40, of 100 rows\)$/,
    );
    expect(text).toBe(`The one place of queue "narrow" on node "host:1" is taken, by ${id}`);
  });

  test("there is no reason for a run that is not there", async () => {
    await expect(runs.why("run_zzzzzz")).rejects.toMatchObject({ code: "RUN_NOT_FOUND" });
  });
});
