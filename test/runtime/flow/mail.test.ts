/** What is sent to a run that a process has: taken at once, though nothing in the store is due. */
import { expect, test } from "vitest";
import { z } from "zod";
import { defineJob, type Context } from "../../../sdk/index.ts";
import { signalOf } from "../../../sdk/client/signal.ts";
import { decode } from "../../../sdk/port/codec.ts";
import { formatId } from "../../../sdk/port/id.ts";
import type { NewRun } from "../../../sdk/port/target.ts";
import { aBench, deferred, turns } from "../kit.ts";

const child = defineJob({ id: "child", schema: z.unknown(), handler: () => "made" });

async function aFlow(handler: (ctx: Context) => unknown, run: Partial<NewRun> = {}) {
  const bench = await aBench({
    jobs: [defineJob({ id: "flow", schema: z.unknown(), handler: (_, ctx) => handler(ctx) }), child],
  });
  const id = await bench.add({ job: "flow", ...run });
  await bench.pass(1);
  const send = signalOf(async () => bench.store);
  return {
    bench,
    id,
    /** Sends, and lets the process react; the clock stands. */
    async send(event: string, payload: unknown): Promise<void> {
      await send(formatId(id), event, payload);
      await turns();
    },
    async end() {
      const { status, result } = await bench.get(id);
      return [status, result && decode(result)];
    },
  };
}

test("a wait that was leased ahead of its time limit takes a signal at once", async () => {
  const { bench, id, send, end } = await aFlow((ctx) => ctx.waitFor("go", { timeout: "1m" }));
  await bench.pass(58_500);
  const ahead = await bench.get(id);

  await send("go", 7);

  expect(ahead.status).toBe("leased");
  expect(await end()).toEqual(["completed", 7]);
  const { startedAt, finishedAt } = await bench.get(id);
  expect(startedAt!.getTime()).toBeLessThanOrEqual(finishedAt!.getTime());
  expect(bench.runtime.stats()).toMatchObject({ busy: 0, heap: 0 });
});

test("one that it does not take leaves the time limit as it was", async () => {
  const { bench, send, end } = await aFlow((ctx) => ctx.waitFor("go", { timeout: "1m" }));
  await bench.pass(58_500);

  await send("other", 7);
  const early = await end();
  await bench.pass(2000);

  expect(early[0]).not.toBe("completed");
  expect(await end()).toEqual(["completed", null]);
});

test("a wait beside a running step takes signals and ends of children at once", async () => {
  const work = deferred();
  const got: unknown[] = [];
  const { send, end } = await aFlow(async (ctx) =>
    Promise.all([
      ctx.waitFor("go").then((sent) => got.push(sent)),
      child.triggerAndWait(null).then((made) => got.push(made)),
      ctx.step("work", () => work.promise),
    ]),
  );
  await turns();

  await send("go", 7);
  const beside = [...got];
  work.resolve();
  await turns();

  expect(beside.toSorted()).toEqual([7, "made"]);
  expect((await end())[0]).toBe("completed");
});

test("a signal starts no run before its instant that waits for nothing else", async () => {
  const { bench, send, end } = await aFlow((ctx) => ctx.waitFor("go"), { delayMs: 1500 });

  await send("go", 7);
  const early = await end();
  await bench.pass(2000);

  expect(early).toEqual(["leased", null]);
  expect(await end()).toEqual(["completed", 7]);
});
