/** Lists and searches, built from conditions. Only this module loads Kysely, so a process that only runs jobs does not. */
import { Kysely, PostgresDialect, type RawBuilder, sql as raw } from "kysely";
import { finals, isFinal, type Status, statuses } from "../../../sdk/port/status.ts";
import type { AttemptRecord, LogRecord, Page, RunFilter, RunRecord } from "../../../sdk/port/target.ts";
import { strangeCursor } from "../guard.ts";
import type { Bounds } from "../port.ts";
import { numbers, type Pool, type Row, texts } from "./pool.ts";
import * as record from "./sql/record.ts";
import { flag, shape } from "./sql/shape.ts";
import { leased, running, statusNumber, waiting, waitNumber } from "./sql/status.ts";
import type { Statements } from "./sql.ts";

/** Without an index, so many of the newest runs are checked; the page says where it stopped. */
const windowSize = 100_000;
/** With more lanes, the newest runs of all lanes are searched first: mostly they fill the page. */
const fewLanes = 32;
const hunchSize = 5000;
/** An id is given at most so long before its run is added: an add may wait, and is repeated while the server is away. */
const numberedMs = 60_000;
const dayMs = 86_400_000;

type Part = RawBuilder<unknown>;

/** `hit`: the row matches. `edge`: the window ends with it. */
const marks = shape({ hit: flag, edge: flag });

/** Compiles; it never connects. */
const kysely = new Kysely<unknown>({
  dialect: new PostgresDialect({ pool: () => Promise.reject(new Error("this one only compiles")) }),
});

function ask(pool: Pool, query: RawBuilder<unknown>): Promise<readonly Row[]> {
  const { sql, parameters } = query.compile(kysely);
  return pool.rows("", sql, parameters);
}

/** The live or the finished runs of a list. */
interface Half {
  readonly table: string;
  readonly columns: string;
  /** Conditions that choose an index or a partition, and those that hold for nearly all runs. */
  readonly wanted: readonly Part[];
  /** The others, checked within the window. */
  readonly checks: readonly Part[];
}

/** Runs, newest first. */
export async function list(
  pool: Pool,
  sql: Statements,
  filter: RunFilter,
  { cursor, limit }: Bounds,
): Promise<Page<RunRecord>> {
  const before = cursor === undefined ? null : cursorOf(cursor);
  const none = { items: [], next: null, complete: true };
  if (JSON.stringify(filter).includes("\\u0000")) return none;
  const { only, not } = await lanesOf(pool, sql, filter);
  if (only?.length === 0) return none;
  const shared = [...(await numbersOf(pool, sql, filter, before)), ...not];
  const among = only ? [raw`r.lane = any(${numbers(only)}::int[])`] : [];
  const live = liveHalf(sql, filter, [...shared, ...among]);
  const past = pastHalf(sql, filter, shared);
  const answer = async (ofPast: Part | null): Promise<Page<RunRecord>> => {
    const parts = [live && newest(sql, live, limit, windowSize), ofPast].filter((part) => part !== null);
    if (parts.length === 0) return none;
    const all = raw`select * from (${raw.join(parts, raw` union all `)}) u order by 1 desc limit ${limit + 1}`;
    return paged(await ask(pool, all), limit);
  };
  if (!past) return answer(null);
  if (!only || filter.ids)
    return answer(newest(sql, { ...past, wanted: [...past.wanted, ...among] }, limit, windowSize));
  if (only.length > fewLanes) {
    const hunch = { ...past, checks: [...past.checks, ...among] };
    const found = await answer(newest(sql, hunch, limit, hunchSize));
    if (found.complete) return found;
  }
  return answer(laneByLane(sql, past, limit, only));
}

/** The newest `limit` + 1 rows of a half. */
function newest(sql: Statements, half: Half, limit: number, size: number): Part {
  const rows = picked(half, raw`r.id desc`, half.wanted, limit, size);
  return shown(sql, half, raw`(${rows}) r`, limit);
}

