import { describe, expect, test, vi } from "vitest";
import { LeaseLost, StoreUnavailable } from "../../sdk/port/error.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import { memory } from "../../runtime/store/memory/index.ts";
import { fakeClock } from "../../runtime/testing/clock.ts";
import { addOne, aNode, lease, settled, wire } from "../kit/build.ts";
import { aBench, aJob, deferred, idleBench, turns, withRuns } from "./kit.ts";

/** A store that can be taken away: every call fails while `away.now` is true. */
function awayable(): { readonly away: { now: boolean }; readonly wrap: (store: Guarded) => Guarded } {
  const away = { now: false };
  const guard = <T extends object>(port: T): T =>
    new Proxy(port, {
      get(target, key) {
        const method = Reflect.get(target, key) as (...args: unknown[]) => unknown;
        return (...args: unknown[]) =>
          away.now ? Promise.reject(new StoreUnavailable("db", "gone")) : method(...args);
      },
    });
  return { away, wrap: (store) => ({ ...store, runs: guard(store.runs), nodes: guard(store.nodes) }) };
}

describe("a lease", () => {
  test("is renewed for as long as the handler runs, without a call a run", async () => {
    const end = deferred();
    const bench = await aBench({ jobs: [aJob(() => end.promise)], sweep: "1s" });
    const ids = [await bench.add(), await bench.add(), await bench.add()];
    const hold = vi.spyOn(bench.store.runs, "hold");

    await bench.pass(60_000);
    const during = await Promise.all(ids.map(async (id) => (await bench.get(id)).status));
    end.resolve();
    await turns();

    expect(during).toEqual(["running", "running", "running"]);
    expect(hold).toHaveBeenCalledOnce();
    expect(await bench.get(ids[0]!)).toMatchObject({ status: "completed", attempt: 1, crashes: 0 });
  });

  test("that is lost aborts the handler's signal, and its result is refused", async () => {
    const end = deferred<string>();
    const signals: AbortSignal[] = [];
    const { away, wrap } = awayable();
    const bench = await aBench({ jobs: [aJob((_payload, ctx) => (signals.push(ctx.signal), end.promise))] }, wrap);
    const id = await bench.add();
    const other = await bench.store.nodes.join(aNode({ name: "other" }), 600_000);
    await bench.pass(1000);

    away.now = true; // a pause, or a partition: the other node takes over meanwhile
    await bench.pass(30_000);
    const before = signals[0]!.aborted;
    await lease(bench.store, other, { ttlMs: 600_000 });
    away.now = false;
    await bench.pass(10_000);
    end.resolve("stale");
    await turns();

    expect(before).toBe(false);
    expect(signals[0]!.reason).toBeInstanceOf(LeaseLost);
    expect(await bench.get(id)).toMatchObject({ status: "leased", result: null, node: "other" });
  });

  test("of a node that was taken for dead is looked at again, and lost runs are stopped", async () => {
    const end = deferred();
    const signals: AbortSignal[] = [];
    const { away, wrap } = awayable();
    const bench = await aBench({ jobs: [aJob((_payload, ctx) => (signals.push(ctx.signal), end.promise))] }, wrap);
    const id = await bench.add();
    await bench.pass(15_000); // held by now

    away.now = true;
    await bench.pass(30_000);
    await bench.store.runs.sweep({ maxCrashes: 3 });
    away.now = false;
    await bench.pass(10_000);

    expect(signals[0]!.reason).toBeInstanceOf(LeaseLost);
    expect(await bench.get(id)).toMatchObject({ crashes: 1 });
  });

  test("that ended before its run could start is given back, not started", async () => {
    const block = deferred();
    const handler = vi.fn((payload: unknown) => (payload === null ? undefined : block.promise));
    const { away, wrap } = awayable();
    const bench = await aBench({ jobs: [aJob(handler)] }, wrap);
    const id = await bench.add({ delayMs: 1900 });
    const held = bench.runtime.stats().heap;

    away.now = true;
    bench.clock.jump(20_000); // the process was asleep
    await turns();
    const started = handler.mock.calls.length;
    away.now = false;
    await bench.pass(10_000);

    expect(held).toBe(1);
    expect(started).toBe(0);
    expect(handler).toHaveBeenCalledOnce();
    expect(await bench.get(id)).toMatchObject({ crashes: 0 });
  });

  test("that waits for its instant longer than a third of it is held", async () => {
    const started: number[] = [];
    const bench = await aBench({ jobs: [aJob(() => started.push(bench.clock.nowMs()))], poll: "10s", lease: "41s" });
    const due = bench.clock.nowMs() + 19_500;

    const id = await bench.add({ delayMs: 19_500 });
    await bench.pass(20_000);

    expect(started).toEqual([due]);
    expect(await bench.get(id)).toMatchObject({ status: "completed", token: 1 });
  });
});

