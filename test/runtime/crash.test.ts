import { describe, expect, test, vi } from "vitest";
import { aNode, addOne, lease, only, wire } from "../kit/build.ts";
import { aBench, aJob, deferred, idleBench, turns, withRuns, type Bench } from "./kit.ts";

/** Lets `count` nodes die with these runs, having recorded their start all but the first time. */
async function crash(bench: Bench, ids: readonly number[], count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const node = await bench.store.nodes.join(aNode(), 1000);
    const leases = await lease(bench.store, node, { ttlMs: 1000, limit: ids.length });
    const starts = leases
      .filter(({ id }) => ids.includes(id))
      .map(({ id, token }) => ({ id, token, startedMs: i === 0 ? null : bench.clock.nowMs() }));
    await bench.store.runs.hold(node, starts);
    bench.clock.advance(2000);
    await bench.store.runs.sweep({ maxCrashes: 3 });
  }
}

describe("a run whose node has died", () => {
  test("has a number for each attempt, which the context, events, lines and records share; crashes spend none", async () => {
    const seen: unknown[] = [];
    const handler = vi.fn((_payload: unknown, ctx: { readonly attempt: number }) => {
      seen.push(ctx.attempt);
      throw new Error("boom");
    });
    const bench = idleBench({ jobs: [aJob(handler)] });
    bench.runtime.events.on({ types: ["run.started"] }, (event) => seen.push("attempt" in event && event.attempt));
    const id = await addOne(bench.store);
    await crash(bench, [id], 2);

    await bench.runtime.start();
    await bench.pass(10_000);

    const records = (await bench.store.find.attempts({ run: id })).items;
    expect(records.map(({ n, outcome }) => `${n} ${outcome}`).toSorted()).toEqual([
      ...["1 crashed", "2 crashed", "3 error", "4 error", "5 error"],
    ]);
    expect(seen).toEqual([3, 3, 4, 4, 5, 5]);
    const failures = bench.lines.filter(({ message }) => message.startsWith("Run failed"));
    expect(failures.map(({ fields }) => fields.attempt)).toEqual([3, 4, 5]);
    expect(await bench.get(id)).toMatchObject({ status: "failed", reason: "error", attempt: 5, crashes: 2 });
  });

  test("has its next start recorded before its handler is called", async () => {
    const order: string[] = [];
    const bench = idleBench({ jobs: [aJob(() => order.push("handler"))] }, (store) =>
      withRuns(store, ({ hold }) => ({
        hold: (node, started) => (order.push(`hold ${typeof started[0]?.startedMs}`), hold(node, started)),
      })),
    );
    const id = await addOne(bench.store);
    await crash(bench, [id], 1);

    await bench.runtime.start();
    await turns();

    expect(order).toEqual(["hold number", "handler"]);
    expect(await bench.get(id)).toMatchObject({ status: "completed", crashes: 1 });
  });

  test("does not start if its lease is found lost while the start is recorded", async () => {
    const handler = vi.fn();
    const bench = idleBench({ jobs: [aJob(handler)] }, (store) =>
      withRuns(store, () => ({ hold: (_node, started) => Promise.resolve(started) })),
    );
    const id = await addOne(bench.store);
    await crash(bench, [id], 1);

    await bench.runtime.start();
    await turns();

    expect(handler).not.toHaveBeenCalled();
    expect(bench.runtime.stats().busy).toBe(0);
  });

  test("can be canceled while its start is recorded, and then does not start", async () => {
    const handler = vi.fn();
    const recorded = deferred();
    const bench = idleBench({ jobs: [aJob(handler)] }, (store) =>
      withRuns(store, ({ hold }) => ({ hold: async (node, started) => (await recorded.promise, hold(node, started)) })),
    );
    const id = await addOne(bench.store);
    await crash(bench, [id], 1);
    await bench.runtime.start();
    await turns();

    await bench.store.desk.cancel([id]);
    await turns();
    recorded.resolve();
    await turns();

    expect(handler).not.toHaveBeenCalled();
    expect((await bench.get(id)).status).toBe("canceled");
    expect(bench.runtime.stats().busy).toBe(0);
  });

  test("before its last allowed crash runs with no other such run beside it, while healthy ones go on", async () => {
    const ends: (() => void)[] = [];
    const started: unknown[] = [];
    const bench = idleBench({
      jobs: [
        aJob((payload) => {
          started.push(payload);
          if (payload === "healthy") return undefined;
          const end = deferred();
          ends.push(end.resolve);
          return end.promise;
        }),
      ],
    });
    const poison = [await addOne(bench.store, { input: wire("a") }), await addOne(bench.store, { input: wire("b") })];
    await crash(bench, poison, 2);
    for (let i = 0; i < 3; i++) await addOne(bench.store, { input: wire("healthy") });

    await bench.runtime.start();
    await turns();
    const together = [...started].sort();
    ends[0]!();
    await bench.pass(2000);

    expect(together).toEqual(["a", "healthy", "healthy", "healthy"]);
    expect(started.sort()).toEqual(["a", "b", "healthy", "healthy", "healthy"]);
  });

  test("keeps no slot from healthy runs, however many such runs wait, and is not passed to and fro", async () => {
    const healthy = vi.fn();
    const poison = vi.fn(() => new Promise(() => undefined));
    const bench = idleBench({ slots: 50, jobs: [aJob((payload) => (payload === "healthy" ? healthy() : poison()))] });
    const ids: number[] = [];
    for (let i = 0; i < 60; i++) ids.push(await addOne(bench.store, { input: wire("poison") }));
    await crash(bench, ids, 2);
    for (let i = 0; i < 60; i++) await addOne(bench.store, { input: wire("healthy") });
    const claim = vi.spyOn(bench.store.runs, "lease");
    const settle = vi.spyOn(bench.store.runs, "settle");

    await bench.runtime.start();
    await bench.pass(3000);

    expect(healthy).toHaveBeenCalledTimes(60);
    expect(poison).toHaveBeenCalledOnce();
    expect(bench.runtime.stats()).toMatchObject({ busy: 1, heap: 0 });
    expect(claim.mock.calls.length).toBeLessThan(20);
    const released = settle.mock.calls.filter(([batch]) => batch.some(({ outcome }) => outcome.to === "released"));
    expect(released).toHaveLength(1);
    expect(await bench.get(ids[59]!)).toMatchObject({ attempt: 2, crashes: 2 });
  });

  test("holds up no other job, though 200 such runs are ahead of it", async () => {
    const healthy = vi.fn();
    const bench = idleBench({
      slots: 50,
      jobs: [aJob(() => new Promise(() => undefined)), aJob(healthy, { id: "other" })],
    });
    const ids: number[] = [];
    for (let i = 0; i < 200; i++) ids.push(await addOne(bench.store));
    await crash(bench, ids, 2);
    for (let i = 0; i < 100; i++) await addOne(bench.store, { job: "other", priority: 4 });

    await bench.runtime.start();
    await turns(100);

    expect(healthy).toHaveBeenCalledTimes(100);
    expect(bench.runtime.stats().busy).toBe(1);
  });

  test("is followed at once by the next such run, though there are more than slots", async () => {
    const handler = vi.fn();
    const bench = idleBench({ slots: 2, jobs: [aJob(handler)] });
    const ids: number[] = [];
    for (let i = 0; i < 7; i++) ids.push(await addOne(bench.store));
    await crash(bench, ids, 2);

    await bench.runtime.start();
    await turns(100);

    expect(handler).toHaveBeenCalledTimes(7);
  });

  test("is taken back by any node that sweeps, and starts again", async () => {
    const handler = vi.fn();
    const bench = await aBench({ jobs: [aJob(handler)] });
    const dead = await bench.store.nodes.join(aNode(), 1000);
    bench.runtime.unregister("job");
    const id = await addOne(bench.store);
    const { token } = only(await lease(bench.store, dead, { ttlMs: 1000 }));
    await bench.store.runs.hold(dead, [{ id, token, startedMs: null }]);

    bench.runtime.register(aJob(handler));
    await bench.pass(7000);

    expect(handler).toHaveBeenCalledOnce();
    expect(await bench.get(id)).toMatchObject({ status: "completed", crashes: 1 });
  });
});
