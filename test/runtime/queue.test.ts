import { describe, expect, test, vi } from "vitest";
import { DuplicateJob, StoreUnavailable } from "../../sdk/port/error.ts";
import { addAll, addMany, aRun, wire } from "../kit/build.ts";
import { wait } from "../../runtime/core/clock.ts";
import type { Claim, Claimed, Runs } from "../../runtime/store/port.ts";
import { aBench, aJob, deferred, turns, withRuns } from "./kit.ts";

/** A job whose runs go on until the test ends them, and which knows how many run at once. */
function aCrowd(): {
  readonly job: ReturnType<typeof aJob>;
  readonly running: () => number;
  readonly most: () => number;
  end(count: number): Promise<void>;
} {
  const ends: (() => void)[] = [];
  let most = 0;
  const job = aJob(() => {
    const end = deferred();
    most = Math.max(most, ends.push(end.resolve));
    return end.promise;
  });
  const end = async (count: number): Promise<void> => {
    for (const resolve of ends.splice(0, count)) resolve();
    await turns();
  };
  return { job, running: () => ends.length, most: () => most, end };
}

describe("slots", () => {
  test("bound how many runs run at once, and each that is freed is used", async () => {
    const crowd = aCrowd();
    const bench = await aBench({ slots: 3, jobs: [crowd.job] });
    for (let i = 0; i < 8; i++) await bench.add();

    const first = crowd.running();
    await crowd.end(2);

    expect(first).toBe(3);
    expect(crowd.running()).toBe(3);
    expect(crowd.most()).toBe(3);
  });

  test("can be added and taken away at run time", async () => {
    const crowd = aCrowd();
    const bench = await aBench({ slots: 1, jobs: [crowd.job] });
    for (let i = 0; i < 8; i++) await bench.add();

    bench.runtime.resize(4);
    await turns();
    const more = crowd.running();
    bench.runtime.resize(2);
    await crowd.end(3);

    expect(more).toBe(4);
    expect(crowd.running()).toBe(2);
    expect(bench.runtime.stats()).toMatchObject({ slots: 2, busy: 2 });
  });

  test("no more is leased than can start soon, and what waits in vain goes back unspent", async () => {
    const crowd = aCrowd();
    const bench = await aBench({ slots: 2, jobs: [crowd.job] });
    const ids: number[] = [];
    for (let i = 0; i < 6; i++) ids.push(await bench.add());

    await bench.pass(3000);

    expect(await Promise.all(ids.map(async (id) => (await bench.get(id)).status))).toEqual([
      "leased",
      "leased",
      "pending",
      "pending",
      "pending",
      "pending",
    ]);
    expect(await bench.get(ids[5]!)).toMatchObject({ attempt: 0, crashes: 0 });
  });
});