describe("a process that was blocked for longer than a lease", () => {
  const fast = { poll: "900ms", lease: "4s", sweep: "1s" } as const;

  test("settles what ended meanwhile: it counts once, and as no crash", async () => {
    const handler = vi.fn(() => bench.clock.jump(20_000)); // all timers are late, as after a long computation
    const bench = await aBench({ jobs: [aJob(handler)], ...fast });

    const id = await bench.add();
    await bench.pass(5000);

    expect(handler).toHaveBeenCalledOnce();
    expect(await bench.get(id)).toMatchObject({ status: "completed", attempt: 1, crashes: 0, token: 1 });
    expect((await bench.store.find.attempts({ run: id })).items).toEqual([]);
    expect(bench.lines.map(({ message }) => message)).toContainEqual(
      expect.stringMatching(/^Lease not renewed in time: this process was blocked/),
    );
  });

  test.each([
    ["was new", 0],
    ["had been held", 6000],
  ])("goes on with a run whose lease %s", async (_lease, beforeMs) => {
    const [block, end] = [deferred(), deferred<string>()];
    const handler = vi.fn(async (_payload: unknown, ctx: { readonly signal: AbortSignal }) => {
      signals.push(ctx.signal);
      await block.promise;
      bench.clock.jump(20_000);
      return end.promise;
    });
    const signals: AbortSignal[] = [];
    const bench = await aBench({ jobs: [aJob(handler)], ...fast });
    const id = await bench.add();
    await bench.pass(beforeMs);

    block.resolve();
    await bench.pass(10_000);
    end.resolve("once");
    await turns();

    expect(handler).toHaveBeenCalledOnce();
    expect(signals[0]!.aborted).toBe(false);
    expect(await bench.get(id)).toMatchObject({ status: "completed", attempt: 1, crashes: 0, token: 1 });
  });

  test("asks for no run, and takes none from others, before it has settled and made sure of its own", async () => {
    const calls: string[] = [];
    const [block, end, held] = [deferred(), deferred(), deferred()];
    const bench = await aBench(
      {
        jobs: [
          aJob(async (payload) => {
            await block.promise;
            if (payload === "last") bench.clock.jump(20_000);
            return payload === "last" ? end.promise : undefined;
          }),
        ],
        ...fast,
      },
      (store) =>
        withRuns(store, (runs) => ({
          lease: (claim) => (calls.push("lease"), runs.lease(claim)),
          settle: (batch) => (calls.push("settle"), runs.settle(batch)),
          hold: async (node, started) => (calls.push("hold"), await held.promise, runs.hold(node, started)),
          sweep: (options) => (calls.push("sweep"), runs.sweep(options)),
        })),
    );
    await bench.add({ input: wire("first") });
    await bench.add({ input: wire("last") });
    await bench.add({ job: "other", ttlMs: 1000 }); // what there is to sweep
    calls.length = 0;

    block.resolve();
    await bench.pass(2000);
    const before = [...calls];
    held.resolve();
    await bench.pass(2000);
    end.resolve();

    expect(before).toEqual(["settle", "hold"]);
    expect(calls).toContain("lease");
    expect(calls).toContain("sweep");
  });
});

