import { expect, test } from "vitest";
import type { Entry } from "../../../sdk/port/flow.ts";
import type { Guarded, Outcome } from "../../../runtime/store/port.ts";
import {
  addOne,
  aChild,
  again,
  anEntry,
  aState,
  completed,
  failed,
  journalOf,
  lease,
  leased,
  only,
  recordOf,
  settled,
  waiting,
  wire,
  withChildren,
} from "../../kit/build.ts";
import type { Setup } from "../suite.ts";

const flow = { flow: true };
const onChildren = (wants: number): Outcome => waiting({ reason: "child", wants });

/** What a run that waits is told of the ends of its children; it must be due. */
async function told(store: Guarded, node: number): Promise<readonly Pick<Entry, "key" | "value" | "data">[]> {
  const { entries } = (await journalOf(store, only(await lease(store, node))))!;
  return entries
    .filter(({ kind }) => kind === "mail")
    .map(({ key, value, data }) => ({ key, value, data: JSON.parse(data!) as Entry["data"] }));
}

/** Runs that workflows make. */
export function children(setup: () => Promise<Setup>): void {
  ending(setup);
  canceling(setup);
}

function ending(setup: () => Promise<Setup>): void {
  test("runs that a workflow makes are added with their entry, and the end of each is sent to it", async () => {
    const { store, node } = await setup();
    const parent = await leased(store, node);
    const ids = await withChildren(store, parent, 2, { input: wire(5) });
    await store.runs.settle([settled(parent, onChildren(2))]);
    const made = await lease(store, node, { jobs: ["child"] });

    const result = wire(7);
    await store.runs.settle([settled(made[0]!, { to: "completed", result, reason: null, note: null }, flow)]);
    await store.runs.settle([settled(made[1]!, completed, flow)]);

    expect(made.map(({ id }) => id)).toEqual(ids);
    expect(made[0]).toMatchObject({ input: wire(5), options: { parent: { run: parent.id, key: "a" } } });
    expect(await told(store, node)).toEqual([
      { key: "a", value: result, data: { run: ids[0], status: "completed", reason: null, error: null } },
      { key: "a", value: null, data: { run: ids[1], status: "completed", reason: null, error: null } },
    ]);
  });

  test("a run that wants 100 children is woken once they completed, and hears of each once", async () => {
    const { store, node } = await setup();
    const parent = await leased(store, node);
    const ids = await withChildren(store, parent, 100);
    await store.runs.settle([settled(parent, onChildren(100))]);
    const made = await lease(store, node, { jobs: ["child"] });

    await Promise.all(
      [0, 1, 2, 3].map((part) =>
        store.runs.settle(made.filter((_, i) => i % 4 === part).map((each) => settled(each, completed, flow))),
      ),
    );

    const runs = (await told(store, node)).map(({ data }) => (data as unknown as { readonly run: number }).run);
    expect(runs).toHaveLength(100);
    expect(new Set(runs)).toEqual(new Set(ids));
  });

  test.each<[string, Outcome]>([
    ["failed", failed("no")],
    ["canceled", { to: "canceled", reason: "user", error: null }],
  ])("a child that %s wakes at once, however many are wanted", async (status, outcome) => {
    const { store, node } = await setup();
    const parent = await leased(store, node);
    await withChildren(store, parent, 3);
    await store.runs.settle([settled(parent, onChildren(3))]);
    const [child] = await lease(store, node, { jobs: ["child"], limit: 1 });

    await store.runs.settle([settled(child!, outcome, flow)]);

    const error = status === "failed" ? { name: "Error", message: "no" } : null;
    expect(await told(store, node)).toMatchObject([{ key: "a", value: null, data: { run: child!.id, status, error } }]);
  });

  test("a child that ended before its parent waits is not missed", async () => {
    const { store, node } = await setup();
    const parent = await leased(store, node);
    await withChildren(store, parent);
    await store.runs.settle([settled(only(await lease(store, node, { jobs: ["child"] })), completed, flow)]);

    await store.runs.settle([settled(parent, onChildren(1))]);

    expect(await told(store, node)).toHaveLength(1);
  });

  test("no wake-up is lost where a parent begins to wait as its child ends, also in one call", async () => {
    const { store, node } = await setup();
    for (let round = 0; round < 20; round++) {
      const parent = await leased(store, node);
      await withChildren(store, parent);
      const child = only(await lease(store, node, { jobs: ["child"] }));
      const both = [settled(parent, onChildren(1)), settled(child, completed, flow)];

      if (round % 2 === 0) await store.runs.settle(both);
      else await Promise.all(both.map((each) => store.runs.settle([each])));
      const again = only(await lease(store, node));
      await store.runs.settle([settled(again, completed, flow)]);

      expect(again.id).toBe(parent.id);
    }
  });

  test("a repeated end of a child is sent once", async () => {
    const { store, node } = await setup();
    const parent = await leased(store, node);
    await withChildren(store, parent);
    const child = only(await lease(store, node, { jobs: ["child"] }));

    await Promise.all(Array.from({ length: 5 }, () => store.runs.settle([settled(child, failed(), flow)])));

    expect(await journalOf(store, parent)).toMatchObject({ inbox: 1, entries: [{ kind: "child" }, { kind: "mail" }] });
  });

  test("a child that is tried again has not ended, nor is one that is revived an end again", async () => {
    const { store, node } = await setup();
    const parent = await leased(store, node);
    const id = only(await withChildren(store, parent));
    const taken = async () => only(await lease(store, node, { jobs: ["child"] }));

    await store.runs.settle([settled(await taken(), again(), flow)]);
    const before = await journalOf(store, parent);
    await store.runs.settle([settled(await taken(), failed(), flow)]);
    await store.desk.revive([id], "failed");
    await store.runs.settle([settled(await taken(), completed, flow)]);

    expect(before!.inbox).toBe(0);
    expect((await journalOf(store, parent))!.inbox).toBe(1);
  });

  test("the end of a run that only repeats a child's options is nobody's", async () => {
    const { store, node } = await setup();
    const parent = await leased(store, node);
    const copy = await leased(store, node, { job: "child", options: { parent: { run: parent.id, key: "a" } } });

    await store.runs.settle([settled(copy, completed, flow)]);

    expect(await journalOf(store, parent)).toEqual({ inbox: 0, entries: [], waited: null });
  });

  test("children that are canceled, expire, or crash too often are told of, too", async () => {
    const { store, clock, node } = await setup();
    const parents = [await leased(store, node), await leased(store, node), await leased(store, node)];
    const [canceled, expires, crashes] = [
      only(await withChildren(store, parents[0]!)),
      only(await withChildren(store, parents[1]!, 1, { queue: "later", ttlMs: 60_000 })),
      only(await withChildren(store, parents[2]!, 1, { queue: "crash" })),
    ];
    await store.runs.settle(parents.map((each) => settled(each, onChildren(2))));
    const taken = only(await lease(store, node, { jobs: ["child"], queues: { only: ["crash"] } }));
    await store.runs.hold(node, [{ ...taken, startedMs: taken.dueMs }]);

    await store.desk.cancel([canceled]);
    await clock.advance("5m");
    await store.runs.sweep({ maxCrashes: 1 });

    const woken = await lease(store, node);
    const journals = await store.flow.load(woken.map(({ id, token }) => ({ id, token, after: 1 })));
    const heard = journals.flatMap((journal) => journal!.entries.map(({ data }) => JSON.parse(data!) as object));
    expect(new Set(woken.map(({ id }) => id))).toEqual(new Set(parents.map(({ id }) => id)));
    expect(heard).toHaveLength(3);
    expect(heard).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ run: canceled, status: "canceled", reason: "user", error: null }),
        expect.objectContaining({ run: expires, status: "failed", reason: "expired" }),
        expect.objectContaining({ run: crashes, status: "failed", reason: "crashed" }),
      ]),
    );
  });

  test("the end of a child whose parent is over changes nothing", async () => {
    const { store, node } = await setup();
    const parent = await leased(store, node);
    const id = only(await withChildren(store, parent));
    await store.runs.settle([settled(parent, completed, flow)]);

    await store.runs.settle([settled(only(await lease(store, node, { jobs: ["child"] })), failed(), flow)]);
    await store.runs.sweep({ maxCrashes: 3 });

    expect((await store.find.get(id))!.status).toBe("failed");
    expect(await store.flow.read(parent.id)).toMatchObject([{ kind: "child", runs: [id] }]);
  });
}

