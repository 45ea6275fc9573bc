import { afterEach, expect, test } from "vitest";
import type { Added } from "../../../sdk/port/target.ts";
import { addOne, aKey, aRun, keyed, lease, only } from "../../kit/build.ts";
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