describe("a run that this process leases anew while it is still here", () => {
  /** A store that lets the first lease of a run end at once, whatever the engine asks for. */
  const brief = (store: Guarded): Guarded => {
    let claims = 0;
    return withRuns(store, ({ lease, hold }) => ({
      lease: async (claim) => {
        const claimed = await lease(claims === 0 ? { ...claim, ttlMs: 100 } : claim);
        claims += claimed.leases.length;
        return claimed;
      },
      hold,
    }));
  };

  test("is not started a second time while it runs, and ends under the newer lease", async () => {
    const end = deferred<string>();
    const handler = vi.fn(() => end.promise);
    const bench = await aBench({ jobs: [aJob(handler)] }, brief);
    const id = await bench.add();

    await bench.pass(1500); // the next poll leases it anew
    const { token } = await bench.get(id);
    await bench.pass(30_000);
    end.resolve("once");
    await turns();

    expect(token).toBe(2);
    expect(handler).toHaveBeenCalledOnce();
    expect(await bench.get(id)).toMatchObject({ status: "completed", attempt: 1, token: 2, result: wire("once") });
  });

  test("is not started a second time once it has ended: its outcome is written under the newer lease", async () => {
    const answer = deferred();
    const handler = vi.fn();
    let settles = 0;
    const bench = await aBench({ jobs: [aJob(handler)] }, (store) =>
      withRuns(brief(store), ({ settle }) => ({
        settle: async (batch) => {
          if (++settles === 1) await answer.promise;
          return settle(batch);
        },
      })),
    );
    const id = await bench.add();

    await bench.pass(1500);
    const { token } = await bench.get(id);
    answer.resolve();
    await turns();

    expect(token).toBe(2);
    expect(handler).toHaveBeenCalledOnce();
    expect(await bench.get(id)).toMatchObject({ status: "completed", attempt: 1, token: 2 });
  });

  test("is not started a second time if the claim is answered after the outcome was refused", async () => {
    const [claimed, answer] = [deferred(), deferred()];
    const handler = vi.fn();
    let settles = 0;
    const bench = await aBench({ jobs: [aJob(handler)] }, (store) =>
      withRuns(brief(store), ({ lease, settle }) => ({
        lease: async (claim) => {
          const found = await lease(claim);
          if (found.leases[0]?.token === 2) await answer.promise;
          if (found.leases[0]?.token === 2) claimed.resolve();
          return found;
        },
        settle: async (batch) => {
          if (++settles === 1) await new Promise((resolve) => bench.clock.alarm(() => resolve(undefined)).set(3000));
          return settle(batch);
        },
      })),
    );
    const id = await bench.add();

    await bench.pass(5000);
    answer.resolve();
    await claimed.promise;
    await turns();

    expect(handler).toHaveBeenCalledOnce();
    expect(await bench.get(id)).toMatchObject({ status: "completed", attempt: 1, token: 2 });
  });

  test("is started once the store says that the outcome before was taken", async () => {
    const answer = deferred();
    const attempts: number[] = [];
    let settles = 0;
    const bench = await aBench(
      { jobs: [aJob((_payload, ctx) => (attempts.push(ctx.attempt) === 1 ? ctx.snooze("0ms") : undefined))] },
      (store) =>
        withRuns(store, ({ settle }) => ({
          settle: async (batch) => {
            const settled = await settle(batch);
            if (++settles === 1) await answer.promise; // slower than the claim that the store's word of it caused
            return settled;
          },
        })),
    );
    const id = await bench.add();
    await bench.pass(1500);
    const during = [...attempts];
    answer.resolve();
    await turns();

    expect(during).toEqual([1]);
    expect(attempts).toEqual([1, 2]);
    expect(await bench.get(id)).toMatchObject({ status: "completed", attempt: 2, token: 2 });
  });
});

describe("a claim that the store answers, but not to this process", () => {
  test("brings its runs with the next one", async () => {
    const handler = vi.fn();
    let claims = 0;
    const bench = await aBench({ jobs: [aJob(handler)] }, (store) =>
      withRuns(store, ({ lease }) => ({
        lease: async (claim) => {
          const claimed = await lease(claim);
          if (claimed.leases.length > 0 && ++claims === 1) throw new StoreUnavailable("db", "connection reset");
          return claimed;
        },
      })),
    );

    const id = await bench.add();
    await bench.pass(2000);

    expect(handler).toHaveBeenCalledOnce();
    expect(await bench.get(id)).toMatchObject({ status: "completed", attempt: 1, token: 2, crashes: 0 });
  });
});

