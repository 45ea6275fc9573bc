/** Fills tables in bulk, by SQL: what the growth tests measure is how the store copes with it, not how it came there. */
import type { Client } from "pg";
import type { NewRun } from "../../runtime/index.ts";
import type { Place } from "./place.ts";

export const inputJson = JSON.stringify({ to: "someone@example.com", sentAt: 1763712345678.901 });

/** A plain run, due now. */
export function aRun(job: string, queue = "default", priority = 5): NewRun {
  return {
    ...{ job, queue, priority, dueAt: null, delayMs: 0, input: { json: inputJson, meta: null }, tags: [] },
    ...{ key: null, ttlMs: null, options: null, replayOf: null },
  };
}

/** Puts numbers of runs that `load` may use out of the store's way. */
async function reserve(control: Client, schema: string, count: number): Promise<number> {
  const { rows } = await control.query<{ first: string }>(`select nextval('${schema}.run_id') first`);
  await control.query(`select setval('${schema}.run_id', $1::bigint, true)`, [Number(rows[0]!.first) + count + 1024]);
  return Number(rows[0]!.first);
}

/** Makes lanes of these queues × jobs × priorities, as triggers would. */
export async function makeLanes(
  { control }: Place,
  schema: string,
  of: { readonly queues: readonly string[]; readonly jobs: readonly string[]; readonly priorities: readonly number[] },
): Promise<void> {
  await control.query(
    `insert into ${schema}.lanes (queue, job, priority)
     select q, j, p from unnest($1::text[]) q, unnest($2::text[]) j, unnest($3::int[]) p on conflict do nothing`,
    [of.queues, of.jobs, of.priorities],
  );
  await control.query(`update ${schema}.config set rev = rev + 1`);
}

/** Waiting runs of the job `noop`, spread over its lanes and evenly over the span from `fromMs` to `toMs` from now. `leased`: by a node, for an hour. */
export async function loadWaiting(
  { control }: Place,
  schema: string,
  count: number,
  { fromMs, toMs, leased = false }: { readonly fromMs: number; readonly toMs: number; readonly leased?: boolean },
): Promise<void> {
  const first = await reserve(control, schema, count);
  await control.query(
    `insert into ${schema}.runs (id, lane, due_at, ready_at, created_at, input, token, node, lease_until)
     select $1::bigint + i, l.ids[1 + i % cardinality(l.ids)], t.at, t.at, now(), $5, $6::int, nullif($6::int, 0), case when $6::int = 1 then now() + interval '1 h' end
     from (select array_agg(id order by id) ids from ${schema}.lanes where job = 'noop') l, generate_series(0, $2::int - 1) i,
       lateral (select date_trunc('milliseconds', now() + ($3::float8 + ($4::float8 - $3::float8) * i / $2::int) * interval '1 ms') as at) t`,
    [first, count, fromMs, toMs, inputJson, leased ? 1 : 0],
  );
  await settle(control, schema);
}

/** Finished runs over the last `days` days: of `failing` one failed or was canceled, of 10 one has tags. Numbers follow the order of time. */
export async function loadHistory(
  place: Place,
  schema: string,
  count: number,
  { days, failing = 100 }: { readonly days: number; readonly failing?: number },
): Promise<void> {
  const { control } = place;
  const jobs = Array.from({ length: 20 }, (_, i) => `job${i}`);
  await makeLanes(place, schema, { queues: ["default"], jobs, priorities: [5] });
  for (let day = days; day >= 0; day--)
    for (const _ of ["completed", "other"])
      await control.query(`select ${schema}.make_partitions(0, 1e15, 1e15, now() - $1::int * interval '1 day')`, [day]);
  const first = await reserve(control, schema, count);
  const part = 250_000;
  for (let from = 0; from < count; from += part)
    await control.query(
      `insert into ${schema}.history (id, due_at, created_at, started_at, finished_at, lane, token, node, attempt, status, crashes, reason,
         input, tags, key, result, error)
       select $1::bigint + i, t.at, t.at, t.at, t.at + interval '20 ms', l.ids[1 + i % cardinality(l.ids)], 1, 1, 1, s.status, 0,
         case s.status when 1 then 'error' when 2 then 'user' end, $2,
         case when i % 10 = 0 then array['user:' || i % 5000, 'plan:' || i % 3] end, case when i % 50 = 0 then 'key ' || i end, '{"ok":true}',
         case when s.status = 1 then '{"name":"Error","message":"connection refused","stack":null}' end
       from (select array_agg(id order by id) ids from ${schema}.lanes where job like 'job%') l, generate_series($3::int, $4::int - 1) i,
         lateral (select case i % (2 * $7::int) when 7 % (2 * $7::int) then 1 when (7 + $7::int) % (2 * $7::int) then 2 else 0 end::smallint status) s,
         lateral (select now() - $6::int * interval '1 day' * (1 - i / $5::float8) as at) t`,
      [first, inputJson, from, Math.min(count, from + part), count, days, failing],
    );
  await settle(control, schema);
}

/** What autovacuum would have done by the time a table has grown so large. */
async function settle(control: Client, schema: string): Promise<void> {
  await control.query(`vacuum analyze ${schema}.runs`);
  await control.query(`vacuum analyze ${schema}.lanes`);
  await control.query(`vacuum analyze ${schema}.history`);
}
