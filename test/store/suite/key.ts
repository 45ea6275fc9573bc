import { expect, test } from "vitest";
import type { Added } from "../../../sdk/port/target.ts";
import { formatId } from "../../../sdk/port/id.ts";
import {
  addAll,
  addOne,
  again,
  aKey,
  anError,
  aRun,
  aState,
  completed,
  failed,
  keyed,
  lease,
  only,
  release,
  settled,
  wire,
} from "../../kit/build.ts";
import type { Setup } from "../suite.ts";
import { near } from "./near.ts";

const hour = 3_600_000;

export function keys(setup: () => Promise<Setup>): void {
  test("a key makes one run, and a repeat answers with that one", async () => {
    const { store } = await setup();

    const first = await store.add([aRun({ key: aKey("k") })]);
    const second = await store.add([aRun({ key: aKey("k") })]);

    const { id } = only(await addAll(store, [aRun({ key: aKey("k") })]));
    expect(first).toEqual([{ id, created: true, conflict: false }]);
    expect(second).toEqual([{ id, created: false, conflict: false }]);
    expect((await store.find.list({})).items).toHaveLength(1);
    expect((await store.find.get(id))!.key).toBe("k");
  });

  test("a repeat with another input is told apart as a conflict", async () => {
    const { store } = await setup();
    const id = await addOne(store, { key: aKey("k", { hash: "one" }), input: wire(1) });

    const answers = await store.add([aRun({ key: aKey("k", { hash: "two" }), input: wire(2) })]);

    expect(answers).toEqual([{ id, created: false, conflict: true }]);
    expect((await store.find.get(id))!.input.json).toBe("1");
  });

  test("a run whose key another run holds now is not resumed, nor retried", async () => {
    const { store, node } = await setup();
    const old = await addOne(store, { key: aKey("k") });
    await store.desk.cancel([old]);
    const heir = await addOne(store, { key: aKey("k") });

    expect(await store.desk.revive([old], "canceled")).toEqual([{ id: old, done: "refused", status: "canceled" }]);

    const taken = only(await lease(store, node));
    await store.runs.settle([settled(taken, failed())]);
    expect(await store.desk.revive([old], "canceled")).toMatchObject([{ done: "done" }]);
    expect(await store.desk.revive([heir], "failed")).toEqual([{ id: heir, done: "refused", status: "failed" }]);
    expect(await keyed(store, "job", "k")).toBe(old);
  });

  test("onConflict replace: a run that has had an attempt stays as it is", async () => {
    const { store, node } = await setup();
    const id = await addOne(store, { key: aKey("k", { hash: "one" }), input: wire(1) });
    await store.runs.settle([settled(only(await lease(store, node)), again(600_000))]);

    const answers = await store.add([aRun({ key: aKey("k", { hash: "two", onConflict: "replace" }), input: wire(2) })]);

    expect(answers).toEqual([{ id, created: false, conflict: true }]);
    expect((await store.find.get(id))!.input.json).toBe("1");
  });

  test("a key belongs to its job", async () => {
    const { store } = await setup();
    await addOne(store, { job: "a", key: aKey("k") });

    const answers = await addAll(store, [aRun({ job: "b", key: aKey("k") })]);

    expect(only(answers).created).toBe(true);
  });

  test("one key twice in a batch makes one run", async () => {
    const { store } = await setup();

    const [first, other, second] = await addAll(store, [
      aRun({ key: aKey("k") }),
      aRun({ key: aKey("other") }),
      aRun({ key: aKey("k") }),
    ]);

    expect(first!.created).toBe(true);
    expect(other!.created).toBe(true);
    expect(second).toEqual({ id: first!.id, created: false, conflict: false });
  });

  test("50 concurrent adds with one key make one run, and all get its id", async () => {
    const { store } = await setup();

    const answers = await Promise.all(Array.from({ length: 50 }, () => addAll(store, [aRun({ key: aKey("k") })])));

    expect(new Set(answers.flat().map(({ id }) => id)).size).toBe(1);
    expect(answers.flat().filter(({ created }) => created)).toHaveLength(1);
    expect((await store.find.list({})).items).toHaveLength(1);
  });

  test("concurrent batches with the same keys in opposite order all end", async () => {
    const { store } = await setup();
    const batch = Array.from({ length: 30 }, (_, i) => aRun({ key: aKey(`k${i}`) }));

    const answers = await Promise.all([addAll(store, batch), addAll(store, batch.toReversed()), addAll(store, batch)]);

    expect(answers.flat().filter(({ created }) => created)).toHaveLength(30);
    expect((await store.find.list({})).items).toHaveLength(30);
  });

  test("a key is held while its run is leased, retried and leased again", async () => {
    const { store, node } = await setup();
    const id = await addOne(store, { key: aKey("k", { keepMs: 0 }) });

    const taken = only(await lease(store, node));
    expect(only(await addAll(store, [aRun({ key: aKey("k") })]))).toMatchObject({ id, created: false });

    await store.runs.settle([settled(taken, again())]);
    expect(only(await addAll(store, [aRun({ key: aKey("k") })]))).toMatchObject({ id, created: false });
  });

  test("a completed run holds its key for the time that was asked for, and no longer", async () => {
    const { store, clock, node } = await setup();
    const id = await addOne(store, { key: aKey("k", { keepMs: hour }) });
    await store.runs.settle([settled(only(await lease(store, node)))]);

    await clock.advance("30m");
    const during = only(await addAll(store, [aRun({ key: aKey("k", { keepMs: hour }) })]));
    await clock.advance("31m");
    const after = only(await addAll(store, [aRun({ key: aKey("k") })]));

    expect(during).toEqual({ id, created: false, conflict: false });
    expect(after.created).toBe(true);
    expect(after.id).not.toBe(id);
  });

  test("a failed run frees its key", async () => {
    const { store, node } = await setup();
    await addOne(store, { key: aKey("k") });
    await store.runs.settle([settled(only(await lease(store, node)), failed())]);

    const answer = only(await addAll(store, [aRun({ key: aKey("k") })]));

    expect(answer.created).toBe(true);
  });

  test("a canceled run frees its key", async () => {
    const { store } = await setup();
    const id = await addOne(store, { key: aKey("k") });
    await store.desk.cancel([id]);

    const answer = only(await addAll(store, [aRun({ key: aKey("k") })]));

    expect(answer.created).toBe(true);
  });

  test("a run canceled by its node frees its key", async () => {
    const { store, node } = await setup();
    await addOne(store, { key: aKey("k") });
    const taken = only(await lease(store, node));
    await store.runs.settle([settled(taken, { to: "canceled", reason: "superseded", error: anError() })]);

    const answer = only(await addAll(store, [aRun({ key: aKey("k") })]));

    expect(answer.created).toBe(true);
  });

  test("a freed key taken anew is held by the new run", async () => {
    const { store } = await setup();
    await store.desk.cancel([await addOne(store, { key: aKey("k") })]);
    const id = await addOne(store, { key: aKey("k") });

    const answer = only(await addAll(store, [aRun({ key: aKey("k") })]));

    expect(answer).toEqual({ id, created: false, conflict: false });
  });

  test("onConflict error: the item is a KeyConflict that names the run, and its neighbours are added", async () => {
    const { store } = await setup();
    const id = await addOne(store, { key: aKey("k") });

    const answers = await store.add([
      aRun({ key: aKey("a") }),
      aRun({ key: aKey("k", { onConflict: "error" }) }),
      aRun(),
    ]);

    expect(answers[0]).toMatchObject({ created: true });
    expect(answers[1]).toBeInstanceOf(Error);
    expect(answers[1]).toMatchObject({ code: "KEY_CONFLICT", run: formatId(id) });
    expect(answers[2]).toMatchObject({ created: true });
  });

  test("onConflict error: a free key makes a run", async () => {
    const { store } = await setup();

    const answer = only(await store.add([aRun({ key: aKey("k", { onConflict: "error" }) })]));

    expect(answer).toMatchObject({ created: true });
  });

  test("onConflict replace: a waiting run gets all that is new but its id", async () => {
    const { store, clock } = await setup();
    const key = aKey("k", { onConflict: "replace", hash: "one" });
    const id = await addOne(store, { key, input: wire(1), delayMs: 60_000, options: { timeoutMs: 1 } });

    const answer = only(
      await addAll(store, [
        aRun({
          key: { ...key, hash: "two" },
          queue: "q",
          priority: 9,
          input: wire(2),
          tags: ["new"],
          delayMs: hour,
          ttlMs: hour,
          options: { timeoutMs: 2 },
        }),
      ]),
    );

    expect(answer).toEqual({ id, created: false, conflict: false });
    const run = await store.find.get(id);
    expect(run).toMatchObject({
      status: "pending",
      queue: "q",
      priority: 9,
      input: wire(2),
      tags: ["new"],
      options: { timeoutMs: 2 },
    });
    near(run!.expiresAt, clock.nowMs() + 2 * hour);
    near(run!.dueAt, clock.nowMs() + hour);
  });

  test("onConflict replace: an earlier instant makes the run leasable at once", async () => {
    const { store, node } = await setup();
    const key = aKey("k", { onConflict: "replace" });
    const id = await addOne(store, { key, delayMs: hour });

    await store.add([aRun({ key })]);

    expect(only(await lease(store, node)).id).toBe(id);
  });

  test("onConflict replace: a leased run is replaced once its node, which is asked, has given it back", async () => {
    const { store, node } = await setup();
    const key = aKey("k", { onConflict: "replace", hash: "one" });
    const id = await addOne(store, { key, input: wire(1) });
    const taken = only(await lease(store, node));
    const again = (): Promise<Added> =>
      addAll(store, [aRun({ key: { ...key, hash: "two" }, input: wire(2) })]).then(only);

    const first = await again();
    const { asks } = await store.nodes.beat(node, 30_000, aState(), []);
    await release(store, taken);
    const second = await again();

    expect(first).toEqual({ id, created: false, conflict: true, asked: true });
    expect(asks).toEqual([{ id, token: taken.token, kind: "back" }]);
    expect(second).toEqual({ id, created: false, conflict: false });
    expect(only(await lease(store, node))).toMatchObject({ id, input: wire(2), crashes: 0 });
  });

  test("onConflict replace: a run that has started stays as it is, and the conflict is told", async () => {
    const { store, node } = await setup();
    const key = aKey("k", { onConflict: "replace", hash: "one" });
    const id = await addOne(store, { key, input: wire(1) });
    const taken = only(await lease(store, node));
    await store.runs.hold(node, [{ ...taken, startedMs: taken.dueMs }]);

    const answer = only(await addAll(store, [aRun({ key: { ...key, hash: "two" }, input: wire(2) })]));

    expect(answer).toEqual({ id, created: false, conflict: true });
    expect((await store.find.get(id))!.input).toEqual(wire(1));
  });

  test("onConflict replace: a completed run stays as it is while it holds the key", async () => {
    const { store, node } = await setup();
    const key = aKey("k", { onConflict: "replace" });
    const id = await addOne(store, { key, input: wire(1) });
    await store.runs.settle([settled(only(await lease(store, node)), completed)]);

    const answer = only(await addAll(store, [aRun({ key, input: wire(2) })]));

    expect(answer).toEqual({ id, created: false, conflict: false });
    expect(await store.find.get(id)).toMatchObject({ status: "completed", input: wire(1) });
  });

  test("a list by the key that it holds has the run that holds it now", async () => {
    const { store } = await setup();
    const id = await addOne(store, { key: aKey("k") });

    expect(await keyed(store, "job", "k")).toBe(id);
    expect(await keyed(store, "job", "other")).toBeNull();
    expect(await keyed(store, "other", "k")).toBeNull();

    await store.desk.cancel([id]);
    expect(await keyed(store, "job", "k")).toBeNull();
  });

  test("a completed run holds its key until its time is over", async () => {
    const { store, clock, node } = await setup();
    const id = await addOne(store, { key: aKey("k", { keepMs: hour }) });
    await store.runs.settle([settled(only(await lease(store, node)))]);

    expect(await keyed(store, "job", "k")).toBe(id);
    await clock.advance("2h");
    expect(await keyed(store, "job", "k")).toBeNull();
  });

  test("a key that is held whatever the end outlives a failed run and a canceled one, for its time", async () => {
    const { store, clock, node } = await setup();
    const key = (name: string) => aKey(name, { keepMs: 2 * hour, always: true });
    const add = (): Promise<readonly Added[]> => addAll(store, [aRun({ key: key("a") }), aRun({ key: key("b") })]);
    const [a, b] = (await add()).map(({ id }) => id);
    await clock.advance("1h");
    await store.desk.cancel([b!]);
    await store.runs.settle([settled(only(await lease(store, node)), failed())]);

    const soon = await add();
    await clock.advance("90m");
    await store.runs.sweep({ maxCrashes: 3, keep: { completedMs: 100 * hour, otherMs: 100 * hour } });
    const later = await add();
    await clock.advance("1h");
    const over = await add();

    expect([soon, later].map((all) => all.map(({ id, created }) => [id, created]))).toEqual(
      Array.from({ length: 2 }, () => [
        [a, false],
        [b, false],
      ]),
    );
    expect(over.map(({ created }) => created)).toEqual([true, true]);
  });

  test("a failed run that is retried holds its key again, if nobody took it", async () => {
    const { store, node } = await setup();
    const id = await addOne(store, { key: aKey("k") });
    await store.runs.settle([settled(only(await lease(store, node)), failed())]);
    await store.desk.revive([id], "failed");

    const answer = only(await addAll(store, [aRun({ key: aKey("k") })]));

    expect(answer).toMatchObject({ id, created: false });
  });
}
