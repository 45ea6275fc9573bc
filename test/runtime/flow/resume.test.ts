import { expect, test } from "vitest";
import { z } from "zod";
import { defineJob, type Context } from "../../../sdk/index.ts";
import { runsOf } from "../../../sdk/client/runs.ts";
import { signalOf } from "../../../sdk/client/signal.ts";
import { formatId } from "../../../sdk/port/id.ts";
import { aBench, turns } from "../kit.ts";

const child = defineJob({ id: "child", schema: z.unknown(), handler: (_, ctx) => ctx.sleep("1m") });

/** A run of this handler, and what is told of its waiting and going on. */
async function aFlow(handler: (ctx: Context) => unknown) {
  const retry = { attempts: 3, delay: "10s", backoff: "fixed", jitter: false } as const;
  const bench = await aBench({
    jobs: [defineJob({ id: "flow", schema: z.unknown(), retry, handler: (_, ctx) => handler(ctx) }), child],
  });
  const told: string[] = [];
  const types = ["run.waiting", "run.resumed", "step.completed", "run.completed", "run.retrying"] as const;
  bench.runtime.events.on({ types, jobs: ["flow"] }, (event) => {
    const { type, ...about } = event as { readonly type: string; readonly reason?: string; readonly step?: string };
    told.push(`${type.split(".")[1]} ${about.step ?? about.reason ?? ""}`.trim());
  });
  const id = await bench.add({ job: "flow" });
  await bench.pass(1);
  const send = signalOf(async () => bench.store);
  return { bench, id, told, send: (event: string, payload?: unknown) => send(formatId(id), event, payload) };
}

test("tells what a workflow goes on for, before what it does next", async () => {
  const { bench, told, send } = await aFlow(async (ctx) => {
    await ctx.sleep("1m");
    await ctx.step("a", () => null);
    await ctx.waitFor("go");
    await ctx.step("b", () => null);
    await ctx.waitFor("never", { timeout: "1m" });
    await child.triggerAndWait(null);
  });
  await bench.pass(61_000);
  await send("go");
  await bench.pass(125_000);

  expect(told).toEqual([
    ...["waiting sleep", "resumed sleep", "completed a"],
    ...["waiting signal", "resumed signal", "completed b"],
    ...["waiting signal", "resumed timeout", "waiting child", "resumed child", "completed"],
  ]);
  const lines = bench.lines.filter(
    ({ message, fields }) => message.startsWith("Run goes on") && fields["job"] === "flow",
  );
  expect(lines.map(({ message }) => message)).toEqual(
    ["sleep", "signal", "timeout", "child"].map((reason) => `Run goes on (${reason})`),
  );
});

test("a run that waits for the next try of a step goes on for its instant", async () => {
  let fails = 1;
  const { bench, told } = await aFlow((ctx) =>
    ctx.step("a", () => {
      if (fails-- > 0) throw new Error("no");
    }),
  );
  await bench.pass(11_000);

  expect(told).toEqual(["waiting sleep", "resumed sleep", "completed a", "completed"]);
});

test("a signal that is not what it waits for lets nothing go on", async () => {
  const { bench, told, send } = await aFlow(async (ctx) => {
    await ctx.sleep("1m");
    return ctx.waitFor("go", { match: (sent) => sent === 1 });
  });
  await bench.pass(61_000);
  await send("go", 2);
  await bench.pass(1000);
  await send("other");
  await bench.pass(1000);
  await send("go", 1);
  await bench.pass(1000);

  const vain = ["waiting signal", "waiting signal"];
  expect(told).toEqual(["waiting sleep", "resumed sleep", "waiting signal", ...vain, "resumed signal", "completed"]);
});

test("a parked run goes on once it is mended", async () => {
  let name = "a";
  const { bench, id, told, send } = await aFlow(async (ctx) => {
    await ctx.step(name, () => null);
    await ctx.waitFor("go");
  });
  name = "b";
  await send("go");
  await bench.pass(3000);
  await runsOf(async () => bench.store).fix(formatId(id), { renameStep: { from: "a", to: "b" } });
  await bench.pass(1000);

  expect(told).toEqual(["completed a", "waiting signal", "waiting parked", "resumed parked", "completed"]);
});

test("an attempt after one that failed, or crashed, does not count as going on", async () => {
  let fails = 1;
  const { bench, told } = await aFlow(async (ctx) => {
    await ctx.sleep("1m");
    if (fails-- > 0) throw new Error("no");
  });
  await bench.pass(75_000);
  await turns();

  expect(told).toEqual(["waiting sleep", "resumed sleep", "retrying error", "completed"]);
});
