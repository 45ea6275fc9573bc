import { InvalidInput } from "../../../sdk/port/error.ts";
import { scheduleId } from "../../../sdk/port/id.ts";
import { timingOf } from "../../../sdk/define/rule.ts";
import type {
  NewSchedule,
  Paging,
  Rule,
  ScheduleFilter,
  ScheduleName,
  SchedulePage,
  ScheduleRecord,
  Schedules,
} from "../../../sdk/port/target.ts";
import type { Reason, Status } from "../../../sdk/port/status.ts";
import { declared, served as isServed, strangeCursor } from "../guard.ts";
import { numbers, type Pool, type Row, texts } from "./pool.ts";
import { finalStatus, liveStatus } from "./sql/status.ts";
import type { Statements } from "./sql.ts";

/** Schedules as people and application code see them, in Postgres. */
export function schedules(pool: Pool, sql: Statements): Schedules {
  const text = statements(sql);
  const read = async (names: readonly ScheduleName[]): Promise<ReadonlyMap<string, ScheduleRecord>> => {
    const rows = await pool.rows("tasker_schedules_get", text.get, namesOf(names));
    return new Map(rows.map((row) => [scheduleId(nameOf(row)), recordOf(row)]));
  };
  const get = async (name: ScheduleName): Promise<ScheduleRecord | null> =>
    (await read([name])).get(scheduleId(name)) ?? null;

  return {
    list: (filter, page = {}) => list(pool, text, filter, page),
    async put(batch) {
      const rows = await pool.rows("tasker_schedules_put", text.put, columnsOf(batch));
      const done = new Set(rows.map((row) => scheduleId(nameOf(row))));
      const records = await read(batch.filter((one) => done.has(scheduleId(one))));
      return batch.map((one) => {
        const id = scheduleId(one);
        return done.has(id) ? (records.get(id) ?? gone(id)) : declared(one);
      });
    },
    async pause(name, paused) {
      const names = [name.job, name.key];
      if (paused) await pool.rows("tasker_schedules_pause", text.pause, names);
      else await pool.rows("tasker_schedules_resume", text.resume, names);
      return get(name);
    },
    async remove(name) {
      const [row] = await pool.rows("tasker_schedules_remove", text.remove, [name.job, name.key]);
      if (row) return true;
      const left = await get(name);
      if (left?.declared && left.served) throw isServed(name);
      return false;
    },
  };
}

function gone(id: string): InvalidInput {
  return new InvalidInput(`schedule "${id}" was removed by somebody else at this moment; make it again`);
}

function namesOf(names: readonly ScheduleName[]): readonly string[] {
  return [texts(names.map(({ job }) => job)), texts(names.map(({ key }) => key))];
}

const overlaps = { allow: 0, skip: 1, cancel: 2 } as const;

/** Schedules as the columns that `scheduleRows` takes apart. */
export function columnsOf(list: readonly NewSchedule[]): readonly string[] {
  return [
    ...namesOf(list),
    numbers(list.map(({ rule }) => overlaps[rule.overlap])),
    texts(list.map(({ rule }) => JSON.stringify(rule))),
    texts(list.map(({ rule }) => timingOf(rule))),
    texts(list.map(({ input }) => input.json)),
    texts(list.map(({ input }) => input.meta)),
    texts(list.map(({ queue }) => queue)),
    numbers(list.map(({ priority }) => priority)),
    texts(list.map(({ tags }) => JSON.stringify(tags))),
  ];
}

async function list(
  pool: Pool,
  text: ReturnType<typeof statements>,
  { job, key, paused, declared: byCode }: ScheduleFilter,
  page: Paging,
): Promise<SchedulePage> {
  const { cursor, limit = 50 } = page;
  const after = cursor === undefined ? null : placeOf(cursor);
  const jobs = job ? texts(job) : null;
  const values = [jobs, paused ?? null, byCode ?? null, after?.job ?? null, after?.key ?? null, limit + 1];
  const rows =
    key === undefined
      ? await pool.rows("tasker_schedules_list", text.list, values)
      : await pool.rows("tasker_schedules_named", text.named, [...values, key]);
  const found = rows.filter((row) => row[1] !== null).map((row) => recordOf(row.slice(1)));
  const items = found.slice(0, limit);
  const last = items.at(-1);
  const next = found.length > limit && last ? JSON.stringify([last.job, last.key]) : null;
  return { items, next, complete: true, at: new Date(Number(rows[0]![0])) };
}

