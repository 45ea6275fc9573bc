import { expect, test } from "vitest";
import {
  addMany,
  addOne,
  again,
  aKey,
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
  wire,
} from "../../kit/build.ts";
import type { Ask, Fence, Guarded } from "../../../runtime/store/port.ts";
import { until } from "../../kit/until.ts";
import type { Setup } from "../suite.ts";
import { near } from "./near.ts";

const missing = 1_000_000_000;

export function desk(setup: () => Promise<Setup>): void {
  canceling(setup);
  reviving(setup);
  editing(setup);
}

function canceling(setup: () => Promise<Setup>): void {
  test("canceling a waiting run is final at once, and it does not start", async () => {
    const { store, clock, node } = await setup();
    const id = await addOne(store);

    const acts = await store.desk.cancel([id]);

    expect(acts).toEqual([{ id, done: "done", status: "canceled" }]);
    const run = (await store.find.get(id))!;
    expect(run).toMatchObject({ status: "canceled", reason: "user", canceling: false, attempt: 0, startedAt: null });
    near(run.finishedAt, clock.now());
    expect(await lease(store, node)).toEqual([]);
  });

  test("canceling keeps the reason that it was given", async () => {
    const { store } = await setup();
    const id = await addOne(store);

    await store.desk.cancel([id], "superseded");

    expect((await store.find.get(id))!.reason).toBe("superseded");
  });

  test("canceling a run between two attempts is final at once", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await store.runs.settle([settled(taken, again(600_000))]);

    const acts = await store.desk.cancel([taken.id]);

    expect(only(acts).done).toBe("done");
    expect(await store.find.get(taken.id)).toMatchObject({ status: "canceled", attempt: 1 });
  });

  test("canceling a leased run asks its node", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);

    const acts = await store.desk.cancel([taken.id]);

    expect(acts).toEqual([{ id: taken.id, done: "asked", status: "leased" }]);
    expect(await store.find.get(taken.id)).toMatchObject({ status: "leased", canceling: true, finishedAt: null });
    expect(await commands(store, node)).toEqual([{ id: taken.id, token: taken.token, kind: "cancel" }]);
  });

  test("canceling a running run asks the node that holds it", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await store.runs.hold(node, [{ id: taken.id, token: taken.token, startedMs: taken.dueMs }]);

    const acts = await store.desk.cancel([taken.id]);

    expect(acts).toEqual([{ id: taken.id, done: "asked", status: "running" }]);
    const { alive, asks } = await store.nodes.beat(node, 30_000, aState(), []);
    expect(alive).toBe(true);
    expect(asks).toEqual([{ id: taken.id, token: taken.token, kind: "cancel" }]);
  });

  test("commands go to the node that holds the run alone, again and again until its lease ends", async () => {
    const { store, node } = await setup();
    const other = await store.nodes.join(aNode({ name: "host:2" }), 30_000);
    const taken = await leased(store, node);
    await store.desk.cancel([taken.id]);

    expect(await commands(store, other)).toEqual([]);
    expect(await commands(store, node)).toHaveLength(1);
    await store.desk.cancel([taken.id]);
    expect(await commands(store, node)).toHaveLength(1);
    await store.runs.settle([settled(taken)]);
    expect(await commands(store, node)).toEqual([]);
  });

  test("canceling twice asks, and ends once", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);

    const acts = [...(await store.desk.cancel([taken.id])), ...(await store.desk.cancel([taken.id]))];

    expect(acts.map(({ done }) => done)).toEqual(["asked", "asked"]);
    expect(await store.runs.settle([settled(taken)])).toEqual(["canceled"]);
  });

  test("a run whose lease expired is canceled at once", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);
    await clock.advance("5m");

    const acts = await store.desk.cancel([taken.id]);

    expect(only(acts).done).toBe("done");
    expect(await lease(store, node)).toEqual([]);
    expect(await store.runs.settle([settled(taken)])).not.toEqual(["settled"]);
    expect((await store.find.get(taken.id))!.status).toBe("canceled");
  });

  test("canceling what is over is refused, and what never was is missing", async () => {
    const { store, node } = await setup();
    const done = await ended(store, node, completed);
    const lost = await ended(store, node, failed());

    const acts = await store.desk.cancel([done, missing, lost]);

    expect(acts).toEqual([
      { id: done, done: "refused", status: "completed" },
      { id: missing, done: "missing", status: null },
      { id: lost, done: "refused", status: "failed" },
    ]);
  });

  test("canceling a canceled run is refused", async () => {
    const { store } = await setup();
    const id = await addOne(store);
    await store.desk.cancel([id]);

    expect(await store.desk.cancel([id])).toEqual([{ id, done: "refused", status: "canceled" }]);
  });

  test("an act on no run answers nothing", async () => {
    const { store } = await setup();

    expect(await store.desk.cancel([])).toEqual([]);
    expect(await store.desk.revive([], "canceled")).toEqual([]);
    expect(await store.desk.revive([], "failed")).toEqual([]);
  });

  test("a cancel racing with claims either ends the run or asks its node", async () => {
    const { store, node } = await setup();
    const ids = await addMany(store, 60);

    const [acts, ...claims] = await Promise.all([
      store.desk.cancel(ids),
      ...Array.from({ length: 4 }, () => lease(store, node, { limit: 15 })),
    ]);

    const taken = new Set(claims.flat().map(({ id }) => id));
    for (const { id, done } of acts) expect(done === "asked").toBe(taken.has(id));
    expect(acts).toHaveLength(60);
  });
}

