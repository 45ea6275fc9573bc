/** Figures over time in Postgres: rows of an older version, and processes that add up at once. */
import pg from "pg";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { postgres } from "../../runtime/store/postgres/index.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import { aNode, aState, aTally, only } from "../kit/build.ts";
import { type Database, freshDatabase } from "../kit/database.ts";

const hourMs = 3_600_000;
const keep = { completedMs: 86_400_000, otherMs: 86_400_000 };
let database: Database;
let store: Guarded;
let client: pg.Client;
beforeAll(async () => {
  database = await freshDatabase();
  store = postgres({ url: database.url });
  await store.open();
  client = new pg.Client(database.url);
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await store.close();
  await database.drop();
});
beforeEach(() => client.query("delete from tasker.rates; delete from tasker.hours"));

/** The last day by hours. */
function day() {
  const end = Math.ceil(Date.now() / hourMs) * hourMs;
  return store.find.series({ from: new Date(end - 24 * hourMs), to: new Date(end), stepMs: hourMs });
}

test("what nodes of version 0.1.0 report is counted, without histograms", async () => {
  const old = `
    insert into tasker.rates (at, node, queue, job, completed, failed, canceled, retried, wait_ms, run_ms)
    values (date_trunc('hour', now()) - interval '90 minutes' + $1::int * interval '1 s', 7, 'default', 'job', 1, 2, 3, 4, 5, 6)`;
  for (const second of [1, 2]) await client.query(old, [second]);
  const before = await day();

  await store.runs.sweep({ maxCrashes: 3, keep });

  expect(only(before)).toMatchObject({ completed: 2, failed: 4, canceled: 6, retried: 8, waits: [], runs: [] });
  expect(await day()).toEqual(before);
  const { rows } = await client.query("select node, completed from tasker.rates");
  expect(rows).toEqual([{ node: 0, completed: 2 }]);
});

test("processes that add up at once, in bounded statements, count each row once", async () => {
  await client.query(`
    insert into tasker.rates
    select date_trunc('hour', now()) - interval '1 hour' + m * interval '1 minute', n, 'default', 'job' || j, 1, 0, 0, 0, 0, 0, '{1}', '{0,1}'
    from generate_series(0, 59) m, generate_series(1, 10) n, generate_series(1, 10) j`);
  const before = await day();

  await Promise.all([1, 2, 3].map(() => store.runs.sweep({ maxCrashes: 3, keep })));

  expect(only(before)).toMatchObject({ completed: 6000, waits: [6000], runs: [0, 6000] });
  expect(await day()).toEqual(before);
  const { rows } = await client.query<{ minutes: string; nodes: string }>(
    "select count(*) minutes, count(*) filter (where node <> 0) nodes from tasker.rates",
  );
  expect(rows).toEqual([{ minutes: "600", nodes: "0" }]);
});

test("a beat writes one row a minute, queue and job, and none if nothing ended", async () => {
  const node = await store.nodes.join(aNode(), 60_000);
  const beat = (completed: number) =>
    store.nodes.beat(node, 60_000, aState(), completed > 0 ? [aTally({ completed }), aTally({ job: "b" })] : []);

  await beat(0);
  for (let i = 0; i < 5; i++) await beat(1);

  const { rows } = await client.query<{ job: string; completed: string }>(
    "select job, sum(completed) completed, count(*)::int parts from tasker.rates group by job order by job",
  );
  expect(rows).toMatchObject([
    { job: "b", completed: "0" },
    { job: "job", completed: "5" },
  ]);
  for (const { parts } of rows as unknown as { parts: number }[]) expect(parts).toBeLessThanOrEqual(2);
});