/** As `newest`, of these lanes, by the index (lane, id). The bounds on the lane, instead of equality, keep the planner from walking the index
 *  of ids. Costs a probe a lane and partition. */
function laneByLane(sql: Statements, half: Half, limit: number, lanes: readonly number[]): Part {
  const wanted = [...half.wanted, raw`r.lane >= w.lane and r.lane <= w.lane`];
  const size = Math.max(limit + 1, Math.floor(windowSize / lanes.length));
  const rows = picked(half, raw`r.lane desc, r.id desc`, wanted, limit, size);
  return shown(sql, half, raw`unnest(${numbers(lanes)}::int[]) w(lane) cross join lateral (${rows}) r`, limit);
}

function shown({ schema: s }: Statements, { columns }: Half, from: Part, limit: number): Part {
  const lanes = raw.raw(`${s}.lanes`);
  return raw`(select ${raw.raw(columns)}, ${raw.raw(marks.select({ hit: "r.hit", edge: "r.edge" }))} from ${from} join ${lanes} l on l.id = r.lane order by r.id desc limit ${limit + 1})`;
}

function picked({ table, checks }: Half, order: Part, wanted: readonly Part[], limit: number, size: number): Part {
  const from = raw`from ${raw.raw(table)} r where ${raw.join([raw`true`, ...wanted], raw` and `)} order by ${order}`;
  if (checks.length === 0) return raw`select r.*, true hit, false edge ${from} limit ${limit + 1}`;
  return raw`
    select r.*, c.hit, r.n = ${size} edge from (select r.*, row_number() over (order by ${order}) n ${from} limit ${size}) r
    cross join lateral (select coalesce(${raw.join(checks, raw` and `)}, false) hit) c
    where c.hit or r.n = ${size} order by ${order} limit ${limit + 1}`;
}

/** The page ends where the first window ended: below it, other rows may be missing. */
function paged(rows: readonly Row[], limit: number): Page<RunRecord> {
  const items: RunRecord[] = [];
  for (const row of rows) {
    const { hit, edge } = marks.read(row, record.run.width);
    if (hit && items.length === limit) return { items, next: String(items.at(-1)!.id), complete: true };
    const run = record.run.read(row);
    if (hit) items.push(run);
    if (edge) return { items, next: String(run.id), complete: false };
  }
  return { items, next: null, complete: true };
}

/** The ids of lanes if the filter names jobs or queues, else a condition that leaves out lanes. */
async function lanesOf(
  pool: Pool,
  { schema: s }: Statements,
  { ids, job, queue, hooks }: RunFilter,
): Promise<{ readonly only: readonly number[] | null; readonly not: readonly Part[] }> {
  const named = job !== undefined || queue !== undefined;
  const skipped = !hooks && !ids;
  if (!named && !skipped) return { only: null, not: [] };
  const where: Part[] = [];
  if (job) where.push(raw`job = any(${texts(job)}::text[])`);
  if (queue) where.push(raw`queue = any(${texts(queue)}::text[])`);
  if (skipped) where.push(named ? raw`queue <> '$hooks'` : raw`queue = '$hooks'`);
  const rows = await ask(pool, raw`select id from ${raw.raw(s)}.lanes where ${raw.join(where, raw` and `)}`);
  const found = rows.map((row) => Number(row[0]));
  if (named) return { only: found, not: [] };
  return { only: null, not: found.length > 0 ? [raw`r.lane <> all(${numbers(found)}::int[])`] : [] };
}

/** Conditions on ids: the cursor, the filter's ids, and bounds for its dates. */
async function numbersOf(
  pool: Pool,
  sql: Statements,
  { ids, createdAfter, createdBefore, finishedBefore }: RunFilter,
  before: number | null,
): Promise<readonly Part[]> {
  const where = before === null ? [] : [raw`r.id < ${before}`];
  if (ids) return [...where, raw`r.id = any(${numbers(ids)}::bigint[])`];
  const ends = [createdBefore, finishedBefore].filter((end) => end !== undefined).map((end) => end.getTime());
  if (createdAfter)
    where.push(raw`r.id >= ${(await numbersAt(pool, sql, createdAfter.getTime() - numberedMs))[0]}::bigint`);
  if (ends.length > 0)
    where.push(raw`r.id < ${(await numbersAt(pool, sql, Math.min(...ends) + numberedMs))[1]}::bigint`);
  return where;
}

