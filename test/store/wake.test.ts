/** When Postgres tells nodes that there is something to do: a claim skips a row that is locked just then, so whoever locked it tells. */
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { postgres } from "../../runtime/store/postgres/index.ts";
import type { Claim, Store } from "../../runtime/store/port.ts";
import { aClaim, addOne, again, aKey, aNode, aRun, aState, leased, release, settled } from "../kit/build.ts";
import { type Database, freshDatabase } from "../kit/database.ts";
import { until } from "../kit/until.ts";

let database: Database;
let store: Store;
let node: number;
let heard = 0;
let lanes: readonly number[] | undefined;
beforeAll(async () => {
  database = await freshDatabase();
  store = postgres({ url: database.url });
  await store.open();
  node = await store.nodes.join(aNode(), 600_000);
  await store.runs.listen(node, (what, named) => {
    if (what === "due") heard++;
    if (what === "due") lanes = named;
  });
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
  await tells("a released run", () => release(store, second));
});

test("while no node is up an add tells nobody, but for one in a transaction, and for what is late where a node sleeps", async () => {
  const other = await freshDatabase();
  const empty = postgres({ url: other.url });
  const client = new pg.Client(other.url);
  await client.connect();
  await empty.open();
  const said: string[] = [];
  client.on("notification", ({ payload }) => said.push(payload ?? ""));
  await client.query('listen "tasker:tasker"');
  const told = async (act: () => Promise<unknown>): Promise<readonly string[]> => {
    await act();
    await client.query(`select pg_notify('tasker:tasker', 'end')`);
    await until(() => said.includes("end"), { what: "the end is told" });
    return said
      .splice(0)
      .map((payload) => payload[0]!)
      .filter((kind) => kind !== "e");
  };
  let keys = 0;
  const addEach = async (delayMs: number): Promise<void> => {
    await empty.add([aRun({ delayMs })]);
    await empty.add([aRun({ delayMs }), aRun({ delayMs })]);
    await empty.add([aRun({ delayMs, tags: ["t"] })]);
    await empty.add([aRun({ delayMs, key: aKey(`k${keys++}`) })]);
  };

  const nobody = await told(() => addEach(0));
  const inside = await told(async () => {
    await client.query("begin");
    await empty.add([aRun()], client);
    await client.query("commit");
  });
  const up = await empty.nodes.join(aNode(), 600_000);
  const somebody = await told(() => addEach(0));
  const late = await told(() => addEach(3_600_000));
  await empty.nodes.beat(up, 600_000, aState({ asleep: true }), []);
  const asleep = await told(() => addEach(3_600_000));
  await client.end();
  await empty.close();
  await other.drop();

  expect([nobody, inside, somebody, late, asleep]).toEqual([[], ["d"], ["d", "d", "d", "d"], [], ["l", "l", "l", "l"]]);
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

test("an add says in which lanes its runs are, and a claim that looks only there finds them and no others", async () => {
  const id = await addOne(store, { job: "near" });
  await addOne(store, { job: "far" });
  const claim = { jobs: ["near", "far"], limit: 10 };
  const only = async (among: readonly number[], about: Partial<Claim> = {}) => {
    const { leases, nowMs } = await store.runs.lease(aClaim({ node, ...claim, lanes: among, ...about }));
    return { jobs: leases.map(({ job }) => job), asked: nowMs !== null };
  };

  const [far] = await laneOf("far");
  const [near] = await laneOf("near");

  expect(await only([near!], { jobs: ["far"] })).toEqual({ jobs: [], asked: false });
  expect(await only([near!], { queues: { only: ["other"] } })).toEqual({ jobs: [], asked: false });
  expect(await only([near!])).toEqual({ jobs: ["near"], asked: true });
  expect(await only([near!, far!])).toEqual({ jobs: ["far"], asked: true });
  expect((await store.find.get(id))?.status).toBe("leased");
});

test("a lane that the node has not read yet is looked for", async () => {
  const other = postgres({ url: database.url });
  await other.runs.lease(aClaim({ node })); // it knows the lanes of now
  await addOne(store, { job: "new" });
  const named = await laneOf("new");

  const { leases } = await other.runs.lease(aClaim({ node, jobs: ["new"], lanes: named }));

  expect(leases.map(({ job }) => job)).toEqual(["new"]);
  await other.close();
});

test("a batch over many lanes names none of them", async () => {
  heard = 0;
  await store.add(Array.from({ length: 40 }, (_, i) => aRun({ job: `many-${i}` })));

  await until(() => heard > 0, { what: "the batch is told" });

  expect(lanes).toBeUndefined();
});

/** The number of a job's lane, as a notification of another run of it names it. */
async function laneOf(job: string): Promise<readonly number[]> {
  heard = 0;
  const id = await addOne(store, { job });
  await until(() => heard > 0, { what: `a run of ${job} is told` });
  await store.desk.cancel([id], "user");
  return lanes!;
}