describe("queues", () => {
  test("a queue's concurrency holds in this process, and its backlog does not hold up other queues", async () => {
    const slow = aCrowd();
    const quick = vi.fn();
    const bench = await aBench({
      slots: 5,
      queues: { slow: { concurrency: 2 } },
      jobs: [{ ...slow.job, id: "slow" }, aJob(quick)],
    });
    for (let i = 0; i < 20; i++) await bench.add({ job: "slow", queue: "slow" });

    for (let i = 0; i < 10; i++) await bench.add();
    await bench.pass(2000);
    const running = slow.running();
    await slow.end(1);

    expect(quick).toHaveBeenCalledTimes(10);
    expect(running).toBe(2);
    expect(slow.running()).toBe(2);
    expect(slow.most()).toBe(2);
  });

  test("runs that fall due later take no place from one that is due", async () => {
    const started: unknown[] = [];
    const bench = await aBench({
      queues: { one: { concurrency: 1 } },
      jobs: [aJob((payload) => started.push(payload))],
    });
    for (let i = 0; i < 5; i++) await bench.add({ queue: "one", delayMs: 1500, input: wire("later") });

    await bench.add({ queue: "one", input: wire("now") });

    expect(started).toEqual(["now"]);
  });

  test("more that falls due soon than is leased ahead still starts at its instants", async () => {
    let started = 0;
    const bench = await aBench({ slots: 2, jobs: [aJob(() => void started++)] });
    for (let i = 1; i <= 15; i++) await bench.add({ delayMs: i * 100 });

    const seen: number[] = [];
    for (let i = 1; i <= 15; i++) {
      await bench.pass(100);
      seen.push(started);
    }

    expect(seen).toEqual(Array.from({ length: 15 }, (_, i) => i + 1));
  });

  test("runs that wait for a place in their queue take no room from others", async () => {
    const slow = aCrowd();
    const quick = vi.fn();
    const bench = await aBench({
      slots: 4,
      queues: { slow: { concurrency: 2 } },
      jobs: [{ ...slow.job, id: "slow" }, aJob(quick)],
    });
    await bench.add({ job: "slow", queue: "slow", delayMs: 1500 });
    const later = aRun({ job: "slow", queue: "slow", delayMs: 1500 });
    await addAll(bench.store, [later, later]); // leased ahead, all three
    await bench.pass(1600);

    const waiting = bench.runtime.stats();
    for (let i = 0; i < 6; i++) await bench.add();

    expect(waiting).toMatchObject({ busy: 2, heap: 1 });
    expect(slow.running()).toBe(2);
    expect(quick).toHaveBeenCalledTimes(6);
  });

  test("a paused queue's runs wait, and start once it goes on", async () => {
    const handler = vi.fn();
    const bench = await aBench({ jobs: [aJob(handler)] });
    await bench.store.desk.pause("default", true);
    await bench.add();
    await bench.pass(3000);
    const during = handler.mock.calls.length;

    await bench.store.desk.pause("default", false);
    await turns();

    expect(during).toBe(0);
    expect(handler).toHaveBeenCalledOnce();
  });
});

describe("priority", () => {
  test("higher ones start first among those that are due", async () => {
    const started: unknown[] = [];
    const block = deferred();
    const bench = await aBench({
      slots: 1,
      jobs: [aJob((payload) => (payload === "block" ? block.promise : started.push(payload)))],
    });
    await bench.add({ input: wire("block") });
    for (const priority of [0, 9, 5]) await bench.add({ priority, input: wire(priority) });

    block.resolve();
    await bench.pass(2000);

    expect(started).toEqual([9, 5, 0]);
  });

  test("a low one starts, however many higher ones keep coming", async () => {
    const bench = await aBench({
      slots: 1,
      jobs: [
        aJob(async (payload) => {
          if (payload === "low") return;
          await wait(bench.clock, bench.clock.ticks() + 50, new AbortController().signal);
          await bench.runtime.store.add([{ ...high, input: wire("high") }]);
        }),
      ],
    });
    const high = {
      job: "job",
      queue: "default",
      priority: 9,
      dueAt: null,
      delayMs: 0,
      tags: [],
      key: null,
      ttlMs: null,
      options: null,
      replayOf: null,
    };
    await bench.runtime.store.add([
      { ...high, input: wire("high") },
      { ...high, input: wire("high") },
    ]);

    const id = await bench.add({ priority: 0, input: wire("low") });
    for (let i = 0; i < 40; i++) await bench.pass(100);

    expect((await bench.get(id)).status).toBe("completed");
  });
});

describe("jobs", () => {
  test("that are registered on a live runtime have their waiting runs started", async () => {
    const handler = vi.fn();
    const bench = await aBench({});
    await bench.add();

    bench.runtime.register(aJob(handler));
    await turns();

    expect(handler).toHaveBeenCalledOnce();
    expect((await bench.store.find.jobs()).map(({ id }) => id)).toEqual(["job"]);
  });

  test("that are unregistered start no more, and what waited is left to others", async () => {
    const handler = vi.fn();
    const bench = await aBench({ jobs: [aJob(handler)] });
    const id = await bench.add({ delayMs: 1000 });

    const removed = bench.runtime.unregister("job");
    await bench.pass(3000);

    expect([removed, bench.runtime.unregister("job")]).toEqual([true, false]);
    expect(handler).not.toHaveBeenCalled();
    expect(await bench.get(id)).toMatchObject({ status: "pending", attempt: 0, crashes: 0 });
  });

  test("that are replaced run on the new code from then on", async () => {
    const [old, young] = [vi.fn(), vi.fn()];
    const bench = await aBench({ jobs: [aJob(old)] });
    await bench.add({ delayMs: 1000 });

    bench.runtime.unregister("job");
    bench.runtime.register(aJob(young));
    await bench.pass(1000);

    expect(old).not.toHaveBeenCalled();
    expect(young).toHaveBeenCalledOnce();
  });

  test("with an id that is taken are refused", async () => {
    const bench = await aBench({ jobs: [aJob(() => undefined)] });

    expect(() => bench.runtime.register(aJob(() => undefined))).toThrow(DuplicateJob);
  });
});

