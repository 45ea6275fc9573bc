import { describe, expect, test, vi } from "vitest";
import { LeaseLost, StoreUnavailable } from "../../sdk/error.ts";
import type { Store } from "../../runtime/store/store.ts";
import { aNode, lease } from "../kit/build.ts";
import { aBench, aJob, deferred, turns, withRuns } from "./kit.ts";

/** A store that can be taken away: every call fails while `away.now` is true. */
function awayable(): { readonly away: { now: boolean }; readonly wrap: (store: Store) => Store } {
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
