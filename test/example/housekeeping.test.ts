import { readFileSync } from "node:fs";
import { runs, schedules } from "tasker";
import { Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cleanup } from "../../examples/housekeeping/cleanup.ts";
import { publish } from "../../examples/housekeeping/publish.ts";
import { stats } from "../../examples/housekeeping/stats.ts";
import { until } from "../kit/until.ts";
import { example, running, type Running } from "./kit.ts";

let own: Running;
let pool: Pool;
beforeAll(async () => {
  own = await running([publish, cleanup, stats]);
  pool = new Pool({ connectionString: own.url });
  await pool.query(readFileSync(example("housekeeping/tables.sql"), "utf8"));
});
afterAll(async () => {
  await pool.end();
  await own.stop();
});

test("the next runs are the next minute, two in the night in Paris, and the next hour", async () => {
  const { items } = await schedules.list();
  const nights = await schedules.preview("cleanup", { from: new Date("2026-10-24T12:00:00Z"), count: 2 });

  expect(items.map(({ id, nextAt, served }) => [id, nextAt!.getTime() % 60_000, served])).toEqual([
    ["cleanup", 0, true],
    ["publish", 0, true],
    ["stats", 0, true],
  ]);
  expect(items[2]!.nextAt!.getUTCMinutes()).toBe(0);
  expect(nights.map(({ tick }) => tick.toISOString())).toEqual([
    "2026-10-25T00:00:00.000Z",
    "2026-10-26T01:00:00.000Z",
  ]);
});

test("posts whose time has come are published", async () => {
  await pool.query("insert into posts (publish_at) values (now() - interval '1 s'), (now() + interval '1 d')");

  await (await schedules.trigger("publish")).result({ timeout: "10s" });

  const { rows } = await pool.query("select published from posts order by publish_at");
  expect(rows).toEqual([{ published: true }, { published: false }]);
});

test("sessions that expired long ago are deleted in batches, others stay, and a second time changes nothing", async () => {
  await pool.query(`insert into sessions (expires_at)
    select now() - interval '31 d' from generate_series(1, 2500)
    union all values (now() - interval '29 d'), (now() + interval '1 d')`);

  const first = await schedules.trigger<typeof cleanup>("cleanup");
  const deleted = await first.result({ timeout: "20s" });
  const second = await schedules.trigger<typeof cleanup>("cleanup");

  expect(deleted).toEqual({ deleted: 2500 });
  expect(await second.result({ timeout: "10s" })).toEqual({ deleted: 0 });
  expect((await pool.query("select from sessions")).rowCount).toBe(2);
});

test("hours are counted by the window of their ticks, each once, also when they are long over", async () => {
  await pool.query(`insert into visits values
    ('2026-01-05 00:59:59.999Z'), ('2026-01-05 01:00Z'), ('2026-01-05 01:30Z'), ('2026-01-05 02:00Z')`);
  // Without the hour that may end just now.
  const text = "select since, until, visits::int from visits_hourly where since < '2026-02-01' order by since";
  const counted = async (): Promise<readonly unknown[]> => (await pool.query<Record<string, unknown>>(text)).rows;
  const range = { from: new Date("2026-01-05T01:00:00Z"), to: new Date("2026-01-05T03:00:00Z") };

  const first = await schedules.backfill("stats", range);
  await until(async () => (await counted()).length === 3, { what: "three hours are counted" });
  const again = await schedules.backfill("stats", range);

  const hour = (n: number) => new Date(Date.UTC(2026, 0, 5, n));
  expect(await counted()).toEqual([
    { since: hour(0), until: hour(1), visits: 1 },
    { since: hour(1), until: hour(2), visits: 2 },
    { since: hour(2), until: hour(3), visits: 1 },
  ]);
  expect([first.runs.length, again.runs.length]).toEqual([3, 0]);
  expect(again.ticks).toBe(3);
});

test("a run of the hourly count that no schedule made is skipped", async () => {
  const run = await stats.trigger();

  await run.result({ timeout: "10s" });

  expect(await runs.need(run.id)).toMatchObject({ reason: "skipped", note: "only a schedule says which hour" });
});
