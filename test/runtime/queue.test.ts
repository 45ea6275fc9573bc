import { describe, expect, test, vi } from "vitest";
import { DuplicateJob, StoreUnavailable } from "../../sdk/port/error.ts";
import { addAll, addMany, aRun, wire } from "../kit/build.ts";
import { wait } from "../../runtime/core/clock.ts";
import type { Claim, Store } from "../../runtime/store/port.ts";
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

describe("claims that look at everything", () => {
  /** A bench whose claims that look at everything wait for a gate once `slow.on` is set, and are said to have taken `slow.tookMs`. */
  async function slowly(options: Parameters<typeof aBench>[0]) {
    const gates: (() => void)[] = [];
    const whole: Claim["queues"][] = [];
    const slow = { on: false, tookMs: 0 };
    const bench = await aBench(options, (store) =>
      withRuns(store, (runs) => ({
        async lease(claim) {
          if (claim.whole) whole.push(claim.queues);
          if (slow.on && claim.whole) await new Promise<void>((resolve) => gates.push(resolve));
          return { ...(await runs.lease(claim)), tookMs: claim.whole ? slow.tookMs : 0 };
        },
      })),
    );
    return { bench, gates, whole, slow };
  }

  test("hold up no other where they take long", async () => {
    const handler = vi.fn();
    const { bench, gates, slow } = await slowly({ jobs: [aJob(handler)] });
    Object.assign(slow, { on: true, tookMs: 100 });
    await bench.pass(1000);
    gates.pop()!();

    await bench.pass(10_000);
    const beside = gates.length;
    await bench.add();

    expect(beside).toBe(1);
    expect(handler).toHaveBeenCalledTimes(1);
    gates.pop()!();
  });

  test("hold up no other where the first is given up", async () => {
    const handler = vi.fn();
    const claims: Claim[] = [];
    const givenUp = deferred();
    const bench = await aBench({ jobs: [aJob(handler)] }, (store) =>
      withRuns(store, (runs) => ({
        async lease(claim) {
          claims.push(claim);
          if (claim.whole && !claim.slow) {
            await givenUp.promise;
            throw new StoreUnavailable("test", new Error("timeout"));
          }
          return claim.whole ? new Promise<never>(() => undefined) : runs.lease(claim);
        },
      })),
    );
    await bench.pass(5000);
    givenUp.resolve();
    await bench.pass(2000);

    await bench.add();

    expect(claims.filter(({ whole }) => whole).map(({ slow }) => slow)).toEqual([false, true]);
    expect(handler).toHaveBeenCalledTimes(1);
  });

  /** A bench with 150 runs that only a look at everything finds, and that waits for `gate` to answer such a look, which is said to take `tookMs`. Once it
   *  has looked, the store knows the way, and other claims go on from there. */
  async function buried(tookMs: number) {
    const handler = vi.fn();
    const claims: Claim[] = [];
    const gate = deferred();
    let isHidden = false;
    const bench = await aBench({ slots: 200, jobs: [aJob(handler)] }, (store) =>
      withRuns(store, (runs) => ({
        async lease(claim) {
          claims.push(claim);
          if (!claim.whole) return { ...(await runs.lease(isHidden ? { ...claim, jobs: [] } : claim)), tookMs: 0 };
          if (!isHidden) return { ...(await runs.lease(claim)), tookMs: claims.length === 1 ? 100 : 0 };
          await gate.promise;
          isHidden = false;
          return { ...(await runs.lease(claim)), tookMs };
        },
      })),
    );
    isHidden = true;
    await addMany(bench.store, 150);
    await bench.pass(3000);
    return { bench, claims, gate, handler };
  }

  test("are gone on from at once where they did not bring all", async () => {
    const { gate, handler } = await buried(100);
    expect(handler).not.toHaveBeenCalled();

    gate.resolve();
    await turns();

    expect(handler).toHaveBeenCalledTimes(150);
  });

  test("count as slow until one that saw everything was quick", async () => {
    const { bench, claims, gate } = await buried(0);

    gate.resolve();
    await turns();
    const after = claims.at(-1);
    await bench.pass(2000);

    expect(after).toMatchObject({ whole: false, slow: true });
    expect(claims.at(-1)).toMatchObject({ slow: false });
  });

  test("are each group's own: one that is slow costs another none", async () => {
    const { bench, whole, slow } = await slowly({
      queues: { a: { concurrency: 1 }, b: { concurrency: 1 } },
      jobs: [aJob(() => undefined)],
    });
    whole.length = 0;
    slow.tookMs = 100;

    await bench.add(); // heard without lanes: look everywhere

    expect(whole).toHaveLength(3);
    expect(whole).toEqual(expect.arrayContaining([{ not: ["a", "b"] }, { only: ["a"] }, { only: ["b"] }]));
  });
});

test("a beat that stood in for a poll, but did not look, is made up for", async () => {
  const handler = vi.fn();
  const blind = (store: Store): Store => ({
    ...store,
    nodes: { ...store.nodes, beat: async (...args) => ({ ...(await store.nodes.beat(...args)), coming: null }) },
  });
  const bench = await aBench({ queues: { narrow: { concurrency: 1 } }, jobs: [aJob(handler)] }, blind);

  await bench.add({ delayMs: 4000 });
  await bench.pass(4000);

  expect(handler).toHaveBeenCalledTimes(1);
});