/** Two ids around an instant, by bisection of history: of a run that was created before it, and of one created after it, or the largest id. */
async function numbersAt(pool: Pool, { schema: s }: Statements, ms: number): Promise<readonly [string, string]> {
  const at = instant(ms);
  const [row] = await ask(
    pool,
    raw`with recursive b(lo, hi, top) as (
      select 0::bigint, last_value + 1024, ${Number.MAX_SAFE_INTEGER}::bigint from ${raw.raw(s)}.run_id
      union all
      select case when p.created_at < ${at} then p.id + 1 else b.lo end,
        case when p.id is null then b.mid when p.created_at < ${at} then b.hi else p.id end,
        case when p.created_at >= ${at} then p.id else b.top end
      from (select lo, hi, top, (lo + hi) / 2 mid from b where hi - lo > 256) b
      left join lateral (
        select r.id, r.created_at from ${raw.raw(s)}.history r where r.id >= b.mid and r.id < b.hi order by r.id limit 1) p on true)
    select lo, top from b order by hi - lo limit 1`,
  );
  return [row![0]!, row![1]!];
}

function isAmong({ status }: RunFilter, one: Status): boolean {
  return status?.includes(one) ?? true;
}

/** The live half; null if the filter excludes it. */
function liveHalf(sql: Statements, filter: RunFilter, shared: readonly Part[]): Half | null {
  const { createdAfter, createdBefore, finishedAfter, finishedBefore, reason, error } = filter;
  const waits = reason?.map(waitNumber).filter((place) => place > 0);
  const wanted = statuses.filter(
    (status) => isAmong(filter, status) && !isFinal(status) && (!waits || (status === "waiting" && waits.length > 0)),
  );
  const hasEnd = (finishedAfter ?? finishedBefore ?? error) !== undefined;
  if (wanted.length === 0 || hasEnd) return null;
  return {
    table: `${sql.schema}.runs`,
    columns: record.liveColumns(sql),
    wanted: [
      ...shared,
      ...between("r.created_at", createdAfter, createdBefore),
      ...liveConditions(sql, wanted),
      ...(waits ? [raw`r.waits = any(${numbers(waits)}::smallint[])`] : []),
    ],
    checks: searches(filter),
  };
}

/** The finished half. Days and outcomes choose partitions. */
function pastHalf(sql: Statements, filter: RunFilter, shared: readonly Part[]): Half | null {
  const { createdAfter, createdBefore, finishedAfter, finishedBefore, reason, ids, error } = filter;
  const over = finals.filter((status) => isAmong(filter, status) && (error === undefined || status !== "completed"));
  if (over.length === 0) return null;
  const [wanted, checks] = [[...shared], searches(filter)];
  const others = over.filter((status) => status !== "completed");
  if (others.length === 0) wanted.push(raw`r.status = 0`);
  else if (others.length === over.length) wanted.push(raw`r.status in (1, 2)`); // these share partitions
  if (others.length === 1)
    checks.push(raw`r.status = any(${numbers(over.map((status) => statusNumber[status]))}::smallint[])`);
  const since = Math.max(finishedAfter?.getTime() ?? -Infinity, (createdAfter?.getTime() ?? -Infinity) - numberedMs);
  if (Number.isFinite(since)) wanted.push(raw`r.finished_at >= ${instant(Math.floor(since / dayMs) * dayMs)}`);
  if (finishedBefore) wanted.push(raw`r.finished_at < ${instant(Math.ceil(finishedBefore.getTime() / dayMs) * dayMs)}`);
  checks.push(...between("r.created_at", createdAfter, createdBefore));
  checks.push(...between("r.finished_at", finishedAfter, finishedBefore));
  if (reason) checks.push(raw`r.reason = any(${texts(reason)}::text[])`);
  const half = { table: `${sql.schema}.history`, columns: record.pastColumns(sql) };
  return ids ? { ...half, wanted: [...wanted, ...checks], checks: [] } : { ...half, wanted, checks };
}

