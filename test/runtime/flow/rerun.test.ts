import { expect, test } from "vitest";
import { z } from "zod";
import { defineJob, type Context } from "../../../sdk/index.ts";
import { runsOf } from "../../../sdk/client/runs.ts";
import type { ReplayOptions } from "../../../sdk/client/replay.ts";
import { completeOf, signalOf } from "../../../sdk/client/signal.ts";
import { decode } from "../../../sdk/port/codec.ts";
import { formatId, parseId } from "../../../sdk/port/id.ts";
import { aBench, type Bench } from "../kit.ts";

/** What steps did, and in which run. */
const calls: string[] = [];
const child = defineJob({
  id: "child",
  schema: z.unknown(),
  handler: (payload) => (calls.push(`child ${String(payload)}`), `made of ${String(payload)}`),
});

async function bench(handler: (payload: unknown, ctx: Context) => unknown): Promise<Bench> {
  calls.length = 0;
  return aBench({ jobs: [defineJob({ id: "flow", schema: z.unknown(), handler }), child] });
}
async function replayed(on: Bench, id: number, options: ReplayOptions): Promise<number> {
  const { id: again } = await runsOf(async () => on.store).replay(formatId(id), options);
  await on.pass(1000);
  return parseId(again);
}
async function endOf(on: Bench, id: number) {
  const { status, reason, result } = await on.get(id);
  return [status, reason, result && decode(result)];
}

test("a finished run is run again from a step, with another payload: what came before is not called again", async () => {
  const on = await bench(async (payload, ctx) => {
    const rate = await ctx.step("rate", () => (calls.push("rate"), new Date(7)));
    const [part] = await child.batchTriggerAndWait([{ payload: "part" }]);
    return ctx.step("sum", () => (calls.push("sum"), [rate.getTime(), part!.ok && part!.result, payload]));
  });
  const id = await on.add({ job: "flow", input: { json: '"old"', meta: null } });
  await on.pass(1000);

  const again = await replayed(on, id, { from: "sum", payload: "new" });

  expect(await endOf(on, id)).toEqual(["completed", null, [7, "made of part", "old"]]);
  expect(await endOf(on, again)).toEqual(["completed", null, [7, "made of part", "new"]]);
  expect(calls).toEqual(["rate", "child part", "sum", "sum"]);
  expect(await on.get(again)).toMatchObject({ replayOf: id, attempt: 1, key: null });
});

test("a live run goes on beside the one that was made of it, and what waited begins anew in that", async () => {
  const on = await bench(async (_, ctx) => {
    const [, answer] = await Promise.all([
      ctx.step("first", () => calls.push("first")).then(() => ctx.step("second", () => calls.push("second"))),
      ctx.waitFor("go", { timeout: "1h" }),
    ]);
    return answer;
  });
  const id = await on.add({ job: "flow" });
  await on.pass(600_000);
  const send = signalOf(async () => on.store);

  const again = await replayed(on, id, { from: "second" });
  await send(formatId(id), "go", 1);
  await on.pass(3_100_000); // past the time limit of the old run

  expect(await endOf(on, id)).toEqual(["completed", null, 1]);
  expect(await endOf(on, again)).toEqual(["waiting", "signal", null]);
  await on.pass(600_000);
  expect(await endOf(on, again)).toEqual(["completed", null, null]);
  expect(calls).toEqual(["first", "second", "second"]);
});

test("answers that had come stay, and later ones go to the run that they are sent to", async () => {
  const links: string[] = [];
  const on = await bench(async (_, ctx) => {
    const token = await ctx.token();
    await ctx.step("ask", () => links.push(token.id));
    const first = await ctx.waitFor("go");
    const second = await token.wait();
    await ctx.step("note", () => calls.push("note"));
    return [first, second, await ctx.waitFor("end")];
  });
  const id = await on.add({ job: "flow" });
  await on.pass(1000);
  const [send, complete] = [signalOf(async () => on.store), completeOf(async () => on.store)];
  await send(formatId(id), "go", 1);
  await complete(links[0]!, 2);
  await on.pass(1000);
  await send(formatId(id), "end", 3);
  await on.pass(1000);

  const again = await replayed(on, id, { from: "note" });
  expect(await endOf(on, again)).toEqual(["waiting", "signal", null]);
  await send(formatId(again), "end", 4);
  await on.pass(1000);
  const open = await replayed(on, id, { from: "go" }); // before the answer to the token, whose link names the old run

  expect(await endOf(on, id)).toEqual(["completed", null, [1, 2, 3]]);
  expect(await endOf(on, again)).toEqual(["completed", null, [1, 2, 4]]);
  expect(await endOf(on, open)).toEqual(["waiting", "signal", null]);
  expect(links).toHaveLength(1);
  await replayed(on, id, { from: "ask" });
  expect(links).toHaveLength(2);
});

test("a run that was made so is retried, canceled and replayed as any other, and leaves the old one's children alone", async () => {
  let fails = true;
  const on = await bench(async (_, ctx) => {
    const made = await child.triggerAndWait("part");
    await ctx.step("late", () => {
      if (fails) throw new Error("no");
    });
    await ctx.sleep("1h");
    return made;
  });
  const id = await on.add({ job: "flow", options: { retry: { attempts: 1 } } });
  await on.pass(1000);
  const verbs = runsOf(async () => on.store);

  const failed = await replayed(on, id, { from: "late" });
  fails = false;
  await verbs.retry(formatId(failed));
  await on.pass(1000);
  const third = await replayed(on, failed, { from: "sleep" });
  await verbs.cancel(formatId(third));
  await verbs.resume(formatId(third));
  await on.pass(3_601_000);

  expect(await endOf(on, id)).toEqual(["failed", "error", null]);
  for (const each of [failed, third]) expect(await endOf(on, each)).toEqual(["completed", null, "made of part"]);
  expect(calls).toEqual(["child part"]);
});
