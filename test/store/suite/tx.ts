import { afterEach, expect, test } from "vitest";
import type { Added } from "../../../sdk/port/target.ts";
import type { Fence, Recorded } from "../../../runtime/store/port.ts";
import {
  aChild,
  addOne,
  aKey,
  anEntry,
  aRun,
  completed,
  journalOf,
  keyed,
  lease,
  leased,
  only,
  settled,
  suspended,
  waiting,
  wire,
} from "../../kit/build.ts";
import type { Begin, Setup, Transaction } from "../suite.ts";

/** Runs that are added inside a caller's transaction. */
export function transacting(setup: () => Promise<Setup>, begin: Begin): void {
  const open: Transaction[] = [];
  const started = async (): Promise<Transaction> => {
    const transaction = await begin();
    open.push(transaction);
    return transaction;
  };
  afterEach(async () => {
    for (const { end } of open.splice(0)) await end();
  });

  test("a run exists once its transaction has committed, and not before", async () => {
    const { store, node } = await setup();
    const { tx, commit } = await started();

    const { id } = only(await store.add([aRun()], tx)) as Added;
    const before = await store.find.get(id);
    await commit();

    expect(before).toBeNull();
    expect((await store.find.get(id))!.status).toBe("pending");
    expect(only(await lease(store, node)).id).toBe(id);
  });

  test("a run never existed if its transaction was rolled back, nor does it hold its key", async () => {
    const { store } = await setup();
    const { tx, rollback } = await started();

    const { id } = only(await store.add([aRun({ key: aKey("k") })], tx)) as Added;
    await rollback();

    expect(await store.find.get(id)).toBeNull();
    expect(await keyed(store, "job", "k")).toBeNull();
    expect(await addOne(store, { key: aKey("k") })).not.toBe(id);
  });

  test("a keyed run in a transaction is one with those outside", async () => {
    const { store } = await setup();
    const { tx, commit } = await started();
    const inside = only(await store.add([aRun({ key: aKey("k") })], tx)) as Added;
    await commit();

    const outside = only(await store.add([aRun({ key: aKey("k") })]));

    expect(outside).toEqual({ id: inside.id, created: false, conflict: false });
  });

  test("an open claim on a key stalls neither other keys nor unkeyed runs, and is waited for by its own", async () => {
    const { store } = await setup();
    const { tx, commit } = await started();
    const { id } = only(await store.add([aRun({ key: aKey("k") })], tx)) as Added;

    const same = store.add([aRun({ key: aKey("k") })]);
    const others = await Promise.all([store.add([aRun({ key: aKey("other") })]), store.add([aRun()])]);
    await commit();

    expect(others.flat()).toMatchObject([{ created: true }, { created: true }]);
    expect(await same).toMatchObject([{ id, created: false }]);
  });

  test("a claim on a key that is rolled back leaves it to whoever waited", async () => {
    const { store } = await setup();
    const { tx, rollback } = await started();
    await store.add([aRun({ key: aKey("k") })], tx);

    const waiting = store.add([aRun({ key: aKey("k") })]);
    await rollback();

    expect(await waiting).toMatchObject([{ created: true }]);
  });

  test("what is sent in a transaction arrives once that has committed, and not if it is rolled back", async () => {
    const { store, node } = await setup();
    const [kept, undone] = [await suspended(store, node), await suspended(store, node)];
    const [first, second] = [await started(), await started()];
    const mail = (to: number) => [{ to, name: "go", value: wire(1), data: null }];

    const answers = [await store.flow.send(mail(kept.id), first.tx), await store.flow.send(mail(undone.id), second.tx)];
    const before = await lease(store, node);
    await first.commit();
    await second.rollback();
    await store.runs.sweep({ maxCrashes: 3 });

    expect(answers).toEqual([[{ id: kept.id, done: "sent" }], [{ id: undone.id, done: "sent" }]]);
    expect(before).toEqual([]);
    const woken = only(await lease(store, node));
    expect(woken.id).toBe(kept.id);
    expect(await journalOf(store, woken)).toMatchObject({ inbox: 1, entries: [{ key: "go", value: wire(1) }] });
  });

  test("what is sent in a transaction is not missed by a run that begins to wait meanwhile", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    const { tx, commit } = await started();
    await store.flow.send([{ to: taken.id, name: "go", value: null, data: null }], tx);

    await Promise.all([store.runs.settle([settled(taken, waiting())]), commit()]);
    await store.runs.sweep({ maxCrashes: 3 });

    expect(only(await lease(store, node)).id).toBe(taken.id);
  });

  test("entries and their runs exist once their transaction has committed, and never if it is rolled back", async () => {
    const { store, node } = await setup();
    const [kept, undone] = [await leased(store, node), await leased(store, node)];
    const [first, second] = [await started(), await started()];
    const recording = ({ id, token }: Fence) => {
      const adds = [aChild(id, "b")];
      return [{ id, token, entries: [anEntry(1), anEntry(2, { kind: "child", adds })], floorMs: 0 }];
    };

    const answer = only(await store.flow.record(recording(kept), first.tx)) as Recorded;
    await store.flow.record(recording(undone), second.tx);
    const before = await store.find.list({ job: ["child"] });
    await first.commit();
    await second.rollback();

    expect(before.items).toEqual([]);
    expect((await store.find.list({ job: ["child"] })).items.map(({ id }) => id)).toEqual(answer.entries[1]!.runs);
    expect(await store.flow.read(kept.id)).toMatchObject([anEntry(1), { n: 2, kind: "child" }]);
    expect(await store.flow.read(undone.id)).toEqual([]);
    await store.desk.cancel([kept.id]);
    await store.runs.settle([settled(kept, completed, { flow: true })]);
    expect((await store.find.get(answer.entries[1]!.runs![0]!))!.reason).toBe("parent");
  });

  test("a recording in a transaction under a lease that was lost answers null, and the transaction goes on", async () => {
    const { store, node } = await setup();
    const { id, token } = await leased(store, node);
    const { tx, commit } = await started();

    const lost = await store.flow.record([{ id, token: token + 1, entries: [anEntry(1)], floorMs: 0 }], tx);
    const kept = await store.flow.record([{ id, token, entries: [anEntry(1)], floorMs: 0 }], tx);
    await commit();

    expect([lost, kept]).toMatchObject([[null], [{ entries: [{ n: 1 }] }]]);
    expect(await store.flow.read(id)).toMatchObject([anEntry(1)]);
  });

  test("replacing by key is refused inside a transaction, item by item, and the transaction goes on", async () => {
    const { store } = await setup();
    const key = (name: string) => aKey(name, { onConflict: "replace" });
    await store.add([aRun({ key: key("waiting"), delayMs: 60_000 })]);
    const { tx, commit } = await started();

    const answers = await store.add([aRun({ key: key("waiting") }), aRun({ key: key("new") }), aRun()], tx);
    await commit();

    expect(answers).toMatchObject([{ code: "INVALID_INPUT" }, { code: "INVALID_INPUT" }, { created: true }]);
    expect(await keyed(store, "job", "new")).toBeNull();
  });
}
