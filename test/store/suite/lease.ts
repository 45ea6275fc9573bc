import { expect, test } from "vitest";
import {
  aClaim,
  addAll,
  addMany,
  addOne,
  again,
  aNode,
  aRun,
  completed,
  lease,
  leased,
  only,
  release,
  settled,
  wire,
} from "../../kit/build.ts";
import type { Lease, Taken } from "../../../runtime/store/port.ts";
import type { Setup } from "../suite.ts";
import { near } from "./near.ts";

export function leasing(setup: () => Promise<Setup>): void {
  test("a due run is leased with all that its attempt needs", async () => {
    const { store, clock, node } = await setup();
    const input = { json: '{"at":"2030-01-01"}', meta: '{"at":"Date"}' };
    const options = { retry: { attempts: 7 } };
    const key = { key: "k", keepMs: 1, onConflict: "return", hash: "h" } as const;
    const id = await addOne(store, {
      queue: "q",
      priority: 3,
      input,
      options,
      key,
      tags: ["a", "b"],
      ttlMs: 3_600_000,
    });

    const taken = only(await lease(store, node));

    expect(taken).toMatchObject({
      id,
      job: "job",
      queue: "q",
      priority: 3,
      input,
      options,
      key: "k",
      tags: ["a", "b"],
    });
    expect(taken).toMatchObject({ token: 1, attempt: 0, crashes: 0, canceling: false });
    near(taken.dueMs, clock.nowMs());
    near(taken.createdMs, clock.nowMs());
    near(taken.expiresMs, clock.nowMs() + 3_600_000);
  });

  test("a run that is added under a lease is leased to its node, and to nobody else until that ends", async () => {
    const { store, clock, node } = await setup();
    const other = await store.nodes.join(aNode(), 600_000);
    const input = { json: '{"at":"2030-01-01"}', meta: '{"at":"Date"}' };
    const options = { retry: { attempts: 7 } };
    const about = { queue: "q", priority: 3, input, options, tags: ["a", "b"], ttlMs: 3_600_000 };

    const [added] = await store.runs.add([aRun(about)], { lease: { node, ttlMs: 10_000 } });

    const { id, lease: taken, nowMs } = added as Taken;
    expect(taken).toMatchObject({ ...{ queue: "q", priority: 3, input, options, tags: ["a", "b"] }, id, job: "job" });
    expect(taken).toMatchObject({ token: 1, attempt: 0, crashes: 0, canceling: false, key: null });
    near(taken!.dueMs, clock.nowMs());
    near(taken!.createdMs, clock.nowMs());
    near(taken!.expiresMs, clock.nowMs() + 3_600_000);
    near(nowMs!, clock.nowMs());
    expect(await lease(store, other)).toEqual([]);
    await clock.advance("11s");
    expect(only(await lease(store, other))).toMatchObject({ id, token: 2, crashes: 1 });
    expect(await store.runs.settle([settled(taken!)])).toEqual(["lost"]);
  });

  test("a lease that came with its run is ended as any other", async () => {
    const { store, node } = await setup();
    const added = await store.runs.add([aRun(), aRun()], { lease: { node, ttlMs: 10_000 } });
    const [first, second] = added.map((each) => (each as Taken).lease!);

    expect(await store.runs.hold(node, [{ ...first!, startedMs: null }])).toEqual([]);
    expect(await store.runs.settle([settled(first!)])).toEqual(["settled"]);
    await release(store, second!);

    expect(await store.find.get(first!.id)).toMatchObject({ status: "completed", token: 1 });
    expect(only(await lease(store, node))).toMatchObject({ id: second!.id, token: 2, crashes: 0 });
  });

  test("a run of a paused queue is added without a lease", async () => {
    const { store, node } = await setup();
    await store.desk.pause("still", true);

    const added = await store.runs.add([aRun({ queue: "still" }), aRun()], { lease: { node, ttlMs: 10_000 } });

    expect(added.map((each) => (each as Taken).lease?.token ?? null)).toEqual([null, 1]);
    await store.desk.pause("still", false);
    expect(only(await lease(store, node))).toMatchObject({ id: (added[0] as Taken).id, token: 1 });
  });

  test("a plain run's lease has null where there is nothing", async () => {
    const { store, node } = await setup();

    const taken = await leased(store, node);

    expect(taken).toMatchObject({
      expiresMs: null,
      key: null,
      options: null,
      tags: [],
      input: { json: "{}", meta: null },
    });
  });

  test("a claim tells the store's time", async () => {
    const { store, clock, node } = await setup();
    await clock.advance("1d");

    const { nowMs } = await store.runs.lease(aClaim({ node }));

    near(nowMs, clock.nowMs());
  });

  test("a leased run shows its node and status", async () => {
    const { store, node } = await setup();

    const taken = await leased(store, node);

    expect(await store.find.get(taken.id)).toMatchObject({ status: "leased", node: "host:1", token: 1, attempt: 0 });
  });

  test("nobody else gets a leased run", async () => {
    const { store, node } = await setup();
    const other = await store.nodes.join(aNode({ name: "host:2" }), 30_000);
    await leased(store, node);

    expect(await lease(store, other)).toEqual([]);
    expect(await lease(store, node)).toEqual([]);
  });

  test("a run is not leased before its instant", async () => {
    const { store, clock, node } = await setup();
    const id = await addOne(store, { delayMs: 600_000 });

    const before = await lease(store, node);
    await clock.advance("11m");
    const after = await lease(store, node);

    expect(before).toEqual([]);
    expect(only(after).id).toBe(id);
  });

  test("a claim takes what falls due within its horizon", async () => {
    const { store, clock, node } = await setup();
    const soon = await addOne(store, { delayMs: 60_000 });
    await addOne(store, { delayMs: 600_000 });

    const taken = only(await lease(store, node, { aheadMs: 120_000 }));

    expect(taken.id).toBe(soon);
    near(taken.dueMs, clock.nowMs() + 60_000);
  });

  test("dueMs is never before the instant that was asked for", async () => {
    const { store, clock, node } = await setup();
    const dueAt = new Date(clock.nowMs() + 60_000);
    await addOne(store, { dueAt });

    const taken = only(await lease(store, node, { aheadMs: 120_000 }));

    expect(taken.dueMs).toBe(dueAt.getTime());
  });

  test("never more than the limit", async () => {
    const { store, node } = await setup();
    await addMany(store, 10);

    expect(await lease(store, node, { limit: 3 })).toHaveLength(3);
    expect(await lease(store, node, { limit: 0 })).toHaveLength(0);
    expect(await lease(store, node, { limit: 100 })).toHaveLength(7);
  });

  test("runs of jobs that the node does not have are left alone", async () => {
    const { store, node } = await setup();
    const other = await addOne(store, { job: "other" });
    const mine = await addOne(store, { job: "mine" });

    expect(await lease(store, node, { jobs: [] })).toEqual([]);
    expect(only(await lease(store, node, { jobs: ["mine", "unheard-of"] })).id).toBe(mine);
    expect(await store.find.get(other)).toMatchObject({ status: "pending", token: 0 });
  });

  test("a claim keeps to the queues that it names", async () => {
    const { store, node } = await setup();
    const [a, b, c] = await addAll(store, [aRun({ queue: "a" }), aRun({ queue: "b" }), aRun({ queue: "c" })]);

    expect(only(await lease(store, node, { queues: { only: ["a"] } })).id).toBe(a!.id);
    expect(only(await lease(store, node, { queues: { not: ["a", "c"] } })).id).toBe(b!.id);
    expect(only(await lease(store, node)).id).toBe(c!.id);
    expect(await lease(store, node, { queues: { only: [] } })).toEqual([]);
  });

  test("a paused queue gives nothing until it is unpaused", async () => {
    const { store, node } = await setup();
    await addOne(store, { queue: "a" });
    await store.desk.pause("a", true);

    expect(await lease(store, node)).toEqual([]);
    expect(await lease(store, node, { queues: { only: ["a"] }, order: "oldest" })).toEqual([]);
    await store.desk.pause("a", false);
    expect(await lease(store, node)).toHaveLength(1);
  });

  test("a queue that was paused before its first run is paused", async () => {
    const { store, node } = await setup();
    await store.desk.pause("late", true);

    await addOne(store, { queue: "late" });

    expect(await lease(store, node)).toEqual([]);
  });

  test("pausing one queue leaves the others", async () => {
    const { store, node } = await setup();
    const [, b] = await addAll(store, [aRun({ queue: "a" }), aRun({ queue: "b" })]);
    await store.desk.pause("a", true);

    expect(only(await lease(store, node)).id).toBe(b!.id);
  });

  test("higher priorities come first", async () => {
    const { store, node } = await setup();
    const runs = await addAll(
      store,
      [1, 9, 5, 0, 7].map((priority) => aRun({ priority })),
    );
    const byPriority = [1, 4, 2, 0, 3].map((i) => runs[i]!.id);

    const order = [];
    for (const _ of runs) order.push(only(await lease(store, node, { limit: 1 })).id);

    expect(order).toEqual(byPriority);
  });

  test("a claim of a few takes the highest priorities", async () => {
    const { store, node } = await setup();
    await addAll(
      store,
      [1, 9, 5, 9, 7].map((priority) => aRun({ priority })),
    );

    const taken = await lease(store, node, { limit: 3 });

    expect(taken.map(({ priority }) => priority).toSorted()).toEqual([7, 9, 9]);
  });

  test("within a lane the longest waiting comes first", async () => {
    const { store, clock, node } = await setup();
    const late = await addOne(store, { delayMs: 120_000 });
    const early = await addOne(store, { delayMs: 60_000 });
    await clock.advance("5m");

    const first = only(await lease(store, node, { limit: 1 }));
    const second = only(await lease(store, node, { limit: 1 }));

    expect([first.id, second.id]).toEqual([early, late]);
  });

  test("runs that became ready together come in the order in which they were added", async () => {
    const { store, node } = await setup();
    const ids = await addMany(store, 5);

    const order = [];
    for (const _ of ids) order.push(only(await lease(store, node, { limit: 1 })).id);

    expect(order).toEqual(ids);
  });

  test("of many lanes a claim takes what is due by priority, then what falls due soon, and nothing of a paused queue", async () => {
    const { store, node } = await setup();
    const queues = Array.from({ length: 50 }, (_, i) => `q${i}`);
    const due = await addAll(
      store,
      queues.map((queue, i) => aRun({ queue, priority: i % 10 })),
    );
    const soon = await addAll(
      store,
      queues.map((queue) => aRun({ queue, priority: 9, delayMs: 60_000 })),
    );
    await store.desk.pause("q9", true);
    const open = (list: readonly { readonly id: number }[]) => list.filter((_, i) => i !== 9).map(({ id }) => id);

    const first = await lease(store, node, { limit: 9, aheadMs: 120_000 });
    const second = await lease(store, node, { limit: 40, aheadMs: 120_000 });
    const third = await lease(store, node, { limit: 100, aheadMs: 120_000 });
    const none = await lease(store, node, { limit: 100, aheadMs: 120_000 });

    expect(first.map(({ priority }) => priority).sort()).toEqual([8, 8, 8, 8, 8, 9, 9, 9, 9]);
    expect(new Set([...first, ...second].map(({ id }) => id))).toEqual(new Set(open(due)));
    expect(new Set(third.map(({ id }) => id))).toEqual(new Set(open(soon)));
    expect(none).toEqual([]);
  });

  test("equal priorities take turns: a long lane does not keep another waiting", async () => {
    const { store, node } = await setup();
    await addMany(store, 100, { job: "long" });
    await addMany(store, 100, { job: "short" });

    const jobs = [];
    for (let i = 0; i < 4; i++) jobs.push(...(await lease(store, node, { jobs: ["long", "short"], limit: 10 })));

    const short = jobs.filter(({ job }) => job === "short").length;
    expect(short).toBeGreaterThanOrEqual(10);
    expect(short).toBeLessThanOrEqual(30);
  });

  test("turns hold for claims of one run, too", async () => {
    const { store, node } = await setup();
    await addAll(
      store,
      ["a", "a", "a", "a", "b", "b", "b", "b"].map((queue) => aRun({ queue })),
    );

    const queues = [];
    for (let i = 0; i < 4; i++) queues.push(only(await lease(store, node, { limit: 1 })).queue);

    expect(new Set(queues).size).toBe(2);
  });

  test("order oldest shares its places over all lanes that have something due, the lowest priority first", async () => {
    const { store, clock, node } = await setup();
    for (const priority of [9, 5]) await addMany(store, 30, { priority });
    await clock.advance("1m");
    const low = await addMany(store, 2, { priority: 0 });
    await addOne(store, { priority: 0, delayMs: 500 });
    const claim = (limit: number): Promise<readonly Lease[]> => lease(store, node, { limit, order: "oldest" });
    const counts = (leases: readonly Lease[]): readonly number[] =>
      [9, 5, 0].map((priority) => leases.filter((one) => one.priority === priority).length);

    const first = await claim(1);
    const second = await claim(7);
    const rest = await claim(100);

    expect(first.map(({ id }) => id)).toEqual([low[0]]);
    expect(counts(second)).toEqual([3, 3, 1]);
    expect(second.map(({ id }) => id)).toContain(low[1]);
    expect(counts(rest)).toEqual([27, 27, 1]);
  });

  test("order oldest leaves out what is paused, and fills its places from the others", async () => {
    const { store, node } = await setup();
    await addMany(store, 5, { queue: "a", priority: 0 });
    await addMany(store, 9, { queue: "b", priority: 9 });
    await addMany(store, 2, { queue: "c", priority: 5 });
    await store.desk.pause("a", true);

    const taken = await lease(store, node, { limit: 8, order: "oldest" });

    expect(taken.map(({ queue }) => queue).sort()).toEqual(["b", "b", "b", "b", "b", "b", "c", "c"]);
  });

  test("order oldest takes the longest waiting whatever its priority, so that nothing starves", async () => {
    const { store, clock, node } = await setup();
    const old = await addOne(store, { priority: 0 });
    await clock.advance("1h");
    await addMany(store, 5, { priority: 9 });

    const taken = only(await lease(store, node, { limit: 1, order: "oldest" }));

    expect(taken.id).toBe(old);
  });

  test("8 concurrent claims never hand out a run twice, nor more than the limit", async () => {
    const { store, node } = await setup();
    await addAll(
      store,
      Array.from({ length: 300 }, (_, i) => aRun({ queue: `q${i % 3}`, priority: i % 2 })),
    );

    const claims = await Promise.all(Array.from({ length: 8 }, () => lease(store, node, { limit: 40 })));
    const rest = await lease(store, node, { limit: 1000 });

    const ids = [...claims.flat(), ...rest].map(({ id }) => id);
    expect(claims.every((taken) => taken.length <= 40)).toBe(true);
    expect(ids).toHaveLength(300);
    expect(new Set(ids).size).toBe(300);
  });

  test("concurrent claims find what is left: none comes back empty while runs are due", async () => {
    const { store, node } = await setup();
    await addMany(store, 200);

    const claims = await Promise.all(Array.from({ length: 4 }, () => lease(store, node, { limit: 10 })));

    expect(claims.map((taken) => taken.length)).toEqual([10, 10, 10, 10]);
  });

  test("the token grows with each lease", async () => {
    const { store, node } = await setup();
    const id = await addOne(store);

    const tokens = [];
    for (let i = 0; i < 3; i++) {
      const taken = only(await lease(store, node));
      tokens.push(taken.token);
      await store.runs.settle([settled(taken, again())]);
    }

    expect(tokens).toEqual([1, 2, 3]);
    expect((await store.find.get(id))!.token).toBe(3);
  });

  test("an expired lease goes to another node, and the first node's result is refused", async () => {
    const { store, clock, node } = await setup();
    const other = await store.nodes.join(aNode({ name: "host:2" }), 3_600_000);
    const first = await leased(store, node, { input: wire(1) });
    await clock.advance("1m");

    const second = only(await lease(store, other));

    expect(second).toMatchObject({ id: first.id, token: 2, input: wire(1) });
    expect(await store.runs.settle([settled(first)])).toEqual(["lost"]);
    expect(await store.runs.settle([settled(second)])).toEqual(["settled"]);
    expect(await store.find.get(first.id)).toMatchObject({ status: "completed", node: "host:2", token: 2 });
  });

  test("a run whose lease expired is pending again for its readers", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);

    await clock.advance("1m");

    expect((await store.find.get(taken.id))!.status).toBe("pending");
  });

  test("an expired lease is an anonymous crash, counted once however often it happens", async () => {
    const { store, clock, node } = await setup();
    const nodes = [await store.nodes.join(aNode(), 600_000), node];
    await leased(store, node);

    const crashes = [];
    for (let i = 0; i < 3; i++) {
      await clock.advance("1m");
      crashes.push(only(await lease(store, nodes[i % 2]!)).crashes);
    }

    expect(crashes).toEqual([1, 1, 1]);
  });

  test("an expired lease that another node takes over is an attempt on record, and none is spent", async () => {
    const { store, clock, node } = await setup();
    const other = await store.nodes.join(aNode({ name: "other" }), 600_000);
    const first = await leased(store, node);
    await clock.advance("1m");

    const second = only(await lease(store, other));

    expect(second).toMatchObject({ id: first.id, attempt: 1, spent: 0, crashes: 1 });
    expect(await store.find.get(first.id)).toMatchObject({ attempt: 1, node: "other" });
    const record = only((await store.find.attempts({ run: first.id })).items);
    expect(record).toMatchObject({
      ...{ n: 1, token: first.token, outcome: "crashed", node: "host:1" },
      startedAt: null,
    });
    near(record.endedAt, clock.now());
  });

  test("an expired lease that its own node claims anew is no crash: the node lives", async () => {
    const { store, clock, node } = await setup();
    const { id } = await leased(store, node);
    await clock.advance("1m");

    expect(only(await lease(store, node))).toMatchObject({ id, token: 2, attempt: 0, crashes: 0 });
    expect(await store.find.get(id)).toMatchObject({ attempt: 0, crashes: 0 });
  });

  test("a claim brings anew what is leased to its node but not known there, and nothing else", async () => {
    const { store, node } = await setup();
    const other = await store.nodes.join(aNode(), 600_000);
    const known = await leased(store, node);
    await leased(store, other);
    const held = await leased(store, node);
    await store.runs.hold(node, [{ ...held, startedMs: null }]);
    const lost = await leased(store, node);

    const before = await lease(store, node);
    const anew = await lease(store, node, { known: [known.id, held.id] });

    expect(before).toEqual([]);
    expect(only(anew)).toMatchObject({ id: lost.id, token: 2, attempt: 0, crashes: 0 });
    expect(await store.runs.settle([settled(lost)])).toEqual(["lost"]);
    expect(await store.runs.settle([settled(known), settled(held)])).toEqual(["settled", "settled"]);
  });

  test("a lease that ended in time is no crash", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);
    await store.runs.settle([settled(taken, again())]);
    await clock.advance("1m");

    expect(only(await lease(store, node)).crashes).toBe(0);
  });

  test("a settled run is never leased again", async () => {
    const { store, clock, node } = await setup();
    await store.runs.settle([settled(await leased(store, node), completed)]);

    await clock.advance("1h");

    expect(await lease(store, node)).toEqual([]);
  });
}
