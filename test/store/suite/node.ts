import { expect, test } from "vitest";
import type { RateStat } from "../../../sdk/port/target.ts";
import {
  addOne,
  aJob,
  aNode,
  aState,
  aTally,
  completed,
  lease,
  leased,
  only,
  release,
  sendTo,
  settled,
  suspended,
  waiting,
  withChildren,
} from "../../kit/build.ts";
import { until } from "../../kit/until.ts";
import type { Setup } from "../suite.ts";
import { near } from "./near.ts";

function aRate(overrides: Parameters<typeof aTally>[0]): RateStat {
  const { waits: _, runs: __, ...rate } = aTally(overrides);
  return rate;
}

export function nodes(setup: () => Promise<Setup>): void {
  test("each node gets a number of its own", async () => {
    const { store, node } = await setup();

    const others = await Promise.all([store.nodes.join(aNode(), 30_000), store.nodes.join(aNode(), 30_000)]);

    expect(new Set([node, ...others]).size).toBe(3);
  });

  test("a beat in time is alive, and tells the store's time", async () => {
    const { store, clock, node } = await setup();
    await clock.advance("10s");

    const beat = await store.nodes.beat(node, 30_000, aState(), []);

    expect(beat).toMatchObject({ alive: true, asks: [] });
    near(beat.nowMs, clock.nowMs());
  });

  test("a late beat hears that the node's lease had ended, and is alive from then on", async () => {
    const { store, clock, node } = await setup();
    await clock.advance("5m");

    const late = await store.nodes.beat(node, 30_000, aState(), []);
    const next = await store.nodes.beat(node, 30_000, aState(), []);

    expect([late.alive, next.alive]).toEqual([false, true]);
  });

  test("stats show each node as it last reported", async () => {
    const { store, clock } = await setup();
    const node = await store.nodes.join(aNode({ name: "host:2" }), 30_000);
    await clock.advance("10s");
    await store.nodes.beat(node, 30_000, { slots: 10, busy: 3, heap: 7, draining: true, jobs: ["a", "b"] }, []);

    const { nodes } = await store.find.stats();

    expect(nodes).toHaveLength(2);
    const mine = nodes.find(({ id }) => id === node)!;
    expect(mine).toMatchObject({
      name: "host:2",
      alive: true,
      draining: true,
      asleep: false,
      slots: 10,
      busy: 3,
      heap: 7,
      jobs: ["a", "b"],
    });
    near(mine.startedAt, clock.nowMs() - 10_000);
    near(mine.seenAt, clock.now());
  });

  test("stats show that a node sleeps", async () => {
    const { store, node } = await setup();

    await store.nodes.beat(node, 3_600_000, aState({ asleep: true }), []);

    expect(only((await store.find.stats()).nodes)).toMatchObject({ alive: true, asleep: true });
  });

  test("stats show a node whose lease ended as not alive", async () => {
    const { store, clock, node } = await setup();
    await clock.advance("2m");

    const { nodes } = await store.find.stats();

    expect(only(nodes)).toMatchObject({ id: node, alive: false });
  });

  test("a node that left is not alive", async () => {
    const { store, node } = await setup();

    await store.nodes.leave(node);

    expect((await store.find.stats()).nodes.filter(({ alive }) => alive)).toEqual([]);
  });

  test("rates add up what nodes report, by queue and job", async () => {
    const { store, node } = await setup();
    const other = await store.nodes.join(aNode(), 30_000);
    await store.nodes.beat(node, 30_000, aState(), [
      aTally({ completed: 2, waitMs: 10, runMs: 100 }),
      aTally({ job: "b", failed: 1 }),
    ]);
    await store.nodes.beat(node, 30_000, aState(), [aTally({ completed: 3, retried: 1, waitMs: 5, runMs: 50 })]);
    await store.nodes.beat(other, 30_000, aState(), [aTally({ completed: 1, canceled: 4 })]);

    const { rates, windowMs } = await store.find.stats();

    expect(windowMs).toBeGreaterThanOrEqual(300_000);
    expect(windowMs).toBeLessThan(360_000);
    expect(rates).toHaveLength(2);
    expect(rates).toContainEqual(aRate({ completed: 6, canceled: 4, retried: 1, waitMs: 15, runMs: 150 }));
    expect(rates).toContainEqual(aRate({ job: "b", failed: 1 }));
  });

  test("rates forget what is older than their window", async () => {
    const { store, clock, node } = await setup();
    await store.nodes.beat(node, 30_000, aState(), [aTally({ completed: 2 })]);
    await clock.advance("10m");
    await store.nodes.beat(node, 30_000, aState(), [aTally({ completed: 5 })]);

    const { rates } = await store.find.stats();

    expect(only(rates).completed).toBe(5);
  });

  test("published jobs are listed, and publishing again replaces them", async () => {
    const { store, clock, node } = await setup();
    await store.nodes.publish(node, [aJob({ id: "a", description: "old" }), aJob({ id: "b" })]);
    const newer = aJob({
      id: "a",
      description: "new",
      queue: "q",
      priority: 7,
      schema: "{}",
      tags: ["t"],
      ttlMs: 9,
      hooks: ["success", "cancel"],
    });

    await store.nodes.publish(node, [newer]);

    const jobs = await store.find.jobs();
    expect(jobs.map(({ id }) => id).toSorted()).toEqual(["a", "b"]);
    const { schedules: _, ...about } = newer;
    const a = jobs.find(({ id }) => id === "a")!;
    expect({ ...a, hooks: a.hooks.toSorted() }).toMatchObject({ ...about, hooks: ["cancel", "success"] });
    near(a.seenAt, clock.now());
  });

  test("publishing no jobs changes nothing", async () => {
    const { store, node } = await setup();
    await store.nodes.publish(node, [aJob()]);

    await store.nodes.publish(node, []);

    expect(await store.find.jobs()).toHaveLength(1);
  });

  test("two nodes publishing the same jobs at once both succeed", async () => {
    const { store, node } = await setup();
    const other = await store.nodes.join(aNode(), 30_000);
    const jobs = Array.from({ length: 20 }, (_, i) => aJob({ id: `j${i}` }));

    await Promise.all([
      store.nodes.publish(node, jobs),
      store.nodes.publish(other, jobs.toReversed()),
      store.nodes.publish(node, jobs),
    ]);

    expect(await store.find.jobs()).toHaveLength(20);
  });
}

