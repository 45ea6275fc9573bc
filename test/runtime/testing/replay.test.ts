import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineService, runs, type Context, type History } from "../../../sdk/index.ts";
import { defineJob } from "../../../sdk/job.ts";
import type { JobSpec } from "../../../sdk/define/spec.ts";
import { replay, testRuntime } from "../../../runtime/testing/index.ts";

type Handler = (payload: { readonly at: Date }, ctx: Context) => unknown;

function aJob(
  handler: Handler,
  options: object = {},
): JobSpec & { trigger(payload: unknown): Promise<{ id: string }> } {
  return defineJob({ id: "order", schema: z.object({ at: z.date() }), handler, retry: { attempts: 1 }, ...options });
}

/** The history of a run that this handler had, as it comes out of a file. */
async function historyOf(handler: Handler, ...more: JobSpec[]): Promise<History> {
  const job = aJob(handler);
  await using t = await testRuntime({ jobs: [job, ...more] });
  const run = await job.trigger({ at: new Date(5) });
  await t.advance("1h");
  return JSON.parse(JSON.stringify(await runs.history(run.id))) as History;
}

const steps = async (_: unknown, ctx: Context): Promise<unknown> => {
  const price = await ctx.step("price", () => new Map([["eur", 7]]));
  await ctx.sleep("10m");
  await ctx.step("charge", () => price.get("eur"));
  await ctx.waitFor("shipped", { timeout: "3d" });
  return ctx.step("mail", () => "sent");
};

describe("replay", () => {
  test("calls no step, and finds no fault with the code that wrote the journal", async () => {
    const history = await historyOf(steps);
    const seen: unknown[] = [];

    const replayed = await replay(
      history,
      aJob(async ({ at }, ctx) => {
        const price = await ctx.step("price", () => seen.push("price") as never as Map<string, number>);
        await ctx.sleep("10m");
        await ctx.step("charge", () => seen.push("charge"));
        seen.push(at, price, ctx.run.id);
        await ctx.waitFor("shipped");
      }),
    );

    expect(history.run).toMatchObject({ id: "run_1", status: "waiting", createdAt: "2030-01-01T00:00:00.000Z" });
    expect(history.entries.map(({ n, kind, key }) => [n, kind, key])).toEqual([
      [1, "step", "price"],
      [2, "sleep", "sleep"],
      [3, "step", "charge"],
      [4, "wait", "shipped"],
    ]);
    expect(replayed).toEqual({ diverged: null, error: null });
    expect(seen).toEqual([new Date(5), new Map([["eur", 7]]), "run_1"]);
  });

  test("names the first entry that the code does not ask for, with both places", async () => {
    const history = await historyOf(steps);

    const { diverged } = await replay(
      history,
      aJob(async (_, ctx) => {
        await ctx.step("price", () => null);
        await ctx.step("reserve", () => null);
      }),
    );

    expect(diverged).toMatchObject({ name: "Diverged" });
    expect(diverged!.message).toMatch(
      /goes on with sleep "sleep" at 2 \(testing\/replay.test.ts:\d+\), but the code asks for step "reserve" \(testing\/replay/,
    );
  });

  test("a handler that ends too early diverges, one that throws tells why", async () => {
    const history = await historyOf(steps);

    const early = await replay(
      history,
      aJob((_, ctx) => ctx.step("price", () => null)),
    );
    const broken = await replay(
      history,
      aJob(() => Promise.reject(new TypeError("oops"))),
    );

    expect(early.diverged!.message).toContain('sleep "sleep" at 2');
    expect(early.diverged!.message).toContain("the handler ended without it");
    expect(broken).toMatchObject({ diverged: null, error: { name: "TypeError", message: "oops" } });
  });

  test("code that asks for more at the end goes on, which is fine", async () => {
    const called: string[] = [];
    const history = await historyOf((_, ctx) => ctx.step("one", () => 1));

    for (const more of [
      (ctx: Context) => ctx.step("two", () => called.push("two")),
      (ctx: Context) => ctx.sleep("1d"),
      (ctx: Context) => ctx.sleep("5ms"),
      (ctx: Context) => ctx.waitFor("news"),
      (ctx: Context) => ctx.token(),
      (ctx: Context) =>
        ctx.tx(
          async (work: (tx: string) => Promise<void>) => work("tx"),
          () => called.push("tx"),
        ),
    ]) {
      const job = aJob(async (_, ctx) => {
        await ctx.step("one", () => called.push("one"));
        return more(ctx);
      });
      expect(await replay(history, job)).toEqual({ diverged: null, error: null });
    }

    expect(history.run.status).toBe("completed");
    expect(called).toEqual([]);
  });

  test("a planned change is told by ctx.version", async () => {
    const history = await historyOf(steps);

    const replayed = await replay(
      history,
      aJob(async (_, ctx) => {
        await ctx.step("price", () => null);
        if (await ctx.version("reserve-first")) await ctx.step("reserve", () => null);
        await ctx.sleep("10m");
        await ctx.step("charge", () => null);
        await ctx.waitFor("shipped");
      }),
    );

    expect(replayed).toEqual({ diverged: null, error: null });
  });

  test("children, signals and failed steps are played, too", async () => {
    const child = defineJob({ id: "child", schema: z.number(), handler: (n) => n * 2 });
    const handler: Handler = async (_, ctx) => {
      const doubled = await child.triggerAndWait(4);
      const failed = await ctx
        .step("broken", () => Promise.reject(new RangeError("no")), { retry: { attempts: 1 } })
        .catch((error: Error) => (error.cause as Error).message);
      return [doubled, failed];
    };
    const history = await historyOf(handler, child);
    let seen: unknown;

    const replayed = await replay(
      history,
      aJob(async (payload, ctx) => (seen = await handler(payload, ctx))),
    );

    expect(replayed).toEqual({ diverged: null, error: null });
    expect(seen).toEqual([8, "no"]);
  });

  test("hooks are not called, triggers beside steps go nowhere, services are opened unless their values are given", async () => {
    const history = await historyOf(steps);
    const done: string[] = [];
    const mailer = defineService({ name: "mailer", open: () => (done.push("opened"), "real") });
    const job = aJob(
      async (_, ctx) => {
        done.push((ctx as Context & { mailer: string }).mailer);
        await job.trigger({ at: new Date(0) });
        return steps(_, ctx);
      },
      { use: [mailer], hooks: { onStart: () => done.push("hook") } },
    );

    const real = await replay(history, job);
    const given = await replay(history, job, { context: { mailer: "fake" } });

    expect([real, given]).toEqual(Array(2).fill({ diverged: null, error: null }));
    expect(done).toEqual(["opened", "real", "fake"]);
  });
});