function instant(ms: number): Part {
  return raw`to_timestamp(${ms / 1000}::float8)`;
}

function between(column: string, after: Date | undefined, before: Date | undefined): readonly Part[] {
  const where: Part[] = [];
  if (after) where.push(raw`${raw.raw(column)} >= ${instant(after.getTime())}`);
  if (before) where.push(raw`${raw.raw(column)} < ${instant(before.getTime())}`);
  return where;
}

function liveConditions(sql: Statements, wanted: readonly Status[]): readonly Part[] {
  if (wanted.length === 4) return [];
  const isLeased = leased(sql, "r");
  const waits = waiting(sql, "r");
  const conditions: Partial<Record<Status, string>> = {
    pending: `not (${isLeased} or ${waits})`,
    leased: `(${isLeased} and not ${running("r")})`,
    running: running("r"),
    waiting: waits,
  };
  return [raw.raw(`(${wanted.map((status) => conditions[status]).join(" or ")})`)];
}

/** Conditions that no index serves. */
function searches(filter: RunFilter): Part[] {
  const where: Part[] = [];
  if (filter.key !== undefined) where.push(raw`r.key = ${filter.key}`);
  if (filter.tags && filter.tags.length > 0) where.push(raw`r.tags @> ${texts(filter.tags)}::text[]`);
  for (const { path, value } of filter.payload ?? [])
    where.push(raw`r.input::jsonb #>> ${texts(path)}::text[] = ${value}`);
  if (filter.error !== undefined)
    where.push(
      raw`position(lower(${filter.error}) in lower(concat(r.error::jsonb ->> 'name', ': ', r.error::jsonb ->> 'message'))) > 0`,
    );
  return where;
}

/** Attempts, newest first. */
export async function attempts(
  pool: Pool,
  sql: Statements,
  filter: { readonly run?: number; readonly job?: readonly string[] },
  { cursor, limit }: Bounds,
): Promise<Page<AttemptRecord>> {
  const where: Part[] = [raw`true`];
  if (cursor !== undefined) where.push(raw`a.id < ${cursorOf(cursor)}`);
  if (filter.run !== undefined) where.push(raw`a.run = ${filter.run}`);
  if (filter.job) where.push(raw`l.job = any(${texts(filter.job)}::text[])`);
  const from = raw.raw(
    `${record.attemptColumns(sql)} from ${sql.schema}.attempts a join ${sql.schema}.lanes l on l.id = a.lane`,
  );
  const order = raw`order by a.id desc limit ${limit + 1}`;
  const rows = await ask(pool, raw`select ${from} where ${raw.join(where, raw` and `)} ${order}`);
  return pageOf(record.attempt.all(rows), limit);
}

/** A page of records, whose ids make the cursor. */
function pageOf<T>(records: readonly (T & { readonly id: number })[], limit: number): Page<T> {
  const more = records.length > limit;
  const items = records.slice(0, limit).map(({ id: _, ...item }) => item as T);
  return { items, next: more ? String(records[limit - 1]!.id) : null, complete: true };
}

/** Log lines of a run, oldest first. */
export async function logs(
  pool: Pool,
  sql: Statements,
  run: number,
  { cursor, limit }: Bounds,
): Promise<Page<LogRecord>> {
  const after = cursor === undefined ? 0 : cursorOf(cursor);
  const from = raw.raw(`${record.log.from("logs", {})} from ${sql.schema}.logs`);
  const rows = await ask(pool, raw`select ${from} where run = ${run} and id > ${after} order by id limit ${limit + 1}`);
  return pageOf(record.log.all(rows), limit);
}

function cursorOf(text: string): number {
  const id = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(id)) throw strangeCursor(text);
  return id;
}
