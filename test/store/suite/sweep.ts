import { expect, test } from "vitest";
import type { Lease, Guarded } from "../../../runtime/store/port.ts";
import {
  addOne,
  again,
  aNode,
  aState,
  completed,
  ended,
  failed,
  lease,
  leased,
  only,
  release,
  settled,
  snoozed,
} from "../../kit/build.ts";
import type { Setup } from "../suite.ts";
import { near } from "./near.ts";

const start = (each: Lease) => ({ id: each.id, token: each.token, startedMs: each.dueMs });

/** Leases the one due run for a new node, records its start, and lets the node die. */
async function crash({ store, clock }: Pick<Setup, "store" | "clock">): Promise<Lease> {
  const node = await store.nodes.join(aNode({ name: "mortal" }), 30_000);
  const taken = only(await lease(store, node));
  await store.runs.hold(node, [start(taken)]);
  await clock.advance("5m");
  return taken;
}

async function statusOf(store: Guarded, id: number): Promise<string> {
  return (await store.find.get(id))!.status;
}

export function sweeping(setup: () => Promise<Setup>): void {
  test("a dead node's held run becomes pending again, and its crash is counted and on record", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);
    await store.runs.hold(node, [start(taken)]);
    await clock.advance("5m");

    const swept = await store.runs.sweep({ maxCrashes: 3 });

    expect(swept).toMatchObject({ recovered: [taken.id], crashed: [], expired: [] });
    const run = (await store.find.get(taken.id))!;
    expect(run).toMatchObject({ status: "pending", crashes: 1, attempt: 1 });
    expect(run.token).toBeGreaterThan(taken.token);
    const record = only((await store.find.attempts({ run: taken.id })).items);
    expect(record).toMatchObject({ run: taken.id, token: taken.token, n: 1, outcome: "crashed", node: "host:1" });
    near(record.endedAt, clock.now());
  });

  test("a recovered run is leasable at once, by anybody", async () => {
    const { store, clock } = await setup();
    const id = await addOne(store);
    await crash({ store, clock });
    const other = await store.nodes.join(aNode({ name: "host:2" }), 30_000);

    await store.runs.sweep({ maxCrashes: 3 });

    expect(only(await lease(store, other))).toMatchObject({ id, crashes: 1, attempt: 1, spent: 0 });
  });

  test("a dead node's late result is refused after the sweep, and hold, progress and release with it", async () => {
    const { store, clock, node } = await setup();
    await addOne(store);
    const stale = await crash({ store, clock });
    await store.runs.sweep({ maxCrashes: 3 });
    const before = await store.find.get(stale.id);

    expect(await store.runs.settle([settled(stale, completed)])).toEqual(["lost"]);
    expect(await store.runs.settle([settled(stale, again())])).toEqual(["lost"]);
    expect(await store.runs.hold(node, [start(stale)])).toHaveLength(1);
    expect(await store.runs.note([{ ...stale, progress: { value: 1, detail: null } }])).toHaveLength(1);
    await release(store, stale);

    expect(await store.find.get(stale.id)).toEqual(before);
  });

  test("a run that crashed too often fails, and its error explains why", async () => {
    const { store, clock } = await setup();
    const id = await addOne(store);
    const swept = [];
    for (let i = 0; i < 3; i++) {
      await crash({ store, clock });
      swept.push(await store.runs.sweep({ maxCrashes: 3 }));
    }

    expect(swept.map(({ recovered, crashed }) => [recovered.length, crashed.length])).toEqual([
      [1, 0],
      [1, 0],
      [0, 1],
    ]);
    const run = (await store.find.get(id))!;
    expect(run).toMatchObject({ status: "failed", reason: "crashed", crashes: 3 });
    expect(run.error!.message).toContain("3");
    expect(run.finishedAt).not.toBeNull();
    const records = (await store.find.attempts({ run: id })).items;
    expect(records.map(({ n, outcome }) => [n, outcome]).toSorted()).toEqual([
      [1, "crashed"],
      [2, "crashed"],
      [3, "crashed"],
    ]);
    expect(run.attempt).toBe(3);
  });

  test("a crash says that its process died or stopped answering, for nobody knows which", async () => {
    const { store, clock } = await setup();
    const id = await addOne(store);
    await crash({ store, clock });
    await store.runs.sweep({ maxCrashes: 1 });

    expect((await store.find.get(id))!.error!.message).toMatch(/died, or stopped answering for longer than its lease,/);
  });

  test("attempts are numbered by their place, whatever became of them, and only failures are spent", async () => {
    const { store, clock, node } = await setup();
    const id = await addOne(store);
    await crash({ store, clock });
    await store.runs.sweep({ maxCrashes: 3 });
    for (const outcome of [again(), snoozed()])
      await store.runs.settle([settled(only(await lease(store, node)), outcome)]);
    await crash({ store, clock });
    await store.runs.sweep({ maxCrashes: 3 });

    const fifth = only(await lease(store, node));
    await store.runs.settle([settled(fifth, failed())]);

    expect(fifth).toMatchObject({ attempt: 4, spent: 1, crashes: 2 });
    const records = (await store.find.attempts({ run: id })).items.toSorted((a, b) => a.token - b.token);
    expect(records.map(({ n, outcome }) => `${n} ${outcome}`)).toEqual([
      ...["1 crashed", "2 error", "3 snoozed", "4 crashed", "5 error"],
    ]);
    expect(await store.find.get(id)).toMatchObject({ status: "failed", attempt: 5 });
  });

  test("the last node's late result is refused when its run has failed as crashed", async () => {
    const { store, clock } = await setup();
    await addOne(store);
    const stale = await crash({ store, clock });
    const swept = await store.runs.sweep({ maxCrashes: 1 });

    expect(swept).toMatchObject({ crashed: [stale.id], recovered: [] });
    expect(await store.runs.settle([settled(stale)])).toEqual(["lost"]);

    expect(await store.find.get(stale.id)).toMatchObject({ status: "failed", reason: "crashed" });
  });

  test("only starts that were recorded count after the first crash", async () => {
    const { store, clock } = await setup();
    const id = await addOne(store);
    await crash({ store, clock });
    await store.runs.sweep({ maxCrashes: 3 });

    const node = await store.nodes.join(aNode({ name: "mortal" }), 30_000);
    const taken = only(await lease(store, node));
    await store.runs.hold(node, [{ id, token: taken.token, startedMs: null }]);
    await clock.advance("5m");
    await store.runs.sweep({ maxCrashes: 3 });

    expect(await store.find.get(id)).toMatchObject({ status: "pending", crashes: 1 });
  });

  test("a run that was held but never started counts one anonymous crash", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);
    await store.runs.hold(node, [{ id: taken.id, token: taken.token, startedMs: null }]);
    await clock.advance("5m");

    const swept = await store.runs.sweep({ maxCrashes: 3 });

    expect(swept.recovered).toHaveLength(1);
    expect(await store.find.get(taken.id)).toMatchObject({ status: "pending", crashes: 1 });
  });

  test("a run that never started does not fail for its node's crash", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);
    await store.runs.hold(node, [{ id: taken.id, token: taken.token, startedMs: null }]);
    await clock.advance("5m");

    await store.runs.sweep({ maxCrashes: 1 });

    expect(await statusOf(store, taken.id)).toBe("pending");
  });

  test("a recovered run whose instant is ahead waits for it", async () => {
    const { store, clock, node } = await setup();
    await addOne(store, { delayMs: 3_600_000 });
    const taken = only(await lease(store, node, { aheadMs: 7_200_000 }));
    await store.runs.hold(node, [{ id: taken.id, token: taken.token, startedMs: null }]);
    await clock.advance("5m");

    await store.runs.sweep({ maxCrashes: 3 });

    expect(await lease(store, node)).toEqual([]);
    await clock.advance("1h");
    expect(only(await lease(store, node))).toMatchObject({ id: taken.id, dueMs: taken.dueMs });
  });

  test("a run whose cancel was asked for is canceled when its node dies", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);
    await store.runs.hold(node, [start(taken)]);
    await store.desk.cancel([taken.id]);
    await clock.advance("5m");

    await store.runs.sweep({ maxCrashes: 3 });

    expect(await store.find.get(taken.id)).toMatchObject({ status: "canceled", reason: "user", canceling: false });
    expect(await lease(store, node)).toEqual([]);
  });

  test("a run whose cancel was asked for never starts elsewhere, when its lease expired before it was held", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);
    await store.desk.cancel([taken.id]);
    await clock.advance("5m");

    await store.runs.sweep({ maxCrashes: 3 });
    const next = await lease(store, node);

    expect(next.every(({ canceling }) => canceling)).toBe(true);
    for (const each of next) await store.runs.settle([settled(each, completed, { startedMs: null })]);
    expect(await statusOf(store, taken.id)).toBe("canceled");
  });

  test("what a live node holds is left alone", async () => {
    const { store, clock, node } = await setup();
    const dead = await leased(store, node);
    await store.runs.hold(node, [start(dead)]);
    await clock.advance("5m");
    const alive = await store.nodes.join(aNode({ name: "alive" }), 30_000);
    const kept = await leased(store, alive);
    await store.runs.hold(alive, [start(kept)]);

    const swept = await store.runs.sweep({ maxCrashes: 3 });

    expect(swept.recovered).toHaveLength(1);
    expect([await statusOf(store, dead.id), await statusOf(store, kept.id)]).toEqual(["pending", "running"]);
  });

  test("what a node held when it left is recovered", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await store.runs.hold(node, [start(taken)]);
    await store.nodes.leave(node);

    const swept = await store.runs.sweep({ maxCrashes: 3 });

    expect(swept.recovered).toHaveLength(1);
    expect(await statusOf(store, taken.id)).toBe("pending");
  });

  test("a node that beats again after its lease ended keeps what was not swept", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);
    await store.runs.hold(node, [start(taken)]);
    await clock.advance("5m");
    await store.nodes.beat(node, 30_000, aState(), []);

    const swept = await store.runs.sweep({ maxCrashes: 3 });

    expect(swept.recovered).toHaveLength(0);
    expect(await store.runs.hold(node, [start(taken)])).toEqual([]);
  });

  test("8 concurrent sweeps recover a run once", async () => {
    const { store, clock } = await setup();
    const id = await addOne(store);
    await crash({ store, clock });

    const swept = await Promise.all(Array.from({ length: 8 }, () => store.runs.sweep({ maxCrashes: 3 })));

    expect(swept.reduce((sum, { recovered }) => sum + recovered.length, 0)).toBe(1);
    expect(await store.find.get(id)).toMatchObject({ crashes: 1 });
    expect((await store.find.attempts({ run: id })).items).toHaveLength(1);
  });

  test("a run that did not start within its ttl fails as expired", async () => {
    const { store, clock, node } = await setup();
    const id = await addOne(store, { ttlMs: 60_000 });
    const kept = await addOne(store, { ttlMs: 3_600_000 });
    await clock.advance("5m");

    const swept = await store.runs.sweep({ maxCrashes: 3 });

    expect(swept).toMatchObject({ expired: [id], recovered: [], crashed: [] });
    const run = (await store.find.get(id))!;
    expect(run).toMatchObject({ status: "failed", reason: "expired", attempt: 0, startedAt: null });
    expect(run.error!.message).not.toBe("");
    expect(only(await lease(store, node)).id).toBe(kept);
  });

  test("the ttl counts from the instant that the run falls due", async () => {
    const { store, clock } = await setup();
    const id = await addOne(store, { delayMs: 3_600_000, ttlMs: 60_000 });
    await clock.advance("30m");

    await store.runs.sweep({ maxCrashes: 3 });

    expect(await statusOf(store, id)).toBe("pending");
  });

  test("a run that a node holds does not expire", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node, { ttlMs: 60_000 });
    await store.runs.hold(node, [start(taken)]);
    for (let i = 0; i < 6; i++) {
      await clock.advance("20s");
      await store.nodes.beat(node, 30_000, aState(), []);
    }

    const swept = await store.runs.sweep({ maxCrashes: 3 });

    expect(swept.expired).toHaveLength(0);
    expect(await statusOf(store, taken.id)).toBe("running");
  });

  test("a run does not expire while its lease stands", async () => {
    const { store, clock, node } = await setup();
    const id = await addOne(store, { ttlMs: 60_000 });
    await lease(store, node, { ttlMs: 3_600_000 });
    await clock.advance("5m");

    const swept = await store.runs.sweep({ maxCrashes: 3 });

    expect(swept.expired).toHaveLength(0);
    expect(await statusOf(store, id)).toBe("leased");
  });

  test("a run that has started once does not expire between its attempts", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node, { ttlMs: 60_000 });
    await store.runs.settle([settled(taken, again(600_000))]);
    await clock.advance("5m");

    const swept = await store.runs.sweep({ maxCrashes: 3 });

    expect(swept.expired).toHaveLength(0);
    expect(await statusOf(store, taken.id)).toBe("pending");
  });

  test("a run that has started once does not expire after its node's crash", async () => {
    const { store, clock } = await setup();
    const id = await addOne(store, { ttlMs: 60_000 });
    await crash({ store, clock });
    await store.runs.sweep({ maxCrashes: 3 });

    const swept = await store.runs.sweep({ maxCrashes: 3 });

    expect(swept.expired).toHaveLength(0);
    expect(await statusOf(store, id)).toBe("pending");
  });

  test("a run whose lease lapsed does not expire: it may have started", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node, { ttlMs: 60_000 });
    await clock.advance("5m");

    await store.runs.sweep({ maxCrashes: 3 });

    expect(await statusOf(store, taken.id)).toBe("pending");
    const other = await store.nodes.join(aNode(), 30_000);
    expect(only(await lease(store, other)).expiresMs).toBeNull();
  });

  test("a late result of a run that expired is refused", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node, { ttlMs: 60_000 });
    await release(store, taken);
    await clock.advance("5m");
    await store.runs.sweep({ maxCrashes: 3 });

    expect(await store.runs.settle([settled(taken)])).toEqual(["lost"]);
    expect(await statusOf(store, taken.id)).toBe("failed");
  });

  test("a canceled run whose node died before it was held is ended by the sweep", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);
    await store.desk.cancel([taken.id]);
    await clock.advance("5m");

    const swept = await store.runs.sweep({ maxCrashes: 3 });

    expect(swept).toMatchObject({ canceled: [taken.id], recovered: [], crashed: [] });
    expect(await statusOf(store, taken.id)).toBe("canceled");
  });

  test("a node's sweep leaves alone what it holds itself, however late it is", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);
    await store.runs.hold(node, [start(taken)]);
    await clock.advance("5m");

    await store.runs.sweep({ maxCrashes: 3, node });

    expect(await store.runs.settle([settled(taken)])).toEqual(["settled"]);
  });

  test("a paused queue's runs expire, too", async () => {
    const { store, clock } = await setup();
    await store.desk.pause("default", true);
    const id = await addOne(store, { ttlMs: 60_000 });
    await clock.advance("5m");

    await store.runs.sweep({ maxCrashes: 3 });

    expect(await statusOf(store, id)).toBe("failed");
  });

  test("a node that died long ago is forgotten, once its runs are recovered", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);
    await store.runs.hold(node, [start(taken)]);
    await clock.advance("3d");

    await store.runs.sweep({ maxCrashes: 3 });
    await store.runs.sweep({ maxCrashes: 3 });

    expect(await statusOf(store, taken.id)).toBe("pending");
    expect((await store.find.stats()).nodes).toEqual([]);
  });

  test("a run keeps the name of its node when that is forgotten", async () => {
    const { store, clock, node } = await setup();
    const id = await ended(store, node, failed());
    await clock.advance("3d");

    await store.runs.sweep({ maxCrashes: 3 });

    expect(await store.find.get(id)).toMatchObject({ node: "host:1" });
    expect(only((await store.find.attempts({ run: id })).items).node).toBe("host:1");
  });

  test("a sweep with nothing to do does nothing", async () => {
    const { store } = await setup();
    await addOne(store);

    const swept = await store.runs.sweep({ maxCrashes: 3 });

    expect(swept).toEqual({ recovered: [], crashed: [], canceled: [], expired: [], nodes: 0, pruned: 0, more: false });
  });
}