function placeOf(cursor: string): ScheduleName {
  try {
    const [job, key] = JSON.parse(cursor) as readonly unknown[];
    if (typeof job === "string" && typeof key === "string") return { job, key };
  } catch {
    // said below
  }
  throw strangeCursor(cursor);
}

function nameOf(row: Row): ScheduleName {
  return { job: row[0]!, key: row[1]! };
}

/** Columns as `get` selects them. */
function recordOf(row: Row): ScheduleRecord {
  const [job, key, rule, input, meta, queue, priority, tags, declared, paused, next, fresh, lastTick] = row;
  const [run, status, reason, count, served, created, updated] = row.slice(13);
  const date = (text: string | null | undefined): Date => new Date(Number(text));
  return {
    job: job!,
    key: key!,
    rule: JSON.parse(rule!) as Rule, // written by this store
    input: { json: input!, meta: meta! },
    queue: queue!,
    priority: priority === null ? null : Number(priority),
    tags: JSON.parse(tags!) as string[],
    declared: declared === "t",
    paused: paused === "t",
    nextAt: next === null ? null : date(next),
    fresh: fresh === "t",
    lastTick: lastTick === null ? null : date(lastTick),
    last: status ? { run: Number(run), status: status as Status, reason: reason as Reason | null } : null,
    count: Number(count),
    served: served === "t",
    createdAt: date(created),
    updatedAt: date(updated),
  };
}

/** Whether a live node has the job of schedule `s`. */
function hasNode({ schema, clock }: Statements): string {
  return `exists (select 1 from ${schema}.nodes a where a.lease_until > ${clock} and s.job = any(a.jobs))`;
}

/** Since when a node has had just these jobs. */
export function jobsAt(jobs: string, clock: string): string {
  return `jobs_at = case when jobs is distinct from ${jobs} then ${clock} else jobs_at end`;
}

/** Whether schedule `s` may tick: made at run time, or declared by a job that a live node has. */
export function served(sql: Statements): string {
  return `(s.declared is null or ${hasNode(sql)})`;
}

/** The parts of a statement that stores schedules: rows of the arrays $1… of `columnsOf`, and what a repeat changes. `anew`: one that
 *  code took out begins anew. */
export function scheduleRows(sql: Statements, declared: string, from: string, anew = false): string {
  const { schema: s, clock, epoch } = sql;
  const now = `floor(${epoch(clock)})::bigint`;
  const reset = anew ? "s.removed" : "false";
  const fresh = `not (s.paused and not ${reset}) and (s.removed or s.timing <> excluded.timing
      or (s.next_ms is null and (s.rule::json ->> 'limit') is distinct from (excluded.rule::json ->> 'limit')))`;
  return `
    insert into ${s}.schedules as s (job, key, overlap, rule, timing, input, meta, queue, priority, tags, declared, next_ms, fresh, created_at, updated_at)
    select i.job, i.key, i.overlap, i.rule, i.timing, i.input, i.meta, i.queue, i.priority,
      array(select json_array_elements_text(i.tags::json)), ${declared}, ${now}, true, ${clock}, ${clock}
    from unnest($1::text[], $2::text[], $3::smallint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::smallint[], $10::text[])
      i(job, key, overlap, rule, timing, input, meta, queue, priority, tags) ${from}
    order by i.job collate "C", i.key collate "C"
    on conflict (job, key) do update set rev = s.rev + 1, overlap = excluded.overlap, rule = excluded.rule, timing = excluded.timing,
      input = excluded.input, meta = excluded.meta, queue = excluded.queue, priority = excluded.priority, tags = excluded.tags,
      declared = excluded.declared, removed = false, paused = s.paused and not ${reset},
      count = case when ${reset} then 0 else s.count end, last_run = case when ${reset} then null else s.last_run end,
      live = case when ${reset} then '{}' else s.live end, updated_at = excluded.updated_at,
      next_ms = case when ${fresh} then excluded.next_ms else s.next_ms end, fresh = case when ${fresh} then true else s.fresh end,
      last_ms = case when ${reset} or (s.rule::json ->> 'atMs') is distinct from (excluded.rule::json ->> 'atMs') then null else s.last_ms end`;
}

/** Whether node $1 is to publish again: it has a declaration that is in force and not applied, or none at all. In force is the newest of its job among those of live
 *  nodes, and the schedules of the job are another one's. */
