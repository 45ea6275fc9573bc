import { describe, expect, test } from "vitest";
import { z } from "zod";
import type { JobOptions } from "../../sdk/define/job.ts";
import { defineJob } from "../../sdk/job.ts";
import type { Context, ContextSchedule } from "../../sdk/define/context.ts";
import type { JobSpec } from "../../sdk/define/spec.ts";
import type { ScheduleRecord } from "../../sdk/port/target.ts";
import type { Event } from "../../sdk/port/event.ts";
import { createRuntime, type Runtime } from "../../runtime/runtime.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import { memory } from "../../runtime/store/memory/index.ts";
import { fakeClock } from "../../runtime/testing/clock.ts";
import { testRuntime } from "../../runtime/testing/index.ts";
import { aBench, deferred, idleBench, moving, turns, type Bench } from "./kit.ts";

type Schedule = NonNullable<JobOptions<"clean", z.ZodAny, undefined, [], unknown>["schedule"]>;

/** A job that notes the ticks that it runs for. */
function ticker(schedule: Schedule, act: (ctx: Context) => unknown = () => undefined) {
  const seen: ContextSchedule[] = [];
  const job = defineJob({
    id: "clean",
    schema: z.any(),
    schedule,
    handler: (_payload, ctx) => {
      if (ctx.schedule) seen.push(ctx.schedule);
      return act(ctx);
    },
  });
  return { job, seen, ticks: () => seen.map(({ tick }) => tick.toISOString().slice(11, 19)) };
}

async function only(bench: Bench): Promise<ScheduleRecord> {
  const { items } = await bench.store.schedules.list({});
  expect(items).toHaveLength(1);
  return items[0]!;
}

test("a step of the store's clock is said, and counts as time when nobody was up", async () => {
  const clock = fakeClock();
  let byMs = 0;
  const store = memory({ now: () => clock.nowMs() + byMs });
  const { job, ticks } = ticker({ cron: "* * * * * *" });
  const bench = idleBench({ jobs: [job] }, () => store, clock);
  await bench.runtime.start();
  await bench.pass(3000);

  byMs = 3_600_000;
  await bench.pass(5000);

  expect(ticks()[0]).toBe("00:00:01");
  expect(ticks().at(-1)).toBe("01:00:08");
  expect(ticks().length).toBeLessThan(10);
  const said = bench.lines.filter(({ message }) => message.includes("clock was set"));
  expect(said.map(({ fields }) => fields)).toEqual([{ by: "1h" }]);
});

