import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineJob, flow, InvalidInput, RunFailed, runs } from "../../sdk/index.ts";
import { testRuntime } from "../../runtime/testing/index.ts";

const load = defineJob({ id: "load", schema: z.string(), handler: (shop) => ({ shop, days: [1, 2, 3] }) });
const price = defineJob({ id: "price", schema: z.number(), handler: (day) => day * 100 });
const sum = defineJob({ id: "sum", schema: z.array(z.number()), handler: (all) => all.reduce((a, b) => a + b, 0) });
const print = defineJob({ id: "print", schema: z.number(), handler: (cents) => `${cents} cents` });
const note = defineJob({ id: "note", schema: z.string(), handler: (text) => text.toUpperCase() });
const all = [load, price, sum, print, note];

const report = flow({ id: "report", schema: z.object({ shop: z.string() }), queue: "reports" }, (start) =>
  start
    .then(load, ({ shop }) => shop)
    .map(price, ({ days }) => days)
    .then(sum)
    .parallel({
      printed: print,
      noted: (from) => from.then(print).then(note, (text, { results }) => `${text} of ${results.load.shop}`),
    })
    .then(note, ({ printed, noted }, { input }) => `${input.shop}: ${printed}, ${noted}`),
);

describe("a flow", () => {
  test("feeds each job with what came before", async () => {
    await using t = await testRuntime({ jobs: [...all, report], alwaysReplay: true });

    const run = await report.trigger({ shop: "x" });
    await t.advance("1m");

    expect(await run.result()).toBe("X: 600 CENTS, 600 CENTS OF X");
    const { items } = await runs.list();
    expect(items.map(({ job }) => job).toSorted()).toEqual(
      [...["load", "note", "note", "price", "price", "price", "print", "print", "report", "sum"]].toSorted(),
    );
    expect((await run.get())!.queue).toBe("reports");
  });

  test("survives a crash before any write, and makes each child once", async () => {
    const play = async (crashAt?: number): Promise<number> => {
      await using t = await testRuntime({ jobs: [...all, report] });
      if (crashAt !== undefined) t.crashAfter(crashAt);

      const run = await report.trigger({ shop: "x" });
      await t.advance("1m");

      expect(await run.result()).toBe("X: 600 CENTS, 600 CENTS OF X");
      expect((await runs.list()).items).toHaveLength(10);
      return t.writes;
    };

    const writes = await play();
    for (let at = 0; at < writes; at++) await play(at);
  });

  test("tells its structure, as plain data", () => {
    const steps = [
      { kind: "then", job: "load" },
      { kind: "map", job: "price" },
      { kind: "then", job: "sum" },
      {
        kind: "parallel",
        branches: {
          printed: [{ kind: "then", job: "print" }],
          noted: [
            { kind: "then", job: "print" },
            { kind: "then", job: "note" },
          ],
        },
      },
      { kind: "then", job: "note" },
    ];

    expect(JSON.parse(JSON.stringify(report.steps))).toEqual(steps);
    expect(report.file).toMatch(/test\/sdk\/flow\.test\.ts$/);
  });

  test("fails with the child that does not complete, at once", async () => {
    const [fails, jobs] = failing();
    await using t = await testRuntime({ jobs });

    const run = await fails.trigger([1, 2, 3]);
    await t.advance("1m");

    await expect(run.result()).rejects.toThrow(RunFailed);
    expect((await run.get())!.attempt).toBe(1);
  });

  // `failure: "cancel"` of batchTriggerAndWait fails, but cancels nobody yet
  test("cancels the others of a list with it", async () => {
    const [fails, jobs] = failing();
    await using t = await testRuntime({ jobs });

    await fails.trigger([1, 2, 3]);
    await t.advance("1m");

    const { items } = await runs.list({ job: "picky" });
    expect(items.map(({ status }) => status).toSorted()).toEqual(["canceled", "canceled", "failed"]);
  });

  test("a list may be empty", async () => {
    const none = flow({ id: "none", schema: z.array(z.number()) }, (start) => start.map(price).then(sum));
    await using t = await testRuntime({ jobs: [price, sum, none] });

    const run = await none.trigger([]);
    await t.advance("1m");

    expect(await run.result()).toBe(0);
  });
});

describe("is refused", () => {
  const options = { id: "bad", schema: z.number() };

  test.each([
    ["no chain", undefined, "a flow is made of no job"],
    ["an empty chain", (start: unknown) => start, "a flow is made of no job"],
    ["what is not a job", (start: Start) => start.then({ id: "x" }), "a part of a flow is not a job"],
    ["a feed that is not a function", (start: Start) => start.then(price, 5), "what feeds a job of a flow"],
    ["an empty branch", (start: Start) => start.parallel({ a: (from: unknown) => from }), "a flow is made of no job"],
  ])("%s", (_, chain, message) => {
    expect(() => flow(options, chain as never)).toThrow(InvalidInput);
    expect(() => flow(options, chain as never)).toThrow(message);
  });

  test("a chain that is awaited", async () => {
    let rejected: unknown;
    flow(options, (start) => {
      rejected = Promise.resolve(start as unknown).catch((error: unknown) => error);
      return start.then(price);
    });

    expect(await rejected).toMatchObject({ message: expect.stringContaining("a chain is no promise") as string });
  });

  test("a map that is fed with no list fails its run", async () => {
    const wrong = flow({ id: "wrong", schema: z.any() }, (start) => start.map(price));
    await using t = await testRuntime({ jobs: [price, wrong] });

    const run = await wrong.trigger(5);
    await t.idle();

    await expect(run.result()).rejects.toThrow('map over job "price" was not fed with a list');
  });
});

/** A flow over a list, of which one fails; and the jobs that it takes. */
function failing() {
  const picky = defineJob({
    id: "picky",
    schema: z.number(),
    retry: { attempts: 1 },
    handler: async (n, ctx) => {
      if (n === 2) throw new Error("not two");
      await ctx.sleep("1h");
    },
  });
  const fails = flow({ id: "fails", schema: z.array(z.number()) }, (start) =>
    start.parallel({ one: (from) => from.map(picky), other: (from) => from.then(price, ([n]) => n!) }),
  );
  return [fails, [picky, price, fails]] as const;
}

interface Start {
  then(job: unknown, feed?: unknown): unknown;
  parallel(branches: unknown): unknown;
}