export function listening(setup: () => Promise<Setup>): void {
  async function ear({ store, node }: Setup, at = node) {
    const heard: string[] = [];
    const stop = await store.runs.listen(at, (what) => heard.push(what));
    return { heard, stop, hears: (what: string) => until(() => heard.includes(what), { what: `a call of "${what}"` }) };
  }

  test("a node hears of a run that was added due", async () => {
    const bench = await setup();
    const { hears, stop } = await ear(bench);

    await addOne(bench.store);

    await hears("due");
    await stop();
  });

  test("a node hears of a run that was released", async () => {
    const bench = await setup();
    const taken = await leased(bench.store, bench.node);
    const { hears, stop } = await ear(bench);

    await release(bench.store, taken);

    await hears("due");
    await stop();
  });

  test("a node hears of a queue that was unpaused", async () => {
    const bench = await setup();
    await bench.store.desk.pause("default", true);
    await addOne(bench.store);
    const { hears, stop } = await ear(bench);

    await bench.store.desk.pause("default", false);

    await hears("due");
    await stop();
  });

  test("a node hears that a run it holds is to be canceled, and other nodes do not", async () => {
    const bench = await setup();
    const taken = await leased(bench.store, bench.node);
    const other = await ear(bench, await bench.store.nodes.join(aNode(), 30_000));
    const { hears, stop } = await ear(bench);

    await bench.store.desk.cancel([taken.id]);

    await hears("command");
    expect(other.heard).not.toContain("command");
    await stop();
    await other.stop();
  });

  test("a node hears of what is sent to runs that it has, and which of those that wakes", async () => {
    const { store, clock, node } = await setup();
    const heard: string[] = [];
    const stop = await store.runs.listen(
      node,
      (what, runs = []) => runs.length > 0 && heard.push(`${what} ${runs.join()}`),
    );
    const runs = await leased(store, node);
    const waits = await leased(store, node);
    await store.runs.settle([settled(waits, waiting({ untilMs: clock.nowMs() + 600_000 }))]);
    const delayed = await addOne(store, { delayMs: 600_000 });
    const elsewhere = await suspended(store, node);
    await lease(store, node, { aheadMs: 700_000 });

    for (const id of [runs.id, waits.id, waits.id, delayed, elsewhere.id]) await sendTo(store, id);
    const [child] = await withChildren(store, runs);
    const made = only(await lease(store, node, { jobs: ["child"] }));
    await store.runs.settle([settled(made, completed, { flow: true })]);

    const all = [`sent ${runs.id}`, `woken ${waits.id}`, `sent ${waits.id}`, `sent ${delayed}`, `sent ${runs.id}`];
    await until(() => heard.length >= all.length, { what: "calls for the runs that the node has" });
    expect(made.id).toBe(child);
    expect(heard.toSorted()).toEqual(all.toSorted());
    await stop();
  });

  test("nothing is heard after the end of listening", async () => {
    const bench = await setup();
    const first = await ear(bench);
    const second = await ear(bench);
    await first.stop();

    await addOne(bench.store);

    await second.hears("due");
    expect(first.heard).toEqual([]);
    await second.stop();
  });
}
