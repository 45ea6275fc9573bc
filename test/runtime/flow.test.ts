import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineEvent, defineJob, RunNotFound, type Context } from "../../sdk/index.ts";
import { runsOf } from "../../sdk/client/runs.ts";
import { completeOf, signalOf } from "../../sdk/client/signal.ts";
import { formatId, parseId } from "../../sdk/port/id.ts";
import { decode } from "../../sdk/port/codec.ts";
import { aBench, type Bench, deferred, moving, turns } from "./kit.ts";

const calls: string[] = [];

function aJob(handler: (payload: unknown, ctx: Context) => unknown, options: object = {}) {
  return defineJob({
    id: "flow",
    schema: z.unknown(),
    handler,
    retry: { attempts: 3, delay: "1s", jitter: false },
    ...options,
  });
}
async function aFlow(handler: (payload: unknown, ctx: Context) => unknown, options: object = {}, ...more: never[]) {
  calls.length = 0;
  const bench = await aBench({ jobs: [aJob(handler, options), ...more] });
  const id = await bench.add({ job: "flow" });
  await bench.pass(1);
  return { bench, id };
}
async function statusOf(bench: Bench, id: number) {
  const { status, reason } = await bench.get(id);
  return { status, reason };
}

describe("steps", () => {
  test("a step that was recorded is not called again by the next attempt", async () => {
    let fails = 1;
    const { bench, id } = await aFlow(async (_, ctx) => {
      const a = await ctx.step("a", () => (calls.push("a"), new Date(5)));
      if (fails-- > 0) throw new Error("between");
      return ctx.step("b", () => (calls.push("b"), a.getTime()));
    });
    await bench.pass(2000);
    expect(await statusOf(bench, id)).toEqual({ status: "completed", reason: null });
    expect(decode((await bench.get(id)).result!)).toBe(5);
    expect(calls).toEqual(["a", "b"]);
  });

  test("a failed step is tried again without spending an attempt, and holds no slot meanwhile", async () => {
    const { bench, id } = await aFlow(
      async (_, ctx) => {
        try {
          await ctx.step("a", (step) => {
            calls.push(`a${step.attempt}`);
            throw new Error("no");
          });
        } catch (error) {
          calls.push((error as Error).message);
        }
      },
      { retry: { attempts: 3, delay: "10s", backoff: "fixed", jitter: false } },
    );
    expect(await statusOf(bench, id)).toEqual({ status: "waiting", reason: "sleep" });
    expect(bench.runtime.stats().busy).toBe(0);
    await bench.pass(25_000);
    expect(calls).toEqual(["a1", "a2", "a3", 'step "a" failed after 3 tries: no']);
    expect(await bench.get(id)).toMatchObject({ status: "completed", attempt: 1 });
  });

  test("tells of each step once, as its result is stored", async () => {
    let fails = 1;
    const told: (string | undefined)[] = [];
    const bench = await aBench({
      jobs: [
        aJob(async (_, ctx) => {
          await ctx.step("a", () => 1);
          if (fails-- > 0) throw new Error("between");
          await ctx.step("b", () => 2);
        }),
      ],
    });
    bench.runtime.events.on({ types: ["step.completed"] }, (event) => {
      if ("step" in event) told.push(`${event.run} ${event.step} ${event.attempt}`);
    });
    const id = await bench.add({ job: "flow" });
    await bench.pass(2000);

    expect(told).toEqual([`${formatId(id)} a 1`, `${formatId(id)} b 2`]);
  });

  test("parallel steps, and repeated names", async () => {
    const { bench, id } = await aFlow(async (_, ctx) => Promise.all([1, 2, 3].map((n) => ctx.step("a", () => n * 2))));
    await bench.pass(10);
    expect(decode((await bench.get(id)).result!)).toEqual([2, 4, 6]);
    expect((await bench.store.flow.read(id)).map(({ key }) => key)).toEqual(["a", "a#2", "a#3"]);
  });
});

describe("shutdown", () => {
  test("a workflow is given back between two steps, and goes on where it left off", async () => {
    const first = deferred();
    const { bench, id } = await aFlow(async (_, ctx) => {
      await ctx.step("a", () => (calls.push("a"), first.promise));
      await ctx.step("b", () => calls.push("b"));
    });
    const stopping = bench.runtime.stop({ grace: "30s" });
    await turns();
    first.resolve();
    await moving(bench.clock, stopping);

    expect(calls).toEqual(["a"]);
    expect((await bench.store.flow.read(id)).map(({ key }) => key)).toEqual(["a"]);
    expect(await bench.get(id)).toMatchObject({ status: "pending", error: null });
  });
});