export function isToPublish(sql: Statements): string {
  const { schema: s, clock } = sql;
  return `coalesce((
      select n.declared is null or exists (
        select 1 from unnest(n.declared) m(id) join ${s}.declared d on d.id = m.id where ${inForce(s, clock)} and not ${isApplied(s)})
      from ${s}.nodes n where n.id = $1), true)`;
}

/** Declaration `d` is the newest of its job among those of live nodes that go on. */
export function inForce(s: string, clock: string): string {
  return `not exists (
    select 1 from ${s}.declared e where e.job = d.job and e.id > d.id
      and exists (select 1 from ${s}.nodes o where o.lease_until > ${clock} and not o.draining and e.id = any(o.declared)))`;
}

/** The schedules of declaration `d` are there, and no others of its job. */
export function isApplied(s: string): string {
  return `(d.size = (select count(*) from ${s}.schedules c where c.job = d.job and c.declared = d.id and not c.removed)
    and not exists (select 1 from ${s}.schedules c where c.job = d.job and c.declared <> d.id))`;
}

function statements(sql: Statements) {
  const { schema: s, clock, epoch, channel, live } = sql;
  const now = `floor(${epoch(clock)})::bigint`;
  const told = (from: string) =>
    `told as (select pg_notify('${channel}', 's') where exists (select 1 from ${from}) and ${live})`;
  const columns = `s.job, s.key, s.rule, s.input, s.meta, s.queue, s.priority, to_json(s.tags), s.declared is not null, s.paused,
      s.next_ms, s.fresh, s.last_ms, s.last_run,
      case when r.id is not null then ${liveStatus(sql, "r")} else ${finalStatus("h.status")} end, h.reason,
      s.count, ${hasNode(sql)}, ${epoch("s.created_at")}, ${epoch("s.updated_at")}
    from ${s}.schedules s left join ${s}.runs r on r.id = s.last_run
    left join lateral (select status, reason from ${s}.history where id = s.last_run limit 1) h on true`;
  const page = (of: string) => `
    select ${epoch(clock)}, x.* from (select 1) one left join (
      select ${columns} where not s.removed and ${of}
        and ($2::boolean is null or s.paused = $2) and ($3::boolean is null or (s.declared is not null) = $3)
        and ($4::text is null or (s.job, s.key) > ($4 collate "C", $5::text collate "C"))
      order by s.job, s.key limit $6) x on true
    order by x.job, x.key`;
  return {
    /** $1 jobs · $2 keys */
    get: `
    select ${columns} join unnest($1::text[], $2::text[]) i(job, key) on s.job = i.job and s.key = i.key where not s.removed`,

    /** Always answers a row: the clock, then a schedule or nulls.
     *  $1 jobs or null · $2 paused or null · $3 declared or null · $4, $5 after this job and key, or null · $6 limit */
    list: page("($1::text[] is null or s.job = any($1::text[]))"),

    /** As `list`, of the jobs $1 and the key $7. Index: the primary key (job, key). */
    named: page("s.job = any($1::text[]) and s.key = $7"),

    /** Makes or changes run-time schedules; answers those that it may. $1… as \`columnsOf\` */
    put: `
    with put as (${scheduleRows(sql, "null::integer", "", true)} where s.declared is null or s.removed returning s.job, s.key),
    ${told("put")}
    select job, key, (select count(*) from told) from put`,

    /** $1 job · $2 key */
    pause: `
    with changed as (
      update ${s}.schedules set paused = true, next_ms = null, fresh = false, rev = rev + 1, updated_at = ${clock}
      where job = $1 and key = $2 and not paused and not removed returning 1),
    ${told("changed")}
    select (select count(*) from told)`,

    /** A one-shot that has ticked stays ended. $1 job · $2 key */
    resume: `
    with changed as (
      update ${s}.schedules set paused = false, rev = rev + 1, updated_at = ${clock},
        next_ms = case when not ended then ${now} end, fresh = not ended
      from (select coalesce(last_ms >= (rule::json ->> 'atMs')::bigint, false) ended from ${s}.schedules where job = $1 and key = $2) e
      where job = $1 and key = $2 and paused and not removed returning 1),
    ${told("changed")}
    select (select count(*) from told)`,

    /** $1 job · $2 key */
    remove: `
    delete from ${s}.schedules s where job = $1 and key = $2 and not s.removed and (s.declared is null or not ${hasNode(sql)}) returning job`,
  };
}