describe("a store whose clock is set forward by an hour", () => {
  test("starts a run again on another node; what the first one answers is refused", async () => {
    let stepMs = 0;
    const clock = fakeClock();
    const store = memory({ now: () => clock.nowMs() + stepMs });
    const end = deferred<string>();
    const bench = idleBench({ jobs: [aJob(() => end.promise)] }, () => store, clock);
    const other = await store.nodes.join(aNode({ name: "other" }), 600_000);
    const id = await addOne(store);
    await bench.runtime.start();
    await turns();

    stepMs = 3_600_000;
    const second = (await lease(store, other))[0]!;
    end.resolve("first");
    await turns();
    const answers = await store.runs.settle([settled(second)]);

    expect(second).toMatchObject({ id, attempt: 1 });
    expect(answers).toEqual(["settled"]);
    expect(await store.find.get(id)).toMatchObject({ status: "completed", node: "other", result: null });
    expect(bench.lines.map(({ message }) => message)).toContain(
      "Lease lost: it was not renewed in time, so this result was refused",
    );
  });

  test("does not start a second time what this process runs", async () => {
    let stepMs = 0;
    const clock = fakeClock();
    const store = memory({ now: () => clock.nowMs() + stepMs });
    const end = deferred<string>();
    const handler = vi.fn(() => end.promise);
    const bench = idleBench({ jobs: [aJob(handler)] }, () => store, clock);
    const id = await addOne(store);
    await bench.runtime.start();
    await turns();

    stepMs = 3_600_000;
    await bench.pass(10_000);
    end.resolve("once");
    await turns();

    expect(handler).toHaveBeenCalledOnce();
    expect(await store.find.get(id)).toMatchObject({ status: "completed", attempt: 1, crashes: 0 });
  });
});

describe("an outcome that the store is slow to take", () => {
  test("keeps its lease: no other node gets the run", async () => {
    const answer = deferred();
    const bench = await aBench({ jobs: [aJob(() => "once")] }, (store) =>
      withRuns(store, ({ settle }) => ({ settle: async (batch) => (await answer.promise, settle(batch)) })),
    );
    const other = await bench.store.nodes.join(aNode({ name: "other" }), 600_000);
    const id = await bench.add();

    await bench.pass(40_000);
    const taken = await lease(bench.store, other);
    answer.resolve();
    await turns();

    expect(taken).toEqual([]);
    expect(await bench.get(id)).toMatchObject({ status: "completed", token: 1, crashes: 0 });
  });
});

describe("while the store is away", () => {
  test("outcomes are kept and settled when it is back, and both are said once", async () => {
    const { away, wrap } = awayable();
    const end = deferred<string>();
    const bench = await aBench({ jobs: [aJob(() => end.promise)] }, wrap);
    const ids = [await bench.add(), await bench.add()];

    away.now = true;
    end.resolve("kept");
    await bench.pass(12_000);
    away.now = false;
    await bench.pass(6000);

    expect(await Promise.all(ids.map(async (id) => (await bench.get(id)).status))).toEqual(["completed", "completed"]);
    expect(bench.lines.filter(({ message }) => message.startsWith("Store"))).toMatchObject([
      { level: "warn", message: "Store away; trying again" },
      { level: "info", message: "Store back" },
    ]);
  });

  test("events and lines have an instant, also right after it is back", async () => {
    const { away, wrap } = awayable();
    const [end, late] = [deferred(), deferred()];
    const bench = await aBench(
      {
        jobs: [
          aJob(async (payload, { log }) => {
            await (payload === "late" ? late : end).promise;
            log.info("end");
          }),
        ],
        poll: "3s",
      },
      wrap,
    );
    const ats: Date[] = [];
    bench.runtime.events.on({ types: ["run.completed"] }, ({ at }) => ats.push(at));
    await bench.add();
    const id = await bench.add({ input: wire("late") });

    away.now = true;
    end.resolve();
    await bench.pass(200);
    away.now = false;
    await bench.pass(200); // the settlement is the first that the store answers
    late.resolve();
    await turns();

    expect(ats).toHaveLength(2);
    expect(ats.map((at) => Number.isNaN(at.getTime()))).toEqual([false, false]);
    expect((await bench.store.find.logs(id)).items).toMatchObject([{ message: "end", at: expect.any(Date) as Date }]);
    expect((await bench.store.find.logs(id)).items[0]!.at.getTime()).toBeGreaterThan(0);
  });

  test("a settlement whose answer was lost is repeated, and counts once", async () => {
    let answers = 0;
    const bench = await aBench({ jobs: [aJob(() => "once")] }, (store) =>
      withRuns(store, ({ settle }) => ({
        settle: async (batch) => {
          const settled = await settle(batch);
          if (++answers === 1) throw new StoreUnavailable("db", "connection reset");
          return settled;
        },
      })),
    );
    const completed = vi.fn();
    bench.runtime.events.on({ types: ["run.completed"] }, completed);

    const id = await bench.add();
    await bench.pass(1000);

    expect(answers).toBe(2);
    expect(completed).toHaveBeenCalledOnce();
    expect(await bench.get(id)).toMatchObject({ status: "completed", attempt: 1 });
  });
});
