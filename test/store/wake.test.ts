/** When Postgres tells nodes that there is something to do: a claim skips a row that is locked just then, so whoever locked it tells. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { postgres } from "../../runtime/store/postgres/index.ts";
import type { Store } from "../../runtime/store/store.ts";
import { again, aClaim, aKey, aNode, aRun, addOne, leased, settled } from "../kit/build.ts";
import { type Database, freshDatabase } from "../kit/database.ts";
import { until } from "../kit/until.ts";

let database: Database;
let store: Store;
let node: number;
let heard = 0;
beforeAll(async () => {
  database = await freshDatabase();
  store = postgres({ url: database.url });
  await store.open();
  node = await store.nodes.join(aNode(), 600_000);
  await store.runs.listen(node, (what) => (what === "due" ? heard++ : undefined));
});
afterAll(async () => {
  await store.close();
  await database.drop();
});

/** Does something, and awaits a notification that comes after it began. */
async function tells(what: string, act: () => Promise<unknown>): Promise<void> {
  await act();
  await until(() => heard > 0, { what: `${what} is told` });
  heard = 0;
}

test("nodes hear of a run that is added, waited for, replaced, moved, retried or released", async () => {
  let id = 0;
  const key = aKey("k", { onConflict: "replace" });

  await tells("an added run", async () => (id = await addOne(store, { key, delayMs: 30_000 })));
  await tells("a run that somebody waits for", () => store.find.awaited(id, 0));
  await tells("a replaced run", () => store.add([aRun({ key })]));
  await tells("a moved run", () => store.desk.edit(id, { delayMs: 0 }));
  const first = (await store.runs.lease(aClaim({ node }))).leases[0]!;
  await tells("a retry that is due soon", () => store.runs.settle([settled(first, again(100))]));
  const second = await leased(store, node);
  heard = 0;
  await tells("a released run", () => store.runs.release([second]));
});

test("a claim that met a locked row gets it when it is told", async () => {
  const id = await addOne(store);
  const lock = store.find.awaited(id, 0); // writes to the row, while the claims below go on

  const taken: number[] = [];
  await until(
    async () => {
      const { leases } = await store.runs.lease(aClaim({ node, limit: 10 }));
      taken.push(...leases.map((lease) => lease.id));
      return taken.includes(id);
    },
    { what: "the run is claimed" },
  );

  expect(taken.filter((other) => other === id)).toHaveLength(1);
  await lock;
});
