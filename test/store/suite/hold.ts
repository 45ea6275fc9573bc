import { expect, test } from "vitest";
import {
  addMany,
  addOne,
  again,
  aNode,
  aState,
  lease,
  leased,
  only,
  release,
  released,
  settled,
} from "../../kit/build.ts";
import type { Setup } from "../suite.ts";
import { near } from "./near.ts";

export function holding(setup: () => Promise<Setup>): void {
  test("a held run lives as long as its node beats", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);
    await store.runs.hold(node, [{ id: taken.id, token: taken.token, startedMs: taken.dueMs }]);

    for (let i = 0; i < 5; i++) {
      await clock.advance("20s");
      await store.nodes.beat(node, 30_000, aState(), []);
      await store.runs.sweep({ maxCrashes: 3 });
      expect(await lease(store, node)).toEqual([]);
    }

    expect(await store.find.get(taken.id)).toMatchObject({ status: "running", token: 1, crashes: 0 });
    expect(await store.runs.settle([settled(taken)])).toEqual(["settled"]);
  });

  test("holding with a start shows the run as running since then", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);

    const lost = await store.runs.hold(node, [{ id: taken.id, token: taken.token, startedMs: taken.dueMs + 1 }]);

    expect(lost).toEqual([]);
    const run = (await store.find.get(taken.id))!;
    expect(run).toMatchObject({ status: "running", node: "host:1", attempt: 0 });
    near(run.startedAt, taken.dueMs);
  });

  test("a held run that has not started is leased, not running", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);

    await store.runs.hold(node, [{ id: taken.id, token: taken.token, startedMs: null }]);

    expect(await store.find.get(taken.id)).toMatchObject({ status: "leased", startedAt: null });
  });

  test("a start may be recorded for a run that is already held", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await store.runs.hold(node, [{ id: taken.id, token: taken.token, startedMs: null }]);

    const lost = await store.runs.hold(node, [{ id: taken.id, token: taken.token, startedMs: taken.dueMs }]);

    expect(lost).toEqual([]);
    expect((await store.find.get(taken.id))!.status).toBe("running");
  });

  test("a start that was recorded stays when it is held again without one", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await store.runs.hold(node, [{ id: taken.id, token: taken.token, startedMs: taken.dueMs }]);

    await store.runs.hold(node, [{ id: taken.id, token: taken.token, startedMs: null }]);

    expect((await store.find.get(taken.id))!.status).toBe("running");
  });

  test("holding answers those that were lost, and holds the rest", async () => {
    const { store, clock, node } = await setup();
    const first = await leased(store, node);
    await clock.advance("1m");
    const second = only(await lease(store, node));
    const done = await leased(store, node);
    await store.runs.settle([settled(done)]);

    const lost = await store.runs.hold(node, [
      { id: first.id, token: first.token, startedMs: null },
      { id: second.id, token: second.token, startedMs: second.dueMs },
      { id: done.id, token: done.token, startedMs: null },
    ]);

    expect(lost.map(({ id, token }) => [id, token])).toEqual([
      [first.id, first.token],
      [done.id, done.token],
    ]);
    expect((await store.find.get(second.id))!.status).toBe("running");
  });

  test("a held run is settled like any other, and its retry is free for all", async () => {
    const { store, node } = await setup();
    const other = await store.nodes.join(aNode({ name: "host:2" }), 30_000);
    const taken = await leased(store, node);
    await store.runs.hold(node, [{ id: taken.id, token: taken.token, startedMs: taken.dueMs }]);

    await store.runs.settle([settled(taken, again())]);

    expect(only(await lease(store, other))).toMatchObject({ id: taken.id, token: 2, attempt: 1, crashes: 0 });
  });

  test("hold answers which leases were lost, also when it is repeated", async () => {
    const { store, clock, node } = await setup();
    const lost = await leased(store, node);
    await clock.advance("1m");
    const mine = only(await lease(store, node));
    const done = await leased(store, node);
    await store.runs.settle([settled(done)]);
    const given = await leased(store, node);
    await release(store, given);

    const batch = [lost, mine, done, given].map(({ id, token }) => ({ id, token, startedMs: null }));
    const first = await store.runs.hold(node, batch);
    const second = await store.runs.hold(node, batch);

    expect(first.map(({ id, token }) => [id, token])).toEqual([lost, done, given].map(({ id, token }) => [id, token]));
    expect(second).toEqual(first);
    expect(await store.runs.hold(node, [])).toEqual([]);
  });

  test("progress is kept with the run, and the newest wins", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);

    expect(await store.runs.note([{ ...taken, progress: { value: 10, detail: "ten" } }])).toEqual([]);
    expect(await store.runs.note([{ ...taken, progress: { value: 20.5, detail: null } }])).toEqual([]);

    expect((await store.find.get(taken.id))!.progress).toEqual({ value: 20.5, detail: null });
    await store.runs.settle([settled(taken)]);
    expect((await store.find.get(taken.id))!.progress).toEqual({ value: 20.5, detail: null });
  });

  test("progress of a lost lease is refused", async () => {
    const { store, clock, node } = await setup();
    const stale = await leased(store, node);
    await clock.advance("1m");
    const taken = only(await lease(store, node));

    expect(await store.runs.note([{ ...stale, progress: { value: 1, detail: null } }])).toEqual([
      { id: stale.id, token: stale.token },
    ]);
    await store.runs.settle([settled(taken)]);
    expect(await store.runs.note([{ ...taken, progress: { value: 1, detail: null } }])).toEqual([
      { id: taken.id, token: taken.token },
    ]);

    expect((await store.find.get(taken.id))!.progress).toBeNull();
  });

  test("a released run is leasable at once, and no attempt is spent", async () => {
    const { store, node } = await setup();
    const other = await store.nodes.join(aNode({ name: "host:2" }), 30_000);
    const taken = await leased(store, node);

    await release(store, taken);

    expect(await store.find.get(taken.id)).toMatchObject({ status: "pending", attempt: 0, crashes: 0, token: 1 });
    expect(only(await lease(store, other))).toMatchObject({ id: taken.id, token: 2, attempt: 0, crashes: 0 });
  });

  test("a held run may be released, too", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await store.runs.hold(node, [{ id: taken.id, token: taken.token, startedMs: null }]);

    await release(store, taken);

    expect(only(await lease(store, node))).toMatchObject({ id: taken.id, token: 2, crashes: 0 });
  });

  test("a released run has not started", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await store.runs.hold(node, [{ id: taken.id, token: taken.token, startedMs: taken.dueMs }]);

    await release(store, taken);

    expect(await store.find.get(taken.id)).toMatchObject({ status: "pending", startedAt: null, attempt: 0 });
  });

  test("a release with a stale token changes nothing", async () => {
    const { store, clock, node } = await setup();
    const stale = await leased(store, node);
    await clock.advance("1m");
    const taken = only(await lease(store, node));

    await release(store, stale);

    expect(await lease(store, node)).toEqual([]);
    expect(await store.runs.settle([settled(taken)])).toEqual(["settled"]);
  });

  test("releasing what is over, or was never made, changes nothing", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await store.runs.settle([settled(taken)]);

    await release(store, taken, { id: taken.id + 1_000_000, token: 1 });

    expect((await store.find.get(taken.id))!.status).toBe("completed");
    expect(await lease(store, node)).toEqual([]);
  });

  test("a released run whose instant is ahead waits for it", async () => {
    const { store, clock, node } = await setup();
    await addOne(store, { delayMs: 600_000 });
    const taken = only(await lease(store, node, { aheadMs: 900_000 }));

    await release(store, taken);

    expect(await lease(store, node)).toEqual([]);
    await clock.advance("11m");
    expect(only(await lease(store, node))).toMatchObject({ id: taken.id, dueMs: taken.dueMs });
  });

  test("runs that are released together come back in the order of their ids", async () => {
    const { store, node } = await setup();
    const ids = await addMany(store, 4);
    const leases = await lease(store, node);

    await release(store, ...leases.toReversed());

    const order = [];
    for (const _ of ids) order.push(only(await lease(store, node, { limit: 1 })).id);
    expect(order).toEqual(ids);
  });

  test("a release that is repeated is answered as the first was, until the run is leased anew", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    const again = { ...settled(taken, released), startedMs: null };

    expect(await store.runs.settle([again])).toEqual(["settled"]);
    expect(await store.runs.settle([again])).toEqual(["settled"]);
    await lease(store, node);

    expect(await store.runs.settle([again])).toEqual(["lost"]);
  });

  test("a run that had started, and whose cancel was asked for, is canceled by its release without an attempt", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await store.runs.hold(node, [{ id: taken.id, token: taken.token, startedMs: taken.dueMs }]);
    await store.desk.cancel([taken.id]);

    expect(await store.runs.settle([{ ...settled(taken, released), startedMs: null }])).toEqual(["canceled"]);

    expect(await store.find.get(taken.id)).toMatchObject({ status: "canceled", attempt: 0, startedAt: null });
    expect((await store.find.attempts({ run: taken.id })).items).toEqual([]);
  });

  test("a run whose cancel was asked for is canceled by its release", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await store.desk.cancel([taken.id]);

    await release(store, taken);

    expect(await store.find.get(taken.id)).toMatchObject({ status: "canceled", reason: "user", attempt: 0 });
    expect(await lease(store, node)).toEqual([]);
  });
}