describe("sleeps", () => {
  test("a long sleep holds no slot, and what was before it is not done again", async () => {
    const { bench, id } = await aFlow(async (_, ctx) => {
      await ctx.step("a", () => calls.push("a"));
      await ctx.sleep("1h");
      await ctx.step("b", () => calls.push("b"));
    });
    expect(await statusOf(bench, id)).toEqual({ status: "waiting", reason: "sleep" });
    expect(bench.lines).toContainEqual(expect.objectContaining({ level: "info", message: "Run waits (sleep)" }));
    await bench.pass(3_599_000);
    expect(calls).toEqual(["a"]);
    await bench.pass(1100);
    expect(await statusOf(bench, id)).toEqual({ status: "completed", reason: null });
    expect(calls).toEqual(["a", "b"]);
  });

  test("waits do not move the instant that the run is due for; a replay has its own", async () => {
    const { bench, id } = await aFlow(async (_, ctx) => {
      const seen = [ctx.run.dueAt.getTime()];
      await ctx.sleep("1h");
      seen.push(ctx.run.dueAt.getTime());
      await ctx.waitFor("go", { timeout: "1h" });
      return [...seen, ctx.run.dueAt.getTime()];
    });
    const dueMs = bench.clock.nowMs() - 1;
    await bench.pass(7_202_000);
    const again = await runsOf(async () => bench.store).replay(formatId(id));
    await bench.pass(7_202_000);

    expect(decode((await bench.get(id)).result!)).toEqual([dueMs, dueMs, dueMs]);
    const [first, ...others] = decode((await bench.get(parseId(again.id))).result!) as readonly number[];
    expect(others).toEqual([first, first]);
    expect(first).toBeGreaterThan(dueMs + 7_000_000);
  });

  test("a short sleep stays in the process", async () => {
    const { bench, id } = await aFlow(async (_, ctx) => {
      await ctx.sleep("200ms");
      return 1;
    });
    expect(await statusOf(bench, id)).toMatchObject({ status: "leased" });
    await bench.pass(250);
    expect(await statusOf(bench, id)).toMatchObject({ status: "completed" });
    expect((await bench.get(id)).token).toBe(1);
  });
});

const approved = defineEvent({ id: "approved", schema: z.object({ by: z.string() }) });

describe("signals", () => {
  test("wakes a wait, also when it was sent before", async () => {
    const { bench, id } = await aFlow(async (_, ctx) => {
      const first = await ctx.waitFor(approved);
      await ctx.sleep("1m");
      const second = await ctx.waitFor(approved);
      return [first.by, second.by];
    });
    const send = signalOf(async () => bench.store);
    expect(await statusOf(bench, id)).toEqual({ status: "waiting", reason: "signal" });
    await send(formatId(id), approved, { by: "Ann" });
    await send(formatId(id), approved, { by: "Bob" });
    await bench.pass(61_000);
    expect(decode((await bench.get(id)).result!)).toEqual(["Ann", "Bob"]);
  });

  test("a wait times out with null", async () => {
    const { bench, id } = await aFlow(async (_, ctx) => ctx.waitFor(approved, { timeout: "5s" }));
    await bench.pass(6000);
    expect(decode((await bench.get(id)).result!)).toBe(null);
  });

  test("a token is answered once", async () => {
    let token = "";
    const { bench, id } = await aFlow(async (_, ctx) => {
      const made = await ctx.token();
      await ctx.step("mail", () => (token = made.id));
      return made.wait();
    });
    await bench.pass(10);
    await completeOf(async () => bench.store)(token, { ok: true });
    await bench.pass(1100);
    expect(decode((await bench.get(id)).result!)).toEqual({ ok: true });
    await expect(completeOf(async () => bench.store)("tok_1.x", 1)).rejects.toThrow("is not a token");
  });
});

describe("children", () => {
  const child = defineJob({ id: "child", schema: z.number(), handler: (n) => n * 10 });
  test("a parent waits without a slot, and gets typed results in order", async () => {
    const { bench, id } = await aFlow(
      async () => {
        const one = await child.triggerAndWait(1);
        const all = await child.batchTriggerAndWait([{ payload: 2 }, { payload: 3 }]);
        return [one, ...all.map((end) => (end.ok ? end.result : null))];
      },
      {},
      child as never,
    );
    await bench.pass(5000);
    expect(await statusOf(bench, id)).toEqual({ status: "completed", reason: null });
    expect(decode((await bench.get(id)).result!)).toEqual([10, 20, 30]);
  });
});

