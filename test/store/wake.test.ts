/** When Postgres tells nodes that there is something to do: a claim skips a row that is locked just then, so whoever locked it tells. */
import pg from "pg";
import { beforeAll, expect, test } from "vitest";
import { postgres } from "../../runtime/store/postgres/index.ts";
import type { Claim, Guarded } from "../../runtime/store/port.ts";
import { aClaim, addOne, again, aKey, aNode, aRun, aState, leased, release, settled } from "../kit/build.ts";
import { freshDatabase } from "../kit/database.ts";
import { ownStore } from "../kit/store.ts";
import { until } from "../kit/until.ts";

let url: string;
let store: Guarded;
let node: number;
let client: pg.Client;
let heard = 0;
beforeAll(async () => {
  const own = await ownStore();
  ({ url, store, node, client } = own);
  await store.runs.listen(node, (what) => {
    if (what === "due") heard++;
  });
  return own.close;
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

/** What a claim brings once something was said to be due, and whether the database was asked. */
async function hinted(about: Partial<Claim>): Promise<{ jobs: readonly string[]; asked: boolean }> {
  const { leases, nowMs } = await store.runs.lease(aClaim({ node, limit: 10, poll: false, ...about }));
  return { jobs: leases.map(({ job }) => job), asked: !Number.isNaN(nowMs) };
}

/** Adds a run by another process, and awaits that it is told. */
async function addElsewhere(...runs: Parameters<typeof aRun>[0][]): Promise<void> {
  const other = postgres({ url: url });
  heard = 0;
  await other.add(runs.map((run) => aRun(run)));
  await until(() => heard > 0, { what: "the runs are told" });
  await other.close();
}

test("a claim that is no poll looks only where runs were told of, and asks nothing if that is nowhere of its own", async () => {
  const jobs = ["near", "far"];
  await addElsewhere({ job: "near" }, { job: "far" });
  await store.runs.lease(aClaim({ node, jobs, limit: 10 }));

  const before = await hinted({ jobs });
  await addElsewhere({ job: "near" });
  const [otherJob, otherQueue] = [await hinted({ jobs: ["far"] }), await hinted({ jobs, queues: { only: ["other"] } })];
  await untold("far");
  const near = await hinted({ jobs });
  const after = await hinted({ jobs });
  const polled = await store.runs.lease(aClaim({ node, jobs, limit: 10 }));

  expect([before, otherJob, otherQueue]).toEqual(Array(3).fill({ jobs: [], asked: false }));
  expect([near, after]).toEqual([
    { jobs: ["near"], asked: true },
    { jobs: [], asked: false },
  ]);
  expect(polled.leases.map(({ job }) => job)).toEqual(["far"]);
});

test("a claim that came back full, or left out what falls due soon, is gone on from", async () => {
  await addElsewhere({ job: "three" }, { job: "three" }, { job: "three", delayMs: 500 });
  const jobs = ["three"];

  const taken = [
    await hinted({ jobs, limit: 1 }),
    await hinted({ jobs, aheadMs: 0 }),
    await hinted({ jobs }),
    await hinted({ jobs }),
  ];

  expect(taken).toEqual([...Array<unknown>(3).fill({ jobs: ["three"], asked: true }), { jobs: [], asked: false }]);
});

test("what is told while a claim is under way, or before one that fails, counts", async () => {
  const jobs = ["meanwhile"];
  await addElsewhere({ job: "meanwhile" });
  const claim = hinted({ jobs });
  await addElsewhere({ job: "meanwhile" });
  const [first, second] = [await claim, await hinted({ jobs })];
  await addElsewhere({ job: "meanwhile" });
  await expect(hinted({ jobs, limit: -1 })).rejects.toThrow("LIMIT must not be negative");

  expect([...first.jobs, ...second.jobs]).toHaveLength(2);
  expect(await hinted({ jobs })).toEqual({ jobs, asked: true });
});

test("a lane that the node has not read yet is looked for", async () => {
  await store.runs.lease(aClaim({ node })); // it knows the lanes of now
  await addElsewhere({ job: "new" });

  expect(await hinted({ jobs: ["new"] })).toEqual({ jobs: ["new"], asked: true });
});

test("a batch over many lanes, which names none, may be anywhere, also below the marks", async () => {
  await addElsewhere({ job: "deep" });
  await store.runs.lease(aClaim({ node, jobs: ["deep"], limit: 10 }));
  await untold("deep", "1 h");
  const before = await hinted({ jobs: ["deep"] });

  await addElsewhere(...Array.from({ length: 40 }, (_, i) => ({ job: `many-${i}` })));

  expect(before).toEqual({ jobs: [], asked: false });
  expect(await hinted({ jobs: ["deep"] })).toEqual({ jobs: ["deep"], asked: true });
});

/** A run that has been due for a while, which nobody is told of. */
async function untold(job: string, ago = "0 s"): Promise<void> {
  await client.query(
    `insert into tasker.runs (id, lane, due_at, ready_at, created_at, input)
     select nextval('tasker.run_id'), id, t.at, t.at, t.at, '1' from tasker.lanes, (select now() - $2::interval as at) t where job = $1`,
    [job, ago],
  );
}