function reviving(setup: () => Promise<Setup>): void {
  test("a canceled run that is resumed keeps its instant if that is still ahead", async () => {
    const { store, clock, node } = await setup();
    const dueAt = new Date(clock.nowMs() + 3_600_000);
    const id = await addOne(store, { dueAt });
    await store.desk.cancel([id]);

    const acts = await store.desk.revive([id], "canceled");

    expect(acts).toEqual([{ id, done: "done", status: "pending" }]);
    expect(await store.find.get(id)).toMatchObject({ status: "pending", reason: null, dueAt, finishedAt: null });
    expect(await lease(store, node)).toEqual([]);
    await clock.advance("61m");
    expect(only(await lease(store, node)).id).toBe(id);
  });

  test("a canceled run that is resumed after its instant starts now", async () => {
    const { store, clock, node } = await setup();
    const id = await addOne(store);
    await store.desk.cancel([id]);
    await clock.advance("1h");

    await store.desk.revive([id], "canceled");

    expect(only(await lease(store, node)).id).toBe(id);
  });

  test("a resumed run goes on counting attempts and tokens, and is not canceling", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node, { tags: ["a"], input: wire(1), options: { timeoutMs: 5 } });
    await store.desk.cancel([taken.id]);
    await store.runs.settle([settled(taken)]);

    await store.desk.revive([taken.id], "canceled");

    const next = only(await lease(store, node));
    expect(next).toMatchObject({ id: taken.id, token: 2, attempt: 1, canceling: false, crashes: 0 });
    expect(next).toMatchObject({ tags: ["a"], input: wire(1), options: { timeoutMs: 5 } });
    expect(await store.runs.settle([settled(next)])).toEqual(["settled"]);
    expect(await store.find.get(taken.id)).toMatchObject({ status: "completed", attempt: 2 });
  });

  test("a run that was canceled past its expiry does not expire when it is resumed", async () => {
    const { store, clock } = await setup();
    const id = await addOne(store, { ttlMs: 60_000 });
    await store.desk.cancel([id]);
    await clock.advance("1h");
    await store.desk.revive([id], "canceled");

    await store.runs.sweep({ maxCrashes: 3 });

    expect((await store.find.get(id))!.status).toBe("pending");
  });

  test("only canceled runs are resumed", async () => {
    const { store, node } = await setup();
    const done = await ended(store, node, completed);
    const lost = await ended(store, node, failed());
    const held = await leased(store, node);
    const waiting = await addOne(store);

    const acts = await store.desk.revive([done, lost, held.id, waiting, missing], "canceled");

    expect(acts).toEqual([
      { id: done, done: "refused", status: "completed" },
      { id: lost, done: "refused", status: "failed" },
      { id: held.id, done: "refused", status: "leased" },
      { id: waiting, done: "refused", status: "pending" },
      { id: missing, done: "missing", status: null },
    ]);
  });

  test("a failed run that is retried is due now, and may fail as often as a new one", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);
    await store.runs.settle([settled(taken, again())]);
    await store.runs.settle([settled(only(await lease(store, node)), failed())]);
    await clock.advance("1h");

    const acts = await store.desk.revive([taken.id], "failed");

    expect(acts).toEqual([{ id: taken.id, done: "done", status: "pending" }]);
    const run = (await store.find.get(taken.id))!;
    expect(run).toMatchObject({
      status: "pending",
      reason: null,
      attempt: 2,
      crashes: 0,
      error: null,
      finishedAt: null,
    });
    near(run.dueAt, clock.now());
    expect(only(await lease(store, node))).toMatchObject({ id: taken.id, token: 3, attempt: 2, spent: 0 });
  });

  test("a retried run keeps the records of its former attempts", async () => {
    const { store, node } = await setup();
    const id = await ended(store, node, failed("first"));
    await store.desk.revive([id], "failed");

    await store.runs.settle([settled(only(await lease(store, node)), failed("second"))]);

    const records = (await store.find.attempts({ run: id })).items;
    expect(records.map(({ n, token, error }) => [n, token, error!.message]).toSorted()).toEqual([
      [1, 1, "first"],
      [2, 2, "second"],
    ]);
  });

  test("an expired run that is retried does not expire at once", async () => {
    const { store, clock, node } = await setup();
    const id = await addOne(store, { ttlMs: 60_000 });
    await clock.advance("5m");
    await store.runs.sweep({ maxCrashes: 3 });

    await store.desk.revive([id], "failed");

    await store.runs.sweep({ maxCrashes: 3 });
    expect(only(await lease(store, node)).id).toBe(id);
  });

  test("only failed runs are retried", async () => {
    const { store, node } = await setup();
    const done = await ended(store, node, completed);
    const gone = await addOne(store);
    await store.desk.cancel([gone]);

    const acts = await store.desk.revive([done, gone, missing], "failed");

    expect(acts).toEqual([
      { id: done, done: "refused", status: "completed" },
      { id: gone, done: "refused", status: "canceled" },
      { id: missing, done: "missing", status: null },
    ]);
  });

  test("of runs with one key that come back together, the first has it, and the others are refused", async () => {
    const { store, node } = await setup();
    const run = { key: aKey("shared") };
    const [first, second] = [await ended(store, node, failed(), run), await ended(store, node, failed(), run)];

    const retried = await store.desk.revive([second, first], "failed");
    await store.desk.cancel([second]);
    const third = await addOne(store, run);
    await store.desk.cancel([third]);
    const resumed = await store.desk.revive([second, third], "canceled");

    expect(retried).toEqual([
      { id: second, done: "done", status: "pending" },
      { id: first, done: "refused", status: "failed" },
    ]);
    expect(resumed.map(({ done }) => done)).toEqual(["done", "refused"]);
  });

  test("8 concurrent retries revive a run once", async () => {
    const { store, node } = await setup();
    const id = await ended(store, node, failed());

    const acts = await Promise.all(Array.from({ length: 8 }, () => store.desk.revive([id], "failed")));

    expect(acts.flat().filter(({ done }) => done === "done")).toHaveLength(1);
    expect(await lease(store, node)).toHaveLength(1);
    expect((await store.find.list({ ids: [id] })).items).toHaveLength(1);
  });
}