describe("a declared schedule", () => {
  test("replaces parts of its job's policy for its own runs, and another policy moves no tick", async () => {
    let tries = 0;
    const fail = (): never => {
      tries++;
      throw new Error("boom");
    };
    const rule = { every: "10m", retry: { attempts: 2, delay: "1s", jitter: false } } as const;
    const bench = await aBench({ jobs: [ticker(rule, fail).job] });
    const before = (await only(bench)).nextAt;
    bench.runtime.unregister("clean");
    bench.runtime.register(ticker({ ...rule, retry: { ...rule.retry, attempts: 4 } }, fail).job);
    await turns();
    await bench.runtime.store.schedules.list({});

    const after = await only(bench);
    await bench.pass(620_000);

    expect(after).toMatchObject({ nextAt: before, rule: { retry: { attempts: 4, delayMs: 1000, jitter: false } } });
    expect(tries).toBe(4);
  });

  test.each([
    [{ attempts: 0 }, /retry.attempts "0" is not a whole number from 1 to 1000/],
    [{ attempt: 2 }, /retry has no option "attempt"; did you mean "attempts"/],
  ])("refuses the retry %j", (retry, message) => {
    expect(() => ticker({ every: "10m", retry } as never)).toThrow(message);
  });

  test("runs its job at each tick, on the dot, and tells it which tick it is", async () => {
    const { job, seen } = ticker({ cron: "*/10 * * * * *" });
    const starts: number[] = [];
    const bench = await aBench({ jobs: [job] });
    bench.runtime.events.on({ types: ["run.started"] }, () => starts.push(bench.clock.ticks()));

    await bench.pass(25_000);

    expect(starts).toEqual([10_000, 20_000]);
    expect(seen[1]).toEqual({
      id: "clean",
      key: "",
      tick: new Date("2030-01-01T00:00:20Z"),
      previous: new Date("2030-01-01T00:00:10Z"),
      next: new Date("2030-01-01T00:00:30Z"),
    });
  });

  test("gives its payload, tags and priority to its runs", async () => {
    let got: unknown;
    const job = defineJob({
      id: "job",
      schema: z.object({ since: z.date() }),
      tags: ["night"],
      schedule: { every: "1s", payload: { since: new Date(0) }, tags: ["clean"], priority: 7 },
      handler: (payload, { run }) => void (got = { payload, tags: run.tags, priority: run.priority }),
    });
    const bench = await aBench({ jobs: [job] });

    await bench.pass(1500);

    expect(got).toEqual({ payload: { since: new Date(0) }, tags: ["night", "clean"], priority: 7 });
  });

  test("takes its zone from the runtime where it names none", async () => {
    const bench = await aBench({ jobs: [ticker({ cron: "0 0 2 * * *" }).job], timezone: "America/New_York" });

    await bench.pass(1000);

    expect(await only(bench)).toMatchObject({
      rule: { timezone: "America/New_York" },
      nextAt: new Date("2030-01-01T07:00:00Z"),
    });
  });

  test("that is one of several ticks by itself", async () => {
    const { job, seen } = ticker([
      { every: "2s", payload: 1 },
      { key: "slow", every: "5s", payload: 2 },
    ]);
    const bench = await aBench({ jobs: [job] });

    await bench.pass(6000);

    expect(seen.map(({ id, tick }) => `${id} ${tick.getUTCSeconds()}`).sort()).toEqual([
      "clean 2",
      "clean 4",
      "clean 6",
      "clean@slow 5",
    ]);
  });

  test("follows a function whose answer changes, and stays paused", async () => {
    let every = "0 0 3 * * *";
    const bench = await aBench({ jobs: [ticker({ cron: () => every }).job], sweep: "5s" });
    const before = await only(bench);

    await bench.store.schedules.pause({ job: "clean", key: "" }, true);
    every = "0 0 4 * * *";
    await bench.pass(6000);
    const paused = await only(bench);
    await bench.store.schedules.pause({ job: "clean", key: "" }, false);
    await bench.pass(1000);

    expect(before.nextAt).toEqual(new Date("2030-01-01T03:00:00Z"));
    expect(paused).toMatchObject({ paused: true, rule: { cron: "0 0 4 * * *" }, nextAt: null });
    expect(await only(bench)).toMatchObject({ paused: false, nextAt: new Date("2030-01-01T04:00:00Z") });
  });

  test("stays as it was while its function fails, and the log says so once", async () => {
    let fail = false;
    const cron = (): string => {
      if (fail) throw new Error("no configuration");
      return "0 0 3 * * *";
    };
    const bench = await aBench({ jobs: [ticker({ cron }).job], sweep: "5s" });

    fail = true;
    await bench.pass(20_000);

    expect(await only(bench)).toMatchObject({ rule: { cron: "0 0 3 * * *" } });
    expect(bench.lines.filter(({ message }) => /can't be read/.test(message))).toHaveLength(1);
  });

  test("that can't be right keeps the runtime from starting, and the error names the job", async () => {
    const bench = idleBench({ jobs: [ticker({ cron: () => "61 * * * *" }).job] });

    const started = bench.runtime.start();

    await expect(started).rejects.toThrow(/job "clean": its schedule: cron "61 \* \* \* \*": minute "61"/);
    expect(bench.runtime.state).toBe("stopped");
  });

  test("comes and goes with its job on a live runtime", async () => {
    const { job, ticks } = ticker({ every: "1s" });
    const bench = await aBench({ jobs: [] });

    bench.runtime.register(job);
    await turns();
    await bench.pass(2500);
    bench.runtime.unregister("clean");
    await turns();
    await bench.pass(5000);

    expect(ticks()).toEqual(["00:00:01", "00:00:02"]);
    expect(await only(bench)).toMatchObject({ served: false, declared: true });
  });
});

describe("a schedule made at run time", () => {
  const at = async (store: Guarded, rule: object): Promise<void> => {
    const base = { overlap: "allow", catchUp: { max: 1, withinMs: null } } as const;
    await store.schedules.put([
      {
        ...{ job: "clean", key: "user:7", queue: null, priority: null, tags: [] },
        rule: { ...base, ...rule },
        input: { json: "7", meta: null },
      },
    ]);
    await turns();
  };

  test("is heard of at once, by whatever process made it", async () => {
    const { job, ticks } = ticker([]);
    const bench = await aBench({ jobs: [job] });

    await at(bench.store, { everyMs: 1000 });
    await bench.pass(1500);

    expect(ticks()).toEqual(["00:00:01"]);
  });

  test("that ticks once ends after that", async () => {
    const { job, ticks } = ticker([]);
    const bench = await aBench({ jobs: [job] });

    await at(bench.store, { atMs: Date.parse("2030-01-01T00:00:03Z") });
    await bench.pass(10_000);

    expect(ticks()).toEqual(["00:00:03"]);
    expect(await only(bench)).toMatchObject({ nextAt: null, count: 1 });
  });

  test("that ticks once, and is resumed after its instant, starts then", async () => {
    const { job, ticks } = ticker([]);
    const bench = await aBench({ jobs: [job] });
    await at(bench.store, { atMs: Date.parse("2030-01-01T00:00:03Z") });

    await bench.store.schedules.pause({ job: "clean", key: "user:7" }, true);
    await bench.pass(10_000);
    const whilePaused = ticks();
    await bench.store.schedules.pause({ job: "clean", key: "user:7" }, false);
    await turns();

    expect(whilePaused).toEqual([]);
    expect(ticks()).toEqual(["00:00:03"]);
  });

  test("makes no more runs than its limit", async () => {
    const { job, ticks } = ticker([]);
    const bench = await aBench({ jobs: [job] });

    await at(bench.store, { everyMs: 1000, limit: 3 });
    await bench.pass(10_000);

    expect(ticks()).toHaveLength(3);
    expect(await only(bench)).toMatchObject({ nextAt: null, count: 3 });
  });
});

describe("overlap", () => {
  const slow = (overlap: "allow" | "skip" | "cancel") => {
    const gates: ReturnType<typeof deferred>[] = [];
    const reasons: string[] = [];
    const { job, ticks } = ticker({ every: "1s", overlap }, ({ signal }) => {
      const gate = deferred();
      gates.push(gate);
      signal.addEventListener("abort", () => {
        reasons.push((signal.reason as Error).name);
        gate.reject(signal.reason);
      });
      return gate.promise;
    });
    return { job, ticks, gates, reasons };
  };

  test("allow: ticks run beside each other", async () => {
    const { job, ticks } = slow("allow");
    const bench = await aBench({ jobs: [job] });

    await bench.pass(3500);

    expect(ticks()).toEqual(["00:00:01", "00:00:02", "00:00:03"]);
  });

  test("skip: a tick is left out while an earlier run is live, and the bus says so", async () => {
    const { job, ticks, gates } = slow("skip");
    const events: Event[] = [];
    const bench = await aBench({ jobs: [job] });
    bench.runtime.events.on({ types: ["schedule.skipped"] }, (event) => events.push(event));

    await bench.pass(3500);
    gates[0]!.resolve(undefined);
    await turns();
    await bench.pass(1000);

    expect(ticks()).toEqual(["00:00:01", "00:00:04"]);
    expect(events).toMatchObject([
      { schedule: "clean", reason: "overlap", tick: new Date("2030-01-01T00:00:02Z") },
      { schedule: "clean", reason: "overlap", tick: new Date("2030-01-01T00:00:03Z") },
    ]);
  });

  test("cancel: the run before hears it, and the new one starts", async () => {
    const { job, ticks, reasons } = slow("cancel");
    const bench = await aBench({ jobs: [job] });

    await bench.pass(2500);

    expect(ticks()).toEqual(["00:00:01", "00:00:02"]);
    expect(reasons).toEqual(["RunCanceled"]);
    const { items } = await bench.store.find.list({ status: ["canceled"] });
    expect(items).toMatchObject([{ reason: "superseded" }]);
  });
});

describe("after a stop", () => {
  const stopped = async (catchUp: "none" | "last" | { readonly max: number; readonly within: "1h" }, ms: number) => {
    const first = ticker({ every: "10s", catchUp });
    const bench = await aBench({ jobs: [first.job] });
    await bench.pass(10_500);
    const state = bench.store;
    await bench.stop();
    bench.clock.jump(ms);
    const second = ticker({ every: "10s", catchUp });
    const runtime = createRuntime({
      store: { ...state, close: () => Promise.resolve() },
      jobs: [second.job],
      clock: bench.clock,
    });
    await runtime.start();
    await turns(60);
    return { missed: second.ticks(), first: first.ticks(), runtime, bench };
  };

  test("none: missed ticks are left out", async () => {
    const { missed, first } = await stopped("none", 35_000);

    expect(first).toEqual(["00:00:10"]);
    expect(missed).toEqual([]);
  });

  test("last: one run stands for all that was missed, however long the stop", async () => {
    expect((await stopped("last", 35_000)).missed).toEqual(["00:00:40"]);
    expect((await stopped("last", 40 * 86_400_000)).missed).toHaveLength(1);
  });

  test("max and within: the latest of them, in order, none too old", async () => {
    expect((await stopped({ max: 2, within: "1h" }, 35_000)).missed).toEqual(["00:00:30", "00:00:40"]);
    expect((await stopped({ max: 1000, within: "1h" }, 7_200_000)).missed).toHaveLength(360);
  });
});

test("what fell due while no node had the job was missed, though another node was up all the time", async () => {
  const { job, ticks } = ticker({ every: "1s", catchUp: "none" });
  const bench = await aBench({ jobs: [] });
  const join = async (): Promise<Runtime> => {
    const store = { ...bench.store, close: () => Promise.resolve() };
    const runtime = createRuntime({ store, jobs: [job], clock: bench.clock });
    await runtime.start();
    await turns();
    return runtime;
  };
  const first = await join();
  await bench.pass(2000);
  await moving(bench.clock, first.stop({ grace: "0ms" }));
  const before = ticks().length;
  await bench.pass(8000);

  const second = await join();
  await bench.pass(2500);
  await moving(bench.clock, second.stop({ grace: "0ms" }));

  expect(before).toBeGreaterThanOrEqual(2);
  expect(ticks().length - before).toBeLessThanOrEqual(3);
});

test("a job that is registered again catches up as it wants, though its process was up all the time", async () => {
  const { job, ticks } = ticker({ every: "1s", catchUp: "none" });
  const bench = await aBench({ jobs: [job] });
  await bench.pass(2000);
  bench.runtime.unregister("clean");
  await turns();
  await bench.pass(20_000);

  const before = ticks().length;
  bench.runtime.register(job);
  await turns();
  await bench.pass(2500);

  expect(ticks().length - before).toBeLessThanOrEqual(3);
});

test("a job whose schedule can't be read when it is registered leaves what other processes declared", async () => {
  const first = ticker({ cron: "0 0 3 * * *" });
  const bench = await aBench({ jobs: [first.job] });
  const other = createRuntime({
    store: { ...bench.store, close: () => Promise.resolve() },
    jobs: [],
    clock: bench.clock,
  });
  await other.start();
  const cron = (): string => {
    throw new Error("no configuration yet");
  };

  other.register(ticker({ cron }).job);
  await turns();
  await bench.pass(6000);
  await moving(bench.clock, other.stop({ grace: "0ms" }));

  expect(await only(bench)).toMatchObject({ rule: { cron: "0 0 3 * * *" } });
});

test("schedules that no node can read are in nobody's way", async () => {
  const { job, ticks } = ticker([]);
  const bench = await aBench({ jobs: [job] });
  const base = { job: "clean", queue: null, priority: null, tags: [], input: { json: "7", meta: null } };
  const policy = { overlap: "allow", catchUp: { max: 1, withinMs: null } } as const;
  const strange = { cron: "* * * * *", timezone: "Mars/Olympus", ...policy };

  await bench.store.schedules.put(Array.from({ length: 250 }, (_, i) => ({ ...base, key: `s${i}`, rule: strange })));
  await bench.store.schedules.put([{ ...base, key: "good", rule: { everyMs: 1000, ...policy } }]);
  await turns(60);
  await bench.pass(3500);

  expect(ticks()).toEqual(["00:00:01", "00:00:02", "00:00:03"]);
});

describe("testRuntime", () => {
  test("lets a month of schedules pass, each tick at its instant", async () => {
    const { job, seen } = ticker({ cron: "0 30 2 * * *", timezone: "Europe/Paris" }) satisfies { job: JobSpec };
    await using runtime = await testRuntime({ jobs: [job], now: "2026-10-20T00:00:00Z" });

    await runtime.advance("10d");

    expect(seen.map(({ tick }) => tick.toISOString())).toEqual([
      ...["20", "21", "22", "23", "24", "25"].map((day) => `2026-10-${day}T00:30:00.000Z`),
      ...["26", "27", "28", "29"].map((day) => `2026-10-${day}T01:30:00.000Z`),
    ]);
  });
});