describe("a claim", () => {
  /** A bench that notes its claims: whether each is a poll, and for which queues. */
  async function noting(options: Parameters<typeof aBench>[0], change: (claim: Claim, runs: Runs) => Promise<Claimed>) {
    const claims: Claim[] = [];
    const bench = await aBench(options, (store) =>
      withRuns(store, (runs) => ({ lease: (claim) => (claims.push(claim), change(claim, runs)) })),
    );
    return { bench, claims };
  }
  const polls = (claims: readonly Claim[]): readonly boolean[] => claims.map(({ poll }) => poll);

  test("is a poll at the start and each poll, and no poll where the store told of runs or the last one came back full", async () => {
    const options = { slots: 10, queues: { a: { concurrency: 1 } }, jobs: [aJob(() => undefined)] };
    const { bench, claims } = await noting(options, (claim, runs) => runs.lease(claim));
    const first = claims.splice(0);
    await addMany(bench.store, 12);
    await turns();
    const told = claims.splice(0);

    expect(polls(first)).toEqual([true, true]);
    expect(first.map(({ queues }) => queues)).toEqual([{ not: ["a"] }, { only: ["a"] }]);
    expect(told.length).toBeGreaterThanOrEqual(3);
    expect(told.some(({ poll }) => poll)).toBe(false);
  });

  test("that fails is made up for by a poll", async () => {
    let isAway = false;
    const handler = vi.fn();
    const { bench, claims } = await noting({ jobs: [aJob(handler)] }, async (claim, runs) => {
      if (isAway) throw new StoreUnavailable("test", new Error("away"));
      return runs.lease(claim);
    });
    isAway = true;
    claims.length = 0;
    await bench.add();
    isAway = false;
    await bench.pass(1000);

    expect(polls(claims).slice(0, 2)).toEqual([false, true]);
    expect(handler).toHaveBeenCalledTimes(1);
  });

  test("that the store answers without looking tells nothing of its clock", async () => {
    const handler = vi.fn();
    let knows = true;
    const { bench } = await noting({ jobs: [aJob(handler)] }, async (claim, runs) =>
      knows && !claim.poll ? { leases: [], nowMs: Number.NaN } : runs.lease(claim),
    );
    await bench.add();
    const before = handler.mock.calls.length;
    knows = false;
    await bench.add({ delayMs: 1500 });
    await bench.pass(1500);

    expect(before).toBe(0);
    expect(handler).toHaveBeenCalledTimes(2);
  });
});

test("a beat that stood in for a poll, but did not look, is made up for, and the next polls are claims", async () => {
  const handler = vi.fn();
  const calls: string[] = [];
  let isBlind = false;
  const bench = await aBench({ queues: { narrow: { concurrency: 1 } }, jobs: [aJob(handler)] }, (store) => ({
    ...withRuns(store, (runs) => ({ lease: (claim) => (calls.push("lease"), runs.lease(claim)) })),
    nodes: {
      ...store.nodes,
      async beat(...args) {
        calls.push("beat");
        const beat = await store.nodes.beat(...args);
        return isBlind ? { ...beat, coming: null } : beat;
      },
    },
  }));
  await bench.pass(3000);
  calls.length = 0;
  await bench.pass(2000);
  const sighted = new Set(calls.splice(0));
  isBlind = true;
  await bench.pass(1000);
  const blind = calls.splice(0);
  await bench.pass(1000);
  const after = calls.splice(0);
  await bench.add({ delayMs: 4000 });
  await bench.pass(4000);

  expect(sighted).toEqual(new Set(["beat"]));
  expect(blind).toEqual(["beat", "lease", "lease"]);
  expect(after).toEqual(["lease", "lease"]);
  expect(handler).toHaveBeenCalledTimes(1);
});
