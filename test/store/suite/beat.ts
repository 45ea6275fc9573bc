import { expect, test } from "vitest";
import type { Beat, NodeState, Guarded } from "../../../runtime/store/port.ts";
import { addOne, aNode, aState, lease, leased } from "../../kit/build.ts";
import { until } from "../../kit/until.ts";
import type { Setup } from "../suite.ts";
import { near } from "./near.ts";

const minute = 60_000;

/** What a beat tells a node beside its commands. */
export function beating(setup: () => Promise<Setup>): void {
  const beat = (store: Guarded, node: number, state: Partial<NodeState> = {}, ttlMs = 30_000): Promise<Beat> =>
    store.nodes.beat(node, ttlMs, aState(state), []);

  test("with nothing there, there is nothing to sweep, nobody else, and nothing comes", async () => {
    const { store, node } = await setup();
    await lease(store, node); // before its first claim a node may know too little to tell

    const answer = await beat(store, node);

    expect(answer).toMatchObject({ sweep: false, others: false, coming: { dueMs: null, expiresMs: null } });
  });

  test("other nodes are told of while they live", async () => {
    const { store, clock, node } = await setup();
    await store.nodes.join(aNode(), 30_000);

    const first = await beat(store, node, {}, 600_000);
    await clock.advance("5m");
    const second = await beat(store, node);

    expect([first.others, second.others]).toEqual([true, false]);
  });

  test("what a dead node held is to be swept by others, until it is", async () => {
    const { store, clock, node } = await setup();
    const dead = await store.nodes.join(aNode(), 30_000);
    const taken = await leased(store, dead);
    await store.runs.hold(dead, [{ ...taken, startedMs: null }]);
    const living = await beat(store, node, {}, 600_000);
    await clock.advance("2m");

    const found = await beat(store, node);
    const own = await beat(store, dead);
    await clock.advance("2m");
    await beat(store, node);
    await store.runs.sweep({ maxCrashes: 3, node });
    const swept = await beat(store, node);

    expect([living, found, own, swept].map(({ sweep }) => sweep)).toEqual([false, true, false, false]);
  });

  test("a node that left with nothing is to be swept only once it is forgotten", async () => {
    const { store, clock, node } = await setup();
    await store.nodes.leave(await store.nodes.join(aNode(), 30_000));

    const first = await beat(store, node);
    await clock.advance("2h");
    const second = await beat(store, node);
    await store.runs.sweep({ maxCrashes: 3, node });
    const third = await beat(store, node);

    expect([first, second, third].map(({ sweep }) => sweep)).toEqual([false, true, false]);
  });

  test("a run that has expired is to be swept, whatever its job", async () => {
    const { store, clock, node } = await setup();
    await addOne(store, { job: "other", ttlMs: minute });

    const first = await beat(store, node, {}, 600_000);
    await clock.advance("2m");
    const second = await beat(store, node);
    await store.runs.sweep({ maxCrashes: 3, node });
    const third = await beat(store, node);

    expect([first, second, third].map(({ sweep }) => sweep)).toEqual([false, true, false]);
    near(first.coming!.expiresMs, clock.nowMs() - minute);
    expect(third.coming).toMatchObject({ expiresMs: null });
  });

  test("a run whose lease ended while its cancel was under way is to be swept", async () => {
    const { store, clock, node } = await setup();
    const dead = await store.nodes.join(aNode(), 30_000);
    const taken = await leased(store, dead);
    await store.desk.cancel([taken.id]);

    const first = await beat(store, node, {}, 600_000);
    await clock.advance("2m");
    const second = await beat(store, node);
    await store.runs.sweep({ maxCrashes: 3, node });
    const third = await beat(store, node);

    expect([first, second, third].map(({ sweep }) => sweep)).toEqual([false, true, false]);
  });

  test("the first run that its jobs have to do comes", async () => {
    const { store, clock, node } = await setup();
    await addOne(store, { delayMs: 20 * minute });
    await addOne(store, { delayMs: 10 * minute, queue: "q", priority: 9 });
    await addOne(store, { job: "other" });

    const { coming } = await beat(store, node);

    near(coming!.dueMs, clock.nowMs() + 10 * minute);
  });

  test("what is due comes now, and no later than a claim would have it", async () => {
    const { store, clock, node } = await setup();
    const id = await addOne(store, { delayMs: 10 * minute });
    await clock.advance("10m");
    await clock.advance("1s");

    const { coming } = await beat(store, node);
    const leases = await lease(store, node, { aheadMs: 0 });

    expect(coming!.dueMs).toBeLessThanOrEqual(clock.nowMs());
    expect(leases.map((each) => each.id)).toEqual([id]);
  });

  test("runs of a paused queue do not come before it is unpaused", async () => {
    const { store, clock, node } = await setup();
    await addOne(store, { queue: "q" });
    await addOne(store, { delayMs: 10 * minute });
    await store.desk.pause("q", true);
    await lease(store, node, { aheadMs: 0 }); // a node hears of settings by its claims

    const paused = await beat(store, node);
    await store.desk.pause("q", false);
    const unpaused = await beat(store, node);

    near(paused.coming!.dueMs, clock.nowMs() + 10 * minute);
    expect(unpaused.coming!.dueMs).toBeLessThanOrEqual(clock.nowMs() + 1000);
  });

  test("a run that another node has claimed comes when its lease ends", async () => {
    const { store, clock, node } = await setup();
    const other = await store.nodes.join(aNode(), 30_000);
    await addOne(store);
    await addOne(store, { delayMs: 10 * minute });
    await lease(store, other, { ttlMs: minute });

    const { coming } = await beat(store, node);

    near(coming!.dueMs, clock.nowMs() + minute);
  });

  test("a run behind one that another node has claimed comes when it is due", async () => {
    const { store, clock, node } = await setup();
    const other = await store.nodes.join(aNode(), 30_000);
    await addOne(store);
    await lease(store, other, { ttlMs: 20 * minute });
    await addOne(store, { delayMs: 10 * minute });

    const { coming } = await beat(store, node);

    near(coming!.dueMs, clock.nowMs() + 10 * minute);
  });

  test("what comes is not looked for by a node that has runs", async () => {
    const { store, node } = await setup();
    await addOne(store);

    const answers = await Promise.all([beat(store, node, { busy: 1 }), beat(store, node, { heap: 1 })]);

    expect(answers.map(({ coming }) => coming)).toEqual([null, null]);
  });

  test("a node that sleeps is alive until its lease ends", async () => {
    const { store, clock, node } = await setup();
    await beat(store, node, { asleep: true }, 60 * minute);

    await clock.advance("50m");
    const late = await beat(store, node);

    expect(late.alive).toBe(true);
  });

  test("a node that is awake wakes one that sleeps, whose lease ends soon if it does not hear", async () => {
    const { store, clock, node } = await setup();
    const heard: string[] = [];
    const stop = await store.runs.listen(node, (what) => heard.push(what));
    await beat(store, node, { asleep: true }, 60 * minute);
    const newcomer = await store.nodes.join(aNode(), 30_000);

    const { others } = await beat(store, newcomer, {}, 600_000);
    await until(() => heard.includes("due"), { what: "a call that wakes" });
    await clock.advance("11m");
    const later = await beat(store, newcomer);

    expect([others, later.others]).toEqual([true, false]);
    await stop();
  });

  test("a node that falls asleep wakes no other, and nobody else's lease is cut", async () => {
    const { store, clock, node } = await setup();
    const awake = await store.nodes.join(aNode(), 60 * minute);
    await beat(store, node, { asleep: true }, 60 * minute);

    await beat(store, awake, { asleep: true }, 60 * minute);
    await clock.advance("30m");
    const answers = [await beat(store, node), await beat(store, awake)];

    expect(answers.map(({ alive }) => alive)).toEqual([true, true]);
  });

  test("a node that sleeps hears of a run that is due much later", async () => {
    const { store, node } = await setup();
    const heard: string[] = [];
    const stop = await store.runs.listen(node, (what) => heard.push(what));
    await beat(store, node, { asleep: true }, 60 * minute);

    await addOne(store, { delayMs: 10 * minute });

    await until(() => heard.includes("due"), { what: 'a call of "due"' });
    await stop();
  });
}
