import { expect, test, vi } from "vitest";
import type { Guarded } from "../../runtime/store/port.ts";
import { aBench, aJob, deferred, turns, withRuns, type Bench } from "./kit.ts";

/** A runtime with a run that has been in its handler for 2.5 s. `held` counts what was put under its lease, and `beats` its beats. */
async function running(): Promise<
  Bench & { readonly id: number; readonly held: () => number; readonly beats: () => number }
> {
  const end = deferred();
  const [hold, beat] = [vi.fn(), vi.fn()];
  const bench = await aBench({ jobs: [aJob(() => end.promise)] }, (store) =>
    withBeats(
      withRuns(store, (runs) => ({ hold: (node, batch) => (hold(), runs.hold(node, batch)) })),
      beat,
    ),
  );
  const id = await bench.add();
  await bench.pass(2500);
  return { ...bench, id, held: () => hold.mock.calls.length, beats: () => beat.mock.calls.length };
}

function withBeats(store: Guarded, beaten: () => void): Guarded {
  const { nodes } = store;
  return { ...store, nodes: { ...nodes, beat: (...report) => (beaten(), nodes.beat(...report)) } };
}

const looks = {
  get: ({ store, id }) => store.find.get(id),
  "a list of what runs": ({ store }) => store.find.list({ status: ["running"] }),
  "a list with a leased run": ({ store }) => store.find.list({}),
  stats: ({ store }) => store.find.stats(),
} satisfies Record<string, (bench: Bench & { readonly id: number }) => Promise<unknown>>;

test.each(Object.entries(looks))("%s makes nodes tell what has started", async (_name, look) => {
  const bench = await running();

  await look(bench);
  await turns();

  const { items } = await bench.store.find.list({ status: ["running"] });
  expect(items.map(({ id }) => id)).toEqual([bench.id]);
  expect(items[0]).toMatchObject({ node: expect.any(String) as string, startedAt: items[0]!.dueAt });
});

test("stats with look: false ask no node", async () => {
  const bench = await running();
  const before = bench.beats();

  await bench.store.find.stats({ look: false });
  await turns();

  expect(bench.beats() - before).toBe(0);
  expect(bench.held()).toBe(0);
});

test("a node is asked at most once a second, however many look", async () => {
  const bench = await running();
  const before = bench.beats();

  for (let i = 0; i < 20; i++) {
    await bench.store.find.list({ status: ["running"] });
    await bench.store.find.stats();
    await turns(2);
  }

  expect(bench.beats() - before).toBe(1);
  expect(bench.held()).toBe(1);
});

test("while nobody looks, a start is not recorded before a third of the lease has passed", async () => {
  const bench = await running();

  expect(bench.held()).toBe(0);
});