function editing(setup: () => Promise<Setup>): void {
  test("a waiting run's input, priority and attempts can be changed", async () => {
    const { store, node } = await setup();
    const id = await addOne(store, { options: { timeoutMs: 5, retry: { delayMs: 7 } } });

    const act = await store.desk.edit(id, { input: wire(2), priority: 9, attempts: 12 });

    expect(act).toEqual({ id, done: "done", status: "pending" });
    expect(only(await lease(store, node))).toMatchObject({
      id,
      input: wire(2),
      priority: 9,
      options: { timeoutMs: 5, retry: { delayMs: 7, attempts: 12 } },
    });
  });

  test("a changed priority changes the order", async () => {
    const { store, node } = await setup();
    await addOne(store, { priority: 5 });
    const id = await addOne(store, { priority: 1 });

    await store.desk.edit(id, { priority: 8 });

    expect(only(await lease(store, node, { limit: 1 }))).toMatchObject({ id, priority: 8 });
  });

  test("a waiting run can be put off to an instant", async () => {
    const { store, clock, node } = await setup();
    const id = await addOne(store);
    const dueAt = new Date(clock.nowMs() + 3_600_000);

    await store.desk.edit(id, { dueAt });

    expect((await store.find.get(id))!.dueAt).toEqual(dueAt);
    expect(await lease(store, node)).toEqual([]);
    await clock.advance("61m");
    expect(only(await lease(store, node)).id).toBe(id);
  });

  test("a waiting run can be made due now", async () => {
    const { store, clock, node } = await setup();
    const id = await addOne(store, { delayMs: 3_600_000 });

    await store.desk.edit(id, { delayMs: 0 });

    near((await store.find.get(id))!.dueAt, clock.now());
    expect(only(await lease(store, node)).id).toBe(id);
  });

  test("an instant of long ago means now", async () => {
    const { store, clock, node } = await setup();
    const id = await addOne(store, { delayMs: 3_600_000 });

    await store.desk.edit(id, { dueAt: new Date(-8.64e15) });

    near((await store.find.get(id))!.dueAt, clock.now());
    expect(only(await lease(store, node)).id).toBe(id);
  });

  test("the expiry moves with the instant", async () => {
    const { store, clock } = await setup();
    const id = await addOne(store, { ttlMs: 60_000 });

    await store.desk.edit(id, { delayMs: 3_600_000 });

    near((await store.find.get(id))!.expiresAt, clock.nowMs() + 3_660_000);
  });

  test("an edit leaves alone what it does not name", async () => {
    const { store } = await setup();
    const id = await addOne(store, {
      delayMs: 3_600_000,
      input: wire(1),
      priority: 2,
      tags: ["a"],
      options: { timeoutMs: 5 },
    });
    const before = await store.find.get(id);

    await store.desk.edit(id, {});

    expect(await store.find.get(id)).toEqual(before);
  });

  test("a started or finished run can't be edited", async () => {
    const { store, node } = await setup();
    const held = await leased(store, node);
    await store.runs.hold(node, [{ ...held, startedMs: held.dueMs }]);
    const done = await ended(store, node, completed);

    expect(await store.desk.edit(held.id, { priority: 9 })).toEqual({
      id: held.id,
      done: "refused",
      status: "running",
    });
    expect(await store.desk.edit(done, { priority: 9 })).toEqual({ id: done, done: "refused", status: "completed" });
    expect(await store.desk.edit(missing, { priority: 9 })).toEqual({ id: missing, done: "missing", status: null });
    expect((await store.find.get(held.id))!.priority).toBe(5);
    expect(await commands(store, node)).toEqual([]);
  });

  test("of a leased run that is to be edited the node is asked to give it back, until it has or tells of the start", async () => {
    const { store, node } = await setup();
    const [first, second] = [await leased(store, node), await leased(store, node)];

    const acts = [await store.desk.edit(first.id, { priority: 9 }), await store.desk.edit(second.id, { priority: 9 })];
    await store.desk.edit(first.id, { priority: 9 });
    const [asked, repeated] = [await commands(store, node), await commands(store, node)];
    await release(store, first);
    await store.runs.hold(node, [{ ...second, startedMs: second.dueMs }]);

    expect(acts).toMatchObject([
      { done: "asked", status: "leased" },
      { done: "asked", status: "leased" },
    ]);
    const fenceOf = ({ id, token }: Fence): Fence => ({ id, token });
    expect(asked.toSorted((a, b) => a.id - b.id)).toEqual(
      [first, second].map((each) => ({ ...fenceOf(each), kind: "back" })),
    );
    expect(repeated).toHaveLength(2);
    expect(await commands(store, node)).toEqual([]);
  });

  test("a run that was asked back waits for the act, and no claim takes it before", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await store.desk.edit(taken.id, { priority: 9 });

    await release(store, taken);
    const [kept, run] = [await lease(store, node), await store.find.get(taken.id)];
    const act = await store.desk.edit(taken.id, { priority: 9 });

    expect(kept).toEqual([]);
    expect(run).toMatchObject({ status: "pending", node: null, startedAt: null });
    expect(act).toEqual({ id: taken.id, done: "done", status: "pending" });
    expect(only(await lease(store, node))).toMatchObject({ id: taken.id, priority: 9, attempt: 0, crashes: 0 });
    expect(await store.runs.settle([settled(taken)])).toEqual(["lost"]);
  });

  test("a run that was asked back and that no act comes for is leased again, as if it had not been", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);
    await store.desk.edit(taken.id, { priority: 9 });
    await release(store, taken);

    await clock.advance("1m");

    expect(only(await lease(store, node))).toMatchObject({ id: taken.id, attempt: 0, crashes: 0 });
  });

  test("a run that was asked back can be canceled at once", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await store.desk.edit(taken.id, { priority: 9 });
    await release(store, taken);

    const acts = await store.desk.cancel([taken.id]);

    expect(acts).toEqual([{ id: taken.id, done: "done", status: "canceled" }]);
  });

  test("pausing a queue tells nodes, and how many runs they have that are not known to have started", async () => {
    const { store, node } = await setup();
    await addMany(store, 4, { queue: "q" });
    await addOne(store, { queue: "other" });
    const taken = (await lease(store, node)).filter(({ queue }) => queue === "q");
    const told: string[] = [];
    const deafen = await store.runs.listen(node, (what) => void told.push(what));

    const before = await store.nodes.beat(node, 30_000, aState(), []);
    const first = await store.desk.pause("q", true);
    if (store.lacks.listen === undefined) await until(() => told.includes("command"), { what: "the node is told" });
    const { paused } = await store.nodes.beat(node, 30_000, aState(), []);
    await store.runs.hold(node, [
      { ...taken[0]!, startedMs: taken[0]!.dueMs },
      { ...taken[1]!, startedMs: null },
    ]);
    await release(store, taken[2]!);
    const second = await store.desk.pause("q", true);
    await release(store, taken[1]!, taken[3]!);
    const third = await store.desk.pause("q", true);

    expect([before.paused, paused]).toEqual([[], ["q"]]);
    expect([first, second, third]).toEqual([4, 2, 0]);
    expect(await lease(store, node)).toEqual([]);
    expect(await store.desk.pause("q", false)).toBe(0);
    expect(await lease(store, node)).toHaveLength(3);
    await deafen();
  });

  test("pausing and unpausing twice is once", async () => {
    const { store, node } = await setup();
    await addOne(store);
    await store.desk.pause("default", true);
    await store.desk.pause("default", true);

    await store.desk.pause("default", false);
    await store.desk.pause("default", false);
    await store.desk.pause("never-heard-of", false);

    expect(await lease(store, node)).toHaveLength(1);
  });
}

async function commands(store: Guarded, node: number): Promise<readonly Ask[]> {
  return (await store.nodes.beat(node, 30_000, aState(), [])).asks;
}
