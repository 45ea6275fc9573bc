/** Calls of one name, whose order changes from one replay to the next. */
import { expect, test } from "vitest";
import { z } from "zod";
import { defineJob, type Context } from "../../../sdk/index.ts";
import { runsOf } from "../../../sdk/client/runs.ts";
import { signalOf } from "../../../sdk/client/signal.ts";
import type { Entry } from "../../../sdk/port/flow.ts";
import { notesOf, toData } from "../../../sdk/port/note.ts";
import { formatId } from "../../../sdk/port/id.ts";
import { aBench, turns } from "../kit.ts";

/** How long each of the things that are not durable takes, in turns of the event loop. */
let delays: readonly number[] = [];
/** Which branch got what. */
let got: string[] = [];
/** Whether an attempt is to fail once the quicker branch is over. */
let fails = false;

const passing = (count: number): Promise<void> => (count === Infinity ? new Promise(() => undefined) : turns(count));

const branches = async (ctx: Context): Promise<void> => {
  const one = async (): Promise<void> => {
    await passing(delays[0]!);
    got.push(`one ${await ctx.step("price", () => "first")}`);
  };
  const two = async (): Promise<void> => {
    await passing(delays[1]!);
    got.push(`two ${await ctx.step("price", () => "second")}`);
  };
  const failing = async (): Promise<void> => {
    await turns(8);
    throw new Error("no");
  };
  await Promise.all([one(), two(), fails && failing()]);
  await ctx.waitFor("go");
};

async function aFlow(handler: (ctx: Context) => unknown) {
  got = [];
  const bench = await aBench({
    jobs: [
      defineJob({
        id: "flow",
        schema: z.unknown(),
        retry: { attempts: 2, delay: "1s" },
        handler: (_, ctx) => handler(ctx),
      }),
    ],
  });
  const id = await bench.add({ job: "flow" });
  await bench.pass(1);
  const send = signalOf(async () => bench.store);
  return {
    bench,
    id,
    async wake(): Promise<void> {
      got = [];
      await send(formatId(id), "go", null);
      await bench.pass(3000);
    },
    async status() {
      const { status, reason } = await bench.get(id);
      return [status, reason];
    },
    /** Changes what the entries say beside their values, as other code would have written it. */
    async rewrite(change: (notes: ReturnType<typeof notesOf>) => object): Promise<void> {
      const entries = await bench.store.flow.read(id);
      const other = entries.map((entry): Entry => ({
        ...entry,
        data: toData({ ...notesOf(entry), ...change(notesOf(entry)) }),
      }));
      await bench.store.flow.mend(id, other, entries.at(-1)!.n);
      await bench.pass(1000);
    },
  };
}

test("an answer is given to no other place of the same code: the run is parked, with both places", async () => {
  delays = [1, 4];
  const { bench, id, wake, status } = await aFlow(branches);
  const first = got;

  delays = [4, 1];
  await wake();

  expect(first).toEqual(["one first", "two second"]);
  expect(got).toEqual([]);
  expect(await status()).toEqual(["waiting", "parked"]);
  const { items } = await bench.store.find.attempts({ run: id });
  expect(items[0]!.error).toMatchObject({
    name: "CallsMixed",
    message: expect.stringMatching(
      /step "price" was recorded at flow\/mixed\.test\.ts:(\d+), and the same code asks for it at flow\/mixed\.test\.ts:(?!\1)\d+ now; .* names of their own/,
    ),
  });

  delays = [1, 4];
  await runsOf(async () => bench.store).fix(formatId(id));
  await bench.pass(1000);
  expect(got).toEqual(["one first", "two second"]);
  expect(await status()).toEqual(["completed", null]);
});

test("also if only one of the calls had been recorded, and the other is asked for first now", async () => {
  let isSwapped = false;
  const { bench, wake, id, status } = await aFlow(async (ctx) => {
    const one = async () => void got.push(`one ${await ctx.step("price", () => "first")}`);
    const two = async () => void got.push(`two ${await ctx.step("price", () => "second")}`);
    if (isSwapped) return Promise.all([two(), one()]);
    await one();
    await ctx.waitFor("go");
    return two();
  });
  expect((await bench.store.flow.read(id)).map(({ key }) => key)).toEqual(["price", "go"]);

  isSwapped = true;
  await wake();

  expect(got).toEqual([]);
  expect(await status()).toEqual(["waiting", "parked"]);
});

test("what can be told only later parks the run then", async () => {
  [delays, fails] = [[1, Infinity], true];
  const { bench, status } = await aFlow(branches);
  await turns();
  const first = got;

  [delays, fails, got] = [[6, 1], false, []];
  await bench.pass(3000);

  expect([first, got]).toEqual([["one first"], ["two first"]]);
  expect(await status()).toEqual(["waiting", "parked"]);
});

test("one of two places that never both ask may take the answer of the other", async () => {
  let isChanged = false;
  const { wake, status } = await aFlow(async (ctx) => {
    const price = isChanged ? await ctx.step("price", () => "new") : await ctx.step("price", () => "old");
    got.push(price);
    await ctx.waitFor("go");
  });

  isChanged = true;
  await wake();

  expect(got).toEqual(["old"]);
  expect(await status()).toEqual(["completed", null]);
});

test.each([
  ["of steps side by side", (ctx: Context) => Promise.all([1, 2, 3].map((n) => ctx.step("price", () => n)))],
  [
    "of sleeps one after the other",
    async (ctx: Context) => {
      for (let n = 0; n < 3; n++) await ctx.sleep("2s");
    },
  ],
])("a loop %s asks in one place", async (_, loop) => {
  const { bench, wake, status } = await aFlow(async (ctx) => {
    await loop(ctx);
    await ctx.waitFor("go");
  });
  await bench.pass(10_000);
  const waits = await status();
  await wake();

  expect(waits).toEqual(["waiting", "signal"]);
  expect(await status()).toEqual(["completed", null]);
});

test.each([
  ["another code wrote it: its lines may have moved", { code: "older!" }],
  ["nobody knows which code wrote it", { code: undefined }],
])("a place is not compared where %s", async (_, other) => {
  delays = [1, 4];
  const { wake, rewrite, status } = await aFlow(branches);
  await rewrite(({ at }) => ({ at: at?.replace(/\d+$/, (line) => `${Number(line) + 4}`), ...other }));

  await wake();

  expect(got).toEqual(["one first", "two second"]);
  expect(await status()).toEqual(["completed", null]);
});