describe("versions", () => {
  test("a run that had been past a change before it was made takes the old way, a new one the new way", async () => {
    let isChanged = false;
    const handler = async (_: unknown, ctx: Context): Promise<void> => {
      if (isChanged && (await ctx.version("fee"))) await ctx.step("fee", () => calls.push("fee"));
      await ctx.step("pay", () => calls.push("pay"));
      await ctx.sleep("1h");
      if (isChanged && (await ctx.version("mail"))) await ctx.step("mail", () => calls.push("mail"));
    };
    const { bench, id } = await aFlow(handler);
    isChanged = true;
    const second = await bench.add({ job: "flow" });
    await bench.pass(3_610_000);

    expect([await statusOf(bench, id), await statusOf(bench, second)]).toEqual([
      { status: "completed", reason: null },
      { status: "completed", reason: null },
    ]);
    expect(calls).toEqual(["pay", "fee", "pay", "mail", "mail"]);
  });
});

describe("code that changed", () => {
  test("parks the run at the first step that differs, and burns no attempt", async () => {
    let renamed = false;
    const { bench, id } = await aFlow(
      async (_, ctx) => {
        await ctx.step(renamed ? "pay" : "charge", () => calls.push("charge"));
        await ctx.sleep("1h");
      },
      { retry: { attempts: 1 } },
    );
    renamed = true;
    await bench.pass(3_605_000);
    expect(await statusOf(bench, id)).toEqual({ status: "waiting", reason: "parked" });
    const { items } = await bench.store.find.attempts({ run: id });
    expect(items[0]!.error!.message).toMatch(
      /its journal goes on with step "charge" at 1 \(.*flow.test.ts:\d+\), but the code asks for step "pay"/,
    );

    renamed = false;
    const journal = await bench.store.flow.read(id);
    await bench.store.flow.mend(id, journal, journal.at(-1)!.n);
    await bench.pass(1000);
    expect(await statusOf(bench, id)).toEqual({ status: "completed", reason: null }); // its only attempt was not spent
  });
});

describe("runs.fix", () => {
  const runsOn = (bench: Bench) => runsOf(async () => bench.store);

  test("a parked run goes on under the new name of a step, or with its journal as it is once its code is back", async () => {
    for (const [back, fix] of [
      [false, { renameStep: { from: "charge", to: "pay" } }],
      [true, undefined],
    ] as const) {
      let name = "charge";
      const { bench, id } = await aFlow(async (_, ctx) => {
        await ctx.step(name, () => calls.push(name));
        await ctx.sleep("1h");
        await ctx.step("mail", () => calls.push("mail"));
      });
      name = "pay";
      await bench.pass(3_605_000);
      expect(await statusOf(bench, id)).toEqual({ status: "waiting", reason: "parked" });
      if (back) name = "charge";

      await runsOn(bench).fix(formatId(id), fix);
      await bench.pass(1000);

      expect(await statusOf(bench, id)).toEqual({ status: "completed", reason: null });
      expect(calls).toEqual(["charge", "mail"]);
    }
  });

  test("from a step on, all is done again; runs that were made there are canceled and made anew", async () => {
    const child = defineJob({
      id: "child",
      schema: z.unknown(),
      handler: async (_, ctx) => (await ctx.sleep("1h"), ctx.run.id),
    });
    const { bench, id } = await aFlow(
      async (_, ctx) => {
        await ctx.step("a", () => calls.push("a"));
        const made = child.triggerAndWait(null);
        await ctx.step("b", () => calls.push("b"));
        return made;
      },
      {},
      child as never,
    );
    await bench.pass(1000);
    const [first] = (await bench.store.flow.read(id)).flatMap(({ runs }) => runs ?? []);

    await runsOn(bench).fix(formatId(id), { from: "child" });
    await bench.pass(3_605_000);

    const { status, result } = await bench.get(id);
    expect(calls).toEqual(["a", "b", "b"]);
    expect(await statusOf(bench, first!)).toEqual({ status: "canceled", reason: "parent" });
    expect(status).toBe("completed");
    expect(decode(result!)).not.toBe(formatId(first!));
  });

  test("says why not", async () => {
    const { bench, id } = await aFlow(async (_, ctx) => {
      await ctx.step("charge", () => null);
      await ctx.sleep("1h");
    });
    const { fix } = runsOn(bench);

    await expect(fix(formatId(id), { skip: "chrage" })).rejects.toThrow(
      /is waiting, so it can't be mended; its journal has no step "chrage"; it has charge, sleep; did you mean "charge"\?/,
    );
    await bench.pass(3_605_000);
    await expect(fix(formatId(id), { skip: "charge" })).rejects.toThrow(
      /is completed, so it can't be mended; only a run that waits can be/,
    );
    await expect(fix("run_zzz", { skip: "charge" })).rejects.toThrow(RunNotFound);
  });
});
