/** Claims that begin at the floor of each lane instead of at the head of the index. */
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { floors } from "../../runtime/store/postgres/floor.ts";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { lanes } from "../../runtime/store/postgres/lane.ts";
import { nodes } from "../../runtime/store/postgres/node.ts";
import { openPool } from "../../runtime/store/postgres/pool.ts";
import { sql } from "../../runtime/store/postgres/sql.ts";
import type { Claim, Store } from "../../runtime/store/port.ts";
import { aClaim, addMany, addOne, aNode, aState, lease } from "../kit/build.ts";
import { type Database, freshDatabase } from "../kit/database.ts";

let database: Database;
let store: Store;
let node: number;
let client: pg.Client;
beforeAll(async () => {
  database = await freshDatabase();
  store = postgres({ url: database.url });
  await store.open();
  node = await store.nodes.join(aNode(), 600_000);
  client = new pg.Client(database.url);
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await store.close();
  await database.drop();
});

async function claimed(about: Partial<Claim>): Promise<readonly number[]> {
  const { leases } = await store.runs.lease(aClaim({ node, limit: 10, whole: false, ...about }));
  return leases.map(({ id }) => id);
}

test("claims that go on where the last one ended bring each run once", async () => {
  const ids = await addMany(store, 45, { job: "many" });

  const taken: number[] = [];
  for (let i = 0; i < 6; i++) taken.push(...(await claimed({ jobs: ["many"] })));

  expect(taken).toEqual(ids);
});

test("what is added later is above the floor", async () => {
  await lease(store, node, { jobs: ["later"] });
  for (let i = 0; i < 3; i++) {
    const id = await addOne(store, { job: "later" });
    expect(await claimed({ jobs: ["later"] })).toEqual([id]);
  }
});

test("a run that turns up below the floor is found by a claim that looks at everything", async () => {
  await addOne(store, { job: "low" });
  await claimed({ jobs: ["low"] });
  const late = await addOne(store, { job: "low" });
  await client.query("update tasker.runs set ready_at = ready_at - interval '1 hour' where id = $1", [late]);

  expect(await claimed({ jobs: ["low"] })).toEqual([]);
  expect(await claimed({ jobs: ["low"], whole: true })).toEqual([late]);
});

test("a lane that a full claim did not reach keeps its floor", async () => {
  const high = await addMany(store, 10, { job: "two", priority: 9 });
  const low = await addMany(store, 3, { job: "two", priority: 1 });

  expect(await claimed({ jobs: ["two"] })).toEqual(high);
  expect(await claimed({ jobs: ["two"] })).toEqual(low);
});

test("where looking at everything takes long, a claim that knows no floor takes what has just come, and a look at everything the rest", async () => {
  const old = await addMany(store, 3, { job: "slow" });
  await client.query("update tasker.runs set ready_at = ready_at - interval '1 h' where id = any($1)", [old]);
  const recent = await addMany(store, 2, { job: "slow" });
  const about = { jobs: ["slow"], slow: true };

  expect(await claimed(about)).toEqual(recent);
  expect(await claimed({ ...about, whole: true })).toEqual(old);
});

test("a claim that fails forgets the floors that it began at", async () => {
  const [first] = await addMany(store, 2, { job: "forgets" });
  expect(await claimed({ jobs: ["forgets"] })).toHaveLength(2);
  await client.query(
    "update tasker.runs set lease_until = now() - interval '1 s', ready_at = ready_at - interval '1 h' where id = $1",
    [first],
  );
  expect(await claimed({ jobs: ["forgets"] })).toEqual([]);

  await expect(claimed({ jobs: ["forgets"], limit: -1 })).rejects.toThrow("LIMIT must not be negative");

  expect(await claimed({ jobs: ["forgets"] })).toEqual([first]);
});

test("of runs that such a claim left out none is lost once everything is quick to look at", async () => {
  const old = await addMany(store, 3, { job: "left" });
  await client.query("update tasker.runs set ready_at = ready_at - interval '1 h' where id = any($1)", [old]);

  expect(await claimed({ jobs: ["left"], slow: true })).toEqual([]);
  expect(await claimed({ jobs: ["left"] })).toEqual(old);
});

test("beats leave it to claims to look at everything in lanes where that takes long", async () => {
  await addOne(store, { job: "a" });
  await addOne(store, { job: "b" });
  const pool = openPool({ url: database.url, max: 2, prepare: true, name: "test" });
  const text = sql("tasker", false);
  const parts = { pool, sql: text, lanes: lanes(pool, text), floors: floors() };
  await parts.lanes.ensure([]);
  await parts.lanes.follow(-2);
  const { beat } = nodes(parts);
  const looks = async (jobs: readonly string[]): Promise<boolean> =>
    (await beat(node, 600_000, aState({ busy: 0, heap: 0, jobs }), [])).coming !== null;
  const [a, b] = [parts.lanes.of(["a"]), parts.lanes.of(["b"])];
  const both = async (): Promise<readonly boolean[]> => [await looks(["a"]), await looks(["b"])];

  const before = await both();
  parts.floors.looks();
  const meanwhile = await both();
  parts.floors.looked(a, 60, true);
  const slow = await both();
  parts.floors.looks();
  parts.floors.looked(b, 1, true);
  const otherQuick = await both();
  parts.floors.looks();
  parts.floors.looked(a, 1, false);
  const partQuick = await both();
  parts.floors.looks();
  parts.floors.looked(a, 1, true);
  const quick = await both();
  parts.floors.beaten(b, 60);
  const beaten = await both();
  await pool.close();

  expect(a).toHaveLength(1);
  expect([before, meanwhile, slow]).toEqual([
    [true, true],
    [false, false],
    [false, true],
  ]);
  expect([otherQuick, partQuick, quick, beaten]).toEqual([
    [false, true],
    [false, true],
    [true, true],
    [true, false],
  ]);
});

test("a floor rises to just before the last that was brought, or to just before the claim", () => {
  const known = floors();
  const about = { nowMs: 100_000, tookMs: 10, lateMs: 0 };
  expect(known.of(1)).toBe(0);

  known.saw({ ...about, lanes: [1, 2], lastMs: new Map([[1, 5000]]), exhausted: false });
  expect([known.of(1), known.of(2)]).toEqual([4999, 0]);

  known.saw({ ...about, lanes: [1, 2], lastMs: new Map([[1, 6000]]), exhausted: true });
  expect([known.of(1), known.of(2)]).toEqual([99_890, 99_890]);

  known.saw({ ...about, lanes: [2], lastMs: new Map([[2, 101_000]]), exhausted: false }); // it was leased ahead
  expect(known.of(2)).toBe(99_890);
});

test("where commits take long, floors stay further below for a while", () => {
  const known = floors();
  const about = { lanes: [1], lastMs: new Map<number, number>(), exhausted: true, nowMs: 100_000, tookMs: 0 };

  known.saw({ ...about, lateMs: 700 });
  expect(known.of(1)).toBe(99_300);
  for (let i = 0; i < 10_000; i++) known.saw({ ...about, lateMs: 0 });
  expect(known.of(1)).toBe(99_900);
  known.saw({ ...about, lateMs: 600_000 });
  expect(known.of(1)).toBe(98_000);
});