function canceling(setup: () => Promise<Setup>): void {
  const statusOf = async (store: Guarded, id: number) => {
    const { status, reason, canceling } = (await store.find.get(id))!;
    return canceling ? "asked" : `${status} ${reason}`;
  };

  test("a cancel goes down to all that a workflow made: what is leased is asked", async () => {
    const { store, node } = await setup();
    const root = await leased(store, node);
    const [first, second] = await withChildren(store, root, 2);
    await store.runs.settle([settled(root, onChildren(2))]);
    const child = only(await lease(store, node, { jobs: ["child"], limit: 1 }));
    const grand = only(await withChildren(store, child, 1, { job: "grand" }));
    const other = await addOne(store);

    await store.desk.cancel([root.id]);

    const { asks } = await store.nodes.beat(node, 30_000, aState(), []);
    expect(child.id).toBe(first);
    expect(await statusOf(store, root.id)).toBe("canceled user");
    expect(await statusOf(store, first!)).toBe("asked");
    expect(await statusOf(store, second!)).toBe("canceled parent");
    expect(await statusOf(store, grand)).toBe("canceled parent");
    expect(await statusOf(store, other)).toBe("pending null");
    expect(asks).toEqual([{ id: child.id, token: child.token, kind: "cancel" }]);
    expect(await store.runs.settle([settled(child, completed, flow)])).toEqual(["canceled"]);
    expect(await statusOf(store, first!)).toBe("canceled parent");
  });

  test("what a run made while a cancel waited for it is canceled with it", async () => {
    const { store, node } = await setup();
    const parent = await leased(store, node);
    const before = only(await withChildren(store, parent, 1, { delayMs: 600_000 }));
    await store.desk.cancel([parent.id]);
    const adds = [aChild(parent.id, "b", { delayMs: 600_000 })];
    const recorded = await recordOf(store, parent, [anEntry(2, { kind: "child", adds })]);
    const after = only(only(recorded!.entries).runs!);

    await store.runs.settle([settled(parent, completed, flow)]);

    expect([await statusOf(store, before), await statusOf(store, after)]).toEqual([
      "canceled parent",
      "canceled parent",
    ]);
  });

  test("what a run made goes on if the run ends by itself", async () => {
    const { store, node } = await setup();
    const parent = await leased(store, node);
    const id = only(await withChildren(store, parent));

    await store.runs.settle([settled(parent, failed(), flow)]);

    expect(await statusOf(store, id)).toBe("pending null");
  });
}
