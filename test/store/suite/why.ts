import { expect, test } from "vitest";
import { whyOf, type Why } from "../../../sdk/client/why.ts";
import { formatId } from "../../../sdk/port/id.ts";
import type { Guarded, Lease } from "../../../runtime/store/port.ts";
import {
  addMany,
  addOne,
  again,
  aJob,
  aKey,
  aNode,
  aState,
  completed,
  ended,
  failed,
  lease,
  leased,
  only,
  settled,
  snoozed,
  suspended,
  withChildren,
} from "../../kit/build.ts";
import type { Setup } from "../suite.ts";
import { near } from "./near.ts";

type Ready = Setup & {
  /** Why a run stands where it does; spans and instants of the text are `3m` and `T`, for real time may flow. */
  why(id: number): Promise<Why & { readonly said: string }>;
};

async function explain(store: Guarded, id: number): Promise<Why & { readonly said: string }> {
  const why = (await whyOf(store, id))!;
  const said = why.text
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "T")
    .replaceAll(/(?<![\w"])\d+(?:\.\d)?(?:ms|s|m|h|d)(?: \d+(?:s|m|h))?(?!\w)/g, "3m");
  return { ...why, said };
}

/** A node `host:1` that lives for 30 s and has job `job`. */
async function ready(setup: () => Promise<Setup>): Promise<Ready> {
  const made = await setup();
  await made.store.nodes.beat(made.node, 30_000, aState(), []);
  return { ...made, why: (id) => explain(made.store, id) };
}

const start = ({ id, token, dueMs }: Lease) => ({ id, token, startedMs: dueMs });

export function explaining(setup: () => Promise<Setup>): void {
  later(() => ready(setup));
  held(() => ready(setup));
  served(setup);
  turns(() => ready(setup));
  taken(() => ready(setup));
  over(() => ready(setup));

  test("there is no reason for a run that is not there", async () => {
    const { store } = await setup();

    expect(await store.find.facts(12_345)).toBeNull();
    expect(await whyOf(store, 12_345)).toBeNull();
  });
}

function later(setup: () => Promise<Ready>): void {
  test("a run that is due later says when", async () => {
    const { store, clock, why } = await setup();
    const id = await addOne(store, { delayMs: 240_000 });

    const { said, because, status, at, run } = await why(id);

    expect(said).toBe(`It is due in 3m, at T; start it now with: tasker edit ${formatId(id)} --now`);
    expect({ because, status, run }).toMatchObject({
      because: { code: "delayed", also: null },
      ...{ status: "pending", run: formatId(id) },
    });
    near((because as { dueAt: Date }).dueAt, clock.nowMs() + 240_000);
    near(at, clock.now());
  });

  test("a run that is due later says, too, what would keep it waiting then", async () => {
    const { store, why } = await setup();
    const id = await addOne(store, { delayMs: 240_000, queue: "mail" });
    await store.desk.pause("mail", true);

    const { said, because } = await why(id);

    expect(said).toBe(
      'It is due in 3m, at T; even then it would wait: queue "mail" has been paused for 3m, since T; let it go on with: tasker queues resume mail',
    );
    expect(because).toMatchObject({ code: "delayed", also: { code: "paused", queue: "mail" } });
  });

  test("a retry says which it is, when it starts, and after which error", async () => {
    const { store, node, why } = await setup();
    await store.nodes.publish(node, [aJob({ attempts: 5 })]);
    const id = await ended(store, node, again(0));
    const second = only(await lease(store, node));
    await store.runs.settle([settled(second, again(40_000, "no route\nat all"))]);
    const own = await ended(store, node, again(40_000), { options: { retry: { attempts: 2 } } });

    const { said, because } = await why(id);

    expect(said).toBe("Attempt 3 of 5 starts in 3m, at T, after this error: Error: no route");
    expect(because).toMatchObject({ code: "retrying", attempt: 3, failed: 2, attempts: 5, error: { name: "Error" } });
    expect((await why(own)).said).toBe("Attempt 2 of 2 starts in 3m, at T, after this error: Error: boom");
  });

  test("attempts that do not count towards the limit are told apart from those that failed", async () => {
    const { store, node, why } = await setup();
    await store.nodes.publish(node, [aJob({ attempts: 3 })]);
    const id = await ended(store, node, snoozed(0));
    await store.runs.settle([settled(only(await lease(store, node)), again(40_000))]);

    expect((await why(id)).said).toMatch(/^Attempt 3 \(1 of 3 have failed\) starts in 3m/);
  });

  test("where nobody said how many attempts may fail, none is named", async () => {
    const { store, node, why } = await setup();
    await store.nodes.publish(node, [aJob({ attempts: null })]);
    const id = await ended(store, node, again(40_000));

    expect((await why(id)).said).toBe("Attempt 2 starts in 3m, at T, after this error: Error: boom");
  });

  test("a run that its handler put off says so", async () => {
    const { store, node, why } = await setup();
    const id = await ended(store, node, snoozed(40_000));

    expect(await why(id)).toMatchObject({
      said: "Its handler put it off: it goes on in 3m, at T",
      because: { code: "snoozed", failed: 0, error: null },
    });
  });
}

function held(setup: () => Promise<Ready>): void {
  test("a run of a paused queue says since when, and how to let it go on", async () => {
    const { store, clock, why } = await setup();
    const id = await addOne(store, { queue: "mail" });
    await store.desk.pause("mail", true);
    const pausedMs = clock.nowMs();
    await clock.advance("3m");
    await store.desk.pause("mail", true);

    const { said, because } = await why(id);

    expect(said).toBe('Queue "mail" has been paused for 3m, since T; let it go on with: tasker queues resume mail');
    near((because as { pausedAt: Date }).pausedAt, pausedMs);
    await store.desk.pause("mail", false);
    expect((await why(id)).because.code).not.toBe("paused");
  });

  test("the queue of hooks is named as a shell takes it", async () => {
    const { store, why } = await setup();
    const id = await addOne(store, { queue: "$hooks" });
    await store.desk.pause("$hooks", true);

    expect((await why(id)).text).toMatch(/tasker queues resume '\$hooks'$/);
  });
}

function served(setup: () => Promise<Setup>): void {
  test("a run that no node ever had the job of says so", async () => {
    const { store, node } = await setup();
    const id = await addOne(store);
    const idle = await explain(store, id);
    await store.nodes.leave(node);

    const { said, because } = await explain(store, id);

    expect(idle.said).toBe(
      'No live node has job "job": no node has ever had it, and the one node that lives does not have it; start a process that has it',
    );
    expect(said).toBe(
      'No node lives that could run job "job": no node has ever had it; start one with "tasker start" or "tasker dev"',
    );
    expect(because).toEqual({ code: "unserved", job: "job", version: null, seen: null, nodes: [] });
  });

  test("a run whose job only nodes of another version lack says where it was last seen", async () => {
    const { store, clock } = await setup();
    const old = await store.nodes.join(aNode({ name: "host:7", version: "v1" }), 30_000);
    await store.nodes.publish(old, [aJob()]);
    await store.nodes.beat(old, 30_000, aState(), []);
    await store.nodes.leave(old);
    const seenMs = clock.nowMs();
    await clock.advance("3m");
    for (const name of ["host:8", "host:9"]) {
      const node = await store.nodes.join(aNode({ name, version: "v2" }), 30_000);
      await store.nodes.beat(node, 30_000, aState({ jobs: ["other"] }), []);
    }
    const id = await addOne(store);

    const { said, because } = await explain(store, id);

    expect(said).toBe(
      'No live node has job "job": it was last seen on node "host:7", version "v1", 3m ago, and the 2 nodes that live do not have it (version "v2"); start a process that has it',
    );
    expect(because).toMatchObject({
      ...{ code: "unserved", seen: { node: "host:7", version: "v1" } },
      nodes: [
        { node: "host:8", version: "v2" },
        { node: "host:9", version: "v2" },
      ],
    });
    near((because as { seen: { at: Date } }).seen.at, seenMs);
  });

  test("a run that is pinned to a version says so where no live node has that, and is held by the limits of its queue", async () => {
    const { store, clock } = await setup();
    const old = await store.nodes.join(aNode({ name: "host:7", version: "v1", limits: { default: 1 } }), 30_000);
    await store.nodes.beat(old, 30_000, aState(), []);
    const [run, other] = [await suspended(store, old), await leased(store, old)];
    await store.flow.mend(run.id, [], 0, "v1");
    const full = await explain(store, run.id);
    await store.desk.pause("default", true);
    const paused = await explain(store, run.id);
    await store.desk.pause("default", false);
    await store.nodes.leave(old);
    await clock.advance("3m");
    const node = await store.nodes.join(aNode({ name: "host:8", version: "v2" }), 30_000);
    await store.nodes.beat(node, 30_000, aState(), []);

    const { said, because } = await explain(store, run.id);

    expect(full.said).toBe(`The one place of queue "default" on node "host:7" is taken, by ${formatId(other.id)}`);
    expect(paused.said).toMatch(/^Queue "default" has been paused for 3m, since T; .+ tasker queues resume default$/);
    expect(said).toBe(
      'No live node has job "job" in version "v1", to which the run is pinned: it was last seen on node "host:7", version "v1", 3m ago, and the one node that lives does not have it (version "v2"); start a process that has it',
    );
    expect(because).toMatchObject({ code: "unserved", version: "v1", seen: { node: "host:7" } });
  });

  test("where a job was last is known after its node was forgotten", async () => {
    const { store, clock, node } = await setup();
    await store.nodes.publish(node, [aJob()]);
    await clock.advance("10m");
    await store.nodes.beat(node, 30_000, aState(), []);
    await store.nodes.leave(node);
    const seenMs = clock.nowMs();
    await clock.advance("2h");
    const forgotten = await store.runs.sweep({ maxCrashes: 3 });
    const id = await addOne(store);

    const { because } = await explain(store, id);

    expect(forgotten.nodes).toBe(1);
    expect(because).toMatchObject({ code: "unserved", seen: { node: "host:1" }, nodes: [] });
    near((because as { seen: { at: Date } }).seen.at, seenMs);
    near(only(await store.find.jobs()).seenAt, seenMs);
  });

  test("a run that only a node has which shuts down says so", async () => {
    const { store, node } = await setup();
    await store.nodes.beat(node, 30_000, aState({ draining: true }), []);
    const id = await addOne(store);

    expect(await explain(store, id)).toMatchObject({
      said: 'Only node "host:1" has job "job", and it is shutting down; start another process that has it',
      because: { code: "draining", nodes: [{ node: "host:1" }] },
    });
  });
}

function turns(setup: () => Promise<Ready>): void {
  test("a run that is next says which node has room", async () => {
    const { store, why } = await setup();
    const id = await addOne(store);

    expect(await why(id)).toMatchObject({
      said: 'It is due, and node "host:1" has room: it starts with the next claim, within a poll',
      because: { code: "next", nodes: [{ node: "host:1", slots: 50, leased: 0, limit: null }] },
    });
  });

  test("a run that others go before says how many, by priority and instant, of its own queue and served jobs", async () => {
    const { store, clock, node, why } = await setup();
    await store.nodes.beat(node, 30_000, aState({ jobs: ["job", "other"] }), []);
    await addMany(store, 3);
    await clock.advance("1s");
    const id = await addOne(store);
    await clock.advance("1s");
    await addMany(store, 2, { job: "other", priority: 9 });
    await addMany(store, 4);
    await addMany(store, 5, { queue: "elsewhere" });
    await addMany(store, 6, { job: "unserved", priority: 9 });
    await addMany(store, 7, { priority: 9, delayMs: 60_000 });
    await addMany(store, 8, { priority: 1 });

    expect(await why(id)).toMatchObject({
      said: 'It waits for its turn: 5 runs of queue "default" that are due earlier or have a higher priority go first',
      because: { code: "behind", queue: "default", ahead: 5 },
    });
  });

  test("more than 10,000 runs that go first are not counted", async () => {
    const { store, clock, why } = await setup();
    await addMany(store, 10_002);
    await clock.advance("1s");
    const id = await addOne(store);

    const { said, because } = await why(id);

    expect(said).toBe(
      'It waits for its turn: more than 10,000 runs of queue "default" that are due earlier or have a higher priority go first',
    );
    expect(because).toMatchObject({ ahead: 10_001 });
  });

  test("a run whose queue has no place left on any node says which runs have them", async () => {
    const { store, why } = await setup();
    const node = await store.nodes.join(aNode({ name: "host:2", limits: { mail: 2, other: 9 } }), 30_000);
    await store.nodes.beat(node, 30_000, aState({ jobs: ["letter", "job"] }), []);
    const mail = { job: "letter", queue: "mail" };
    const [first, second] = [await leased(store, node, mail), await leased(store, node, mail)];
    await leased(store, node);
    await store.runs.hold(node, [start(second)]);
    await addOne(store, mail);
    const id = await addOne(store, mail);

    const { said, because } = await why(id);

    expect(said).toBe(
      `All 2 places of queue "mail" on node "host:2" are taken, by ${formatId(second.id)} and ${formatId(first.id)}; 1 run of queue "mail" that is due earlier or has a higher priority goes first`,
    );
    expect(because).toMatchObject({
      ...{ code: "full", runs: [formatId(second.id), formatId(first.id)], ahead: 1 },
      nodes: [{ node: "host:2", slots: 50, leased: 3, limit: 2, ofQueue: 2 }],
    });
  });

  test("a run that finds all slots of all nodes taken says so, whatever the queues of those runs", async () => {
    const { store, node, why } = await setup();
    const other = await store.nodes.join(aNode({ name: "host:2" }), 30_000);
    await store.nodes.beat(node, 30_000, aState({ slots: 1, jobs: ["job", "a"] }), []);
    await store.nodes.beat(other, 30_000, aState({ slots: 4, jobs: ["job"] }), []);
    await leased(store, node, { job: "a", queue: "elsewhere" });
    await addMany(store, 4);
    const runs = await lease(store, other);
    await store.runs.hold(other, runs.slice(0, 2).map(start));
    const id = await addOne(store);

    const { said, because } = await why(id);

    expect(said).toMatch(
      /^All 5 slots on the 2 nodes that have job "job" are taken, by run_\w+, run_\w+, run_\w+ and 2 more$/,
    );
    expect(because).toMatchObject({ code: "full", ahead: 0 });
    expect((because as { runs: readonly string[] }).runs).toHaveLength(5);
  });

  test("a run that crashed says that it waits for another that did", async () => {
    const { store, clock, node, why } = await setup();
    await store.nodes.leave(node);
    const mortal = await store.nodes.join(aNode({ name: "mortal" }), 30_000);
    await addMany(store, 2);
    await store.runs.hold(mortal, (await lease(store, mortal)).map(start));
    await clock.advance("1m");
    await store.runs.sweep({ maxCrashes: 3 });
    const heir = await store.nodes.join(aNode({ name: "heir" }), 30_000);
    await store.nodes.beat(heir, 30_000, aState(), []);
    const alone = only(await lease(store, heir, { limit: 1 }));
    const other = only((await store.find.list({ status: ["pending"] })).items);

    expect(await why(other.id)).toMatchObject({
      said: 'It was lost with its process once, so a node starts it only while it has no other run that crashed, and node "heir" has one',
      because: { code: "alone", crashes: 1 },
    });
    await store.runs.settle([settled(alone)]);
    expect((await why(other.id)).because.code).toBe("next");
  });
}

function taken(setup: () => Promise<Ready>): void {
  test("a run that a node has ahead of its instant says which node, and when it starts", async () => {
    const { store, node, why } = await setup();
    const id = await addOne(store, { delayMs: 60_000 });
    await lease(store, node, { aheadMs: 90_000 });

    expect(await why(id)).toMatchObject({
      ...{ status: "leased", said: 'Node "host:1" has leased it ahead of its instant: it starts in 3m, at T' },
      because: { code: "ahead", node: "host:1" },
    });
  });

  test("a leased run of a node whose slots are full waits for one", async () => {
    const { store, node, why } = await setup();
    await store.nodes.beat(node, 30_000, aState({ slots: 1 }), []);
    await addMany(store, 2);
    const [first, second] = await lease(store, node);
    await store.runs.hold(node, [start(first!)]);

    expect(await why(second!.id)).toMatchObject({
      said: 'Node "host:1" has leased it, and starts it as soon as one of its 1 slots is free',
      because: { code: "queued", node: "host:1", slots: 1, leased: 2 },
    });
  });

  test("a leased run of which no start is recorded says that it is about to start", async () => {
    const { store, node, why } = await setup();
    const { id } = await leased(store, node);

    expect(await why(id)).toMatchObject({
      said: 'Node "host:1" leased it, and is about to start it, or has just done so',
      because: { code: "starting" },
    });
  });

  test("a run that runs says where, for how long, and how far it is", async () => {
    const { store, clock, node, why } = await setup();
    await ended(store, node, again(0));
    const second = only(await lease(store, node));
    await store.runs.hold(node, [start(second)]);
    const before = await why(second.id);
    await store.runs.note([{ ...second, progress: { value: 40.123, detail: "of 100 rows" } }]);
    await clock.advance("10s");

    const { said, because } = await why(second.id);

    expect(before.said).toBe('Node "host:1" has been running its attempt 2 for 3m');
    expect(said).toBe('Node "host:1" has been running its attempt 2 for 3m (progress 40.12, of 100 rows)');
    expect(because).toMatchObject({ code: "running", node: "host:1", attempt: 2, progress: { value: 40.123 } });
    near((because as { startedAt: Date }).startedAt, second.dueMs);
  });

  test("a run that is being canceled says whom it waits for", async () => {
    const { store, node, why } = await setup();
    const { id, token, dueMs } = await leased(store, node);
    await store.desk.cancel([id]);
    const waits = await why(id);
    await store.runs.hold(node, [{ id, token, startedMs: dueMs }]);

    expect(waits.said).toBe('It is being canceled: node "host:1" has it, and was told; it gives it back');
    expect(await why(id)).toMatchObject({
      said: 'It is being canceled: node "host:1" has it, and was told; its handler, which began 3m ago, has to mind ctx.signal',
      because: { code: "canceling", node: "host:1" },
    });
  });

  test("a run of a node that misses its beats says when it goes elsewhere, or that there is no other node", async () => {
    const { store, clock, node, why } = await setup();
    const own = await leased(store, node);
    await store.runs.hold(node, [start(own)]);
    await clock.advance("20s");

    const alone = await why(own.id);
    const other = await store.nodes.join(aNode({ name: "host:2" }), 60_000);
    await store.nodes.beat(other, 60_000, aState(), []);
    const { said, because } = await why(own.id);
    await clock.advance("20s");

    expect(alone.said).toBe(
      'Node "host:1" has it, but has not beaten for 3m; its lease ends in 3m unless it does, but no other live node has job "job": start one with "tasker start"',
    );
    expect(said).toBe(
      'Node "host:1" has it, but has not beaten for 3m; its lease ends in 3m unless it does, then it goes to another node',
    );
    expect(because).toMatchObject({ code: "silent", node: "host:1" });
    expect((await why(own.id)).said).toBe(
      'Node "host:1" has it, but has not beaten for 3m; its lease ended 3m ago, and another node takes it back with its next sweep',
    );
  });
}

function over(setup: () => Promise<Ready>): void {
  test("a run that completed says when, where and how long it took", async () => {
    const { store, node, why } = await setup();
    const id = await ended(store, node);
    await store.runs.settle([settled(await leased(store, node, { tags: ["b"] }), again(0))]);
    const second = only(await lease(store, node));
    await store.runs.settle([settled(second)]);

    expect(await why(id)).toMatchObject({
      said: 'It completed 3m ago, at T, on node "host:1", in 3m',
      because: { code: "completed", reason: null, attempts: 1, error: null },
    });
    expect((await why(second.id)).said).toBe('It completed 3m ago, at T, with its attempt 2, on node "host:1", in 3m');
  });

  test("a run that its handler skipped gives its reason", async () => {
    const { store, node, why } = await setup();
    const id = await ended(store, node, { ...completed, reason: "skipped", note: "the order was paid" } as never);

    expect((await why(id)).said).toBe("Its handler skipped it 3m ago, at T: the order was paid");
  });

  test("a run that failed says with which attempt, of what, and how it is tried again", async () => {
    const { store, node, why } = await setup();
    const once = await ended(store, node, failed("no route"));
    const twice = await ended(store, node, again(0));
    await store.runs.settle([settled(only(await lease(store, node)), failed("gone"))]);
    const slow = await ended(store, node, { ...failed("it took longer than 30s"), reason: "timeout" } as never);

    expect(await why(once)).toMatchObject({
      said: `Its only attempt failed for good 3m ago, at T: Error: no route; try it again with: tasker retry ${formatId(once)}`,
      because: { code: "failed", reason: "error", attempts: 1, error: { message: "no route" } },
    });
    expect((await why(twice)).said).toMatch(/^Its attempt 2 failed for good 3m ago, at T: Error: gone; try it again/);
    expect((await why(slow)).said).toMatch(/^Its only attempt took too long 3m ago, at T: Error: it took longer/);
  });

  test("a run that crashed too often says so", async () => {
    const { store, clock, why } = await setup();
    const mortal = await store.nodes.join(aNode({ name: "mortal" }), 30_000);
    const own = await leased(store, mortal);
    await store.runs.hold(mortal, [start(own)]);
    await clock.advance("1m");
    await store.runs.sweep({ maxCrashes: 1 });

    expect((await why(own.id)).said).toMatch(
      /^Its only attempt crashed once too often 3m ago, at T: Crashed: its process died, .+; try it again with: tasker retry/,
    );
  });

  test("a run that expired says so", async () => {
    const { store, clock, why } = await setup();
    const id = await addOne(store, { ttlMs: 1000 });
    await clock.advance("10s");
    await store.runs.sweep({ maxCrashes: 3 });

    expect((await why(id)).said).toBe(
      `It expired 3m ago, at T: Expired: it did not start within its ttl; run it all the same with: tasker retry ${formatId(id)}`,
    );
  });

  test("a run that was canceled says by what", async () => {
    const { store, node, why } = await setup();
    const id = await addOne(store, { delayMs: 60_000 });
    await store.desk.cancel([id]);
    const older = await addOne(store, { delayMs: 60_000, key: aKey("order-7") });
    await store.desk.cancel([older], "superseded");
    const parent = await leased(store, node);
    const child = only(await withChildren(store, parent));
    await store.desk.cancel([parent.id]);

    expect((await why(id)).said).toBe(
      `It was canceled 3m ago, at T; make it pending again with: tasker resume ${formatId(id)}`,
    );
    expect((await why(older)).said).toBe(
      'It was canceled 3m ago, at T, for a newer run took its place (key "order-7")',
    );
    expect((await why(child)).said).toBe(
      `It was canceled 3m ago, at T, with the run ${formatId(parent.id)} that made it; make it pending again with: tasker resume ${formatId(child)}`,
    );
    expect((await why(child)).because).toMatchObject({ code: "canceled", reason: "parent" });
  });
}
