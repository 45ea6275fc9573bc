/** Lists and searches, put together from conditions. Kysely is loaded with this module alone: a process that only runs jobs needs none. */
import { Kysely, PostgresDialect, type RawBuilder, sql as raw } from "kysely";
import { InvalidInput } from "../../../sdk/error.ts";
import { finals, isFinal, type Status, statuses } from "../../../sdk/status.ts";
import type { AttemptRecord, LogRecord, Page, Paging, RunFilter, RunRecord } from "../../../sdk/target.ts";
import { liveColumns, pastColumns } from "./column.ts";
import { type Pool, type Row, texts } from "./pool.ts";
import { attemptOf, logOf, runOf } from "./record.ts";
import { pageSize } from "./page.ts";
import type { Statements } from "./sql.ts";

/** A search by tag, payload or error text looks at this many of the newest runs, then says where it stopped. */
const windowSize = 100_000;

type Part = RawBuilder<unknown>;

/** Compiles; it never connects. */
const kysely = new Kysely<unknown>({
  dialect: new PostgresDialect({ pool: () => Promise.reject(new Error("this one only compiles")) }),
});

function ask(pool: Pool, query: RawBuilder<unknown>): Promise<readonly Row[]> {
  const { sql, parameters } = query.compile(kysely);
  return pool.rows("", sql, parameters);
}

function live(sql: Statements, where: readonly Part[]): Part {
  return raw`select ${raw.raw(liveColumns(sql))} where ${raw.join(where, raw` and `)}`;
}

function past(sql: Statements, where: readonly Part[]): Part {
  return raw`select ${raw.raw(pastColumns(sql))} where ${raw.join(where, raw` and `)}`;
}

/** Runs, newest first. */
export async function list(pool: Pool, sql: Statements, filter: RunFilter, page: Paging): Promise<Page<RunRecord>> {
  const limit = pageSize(page);
  const before = page.cursor === undefined ? null : cursorOf(page.cursor);
  const search = searches(filter);
  const size = search.length > 0 ? windowSize : limit + 1;
  const [fromLive, fromPast] = branches(sql, filter, before);
  const parts: Part[] = [];
  if (fromLive) parts.push(raw`(${fromLive} order by r.id desc limit ${size})`);
  if (fromPast) parts.push(raw`(${fromPast} order by r.id desc limit ${size})`);
  if (parts.length === 0 || JSON.stringify(filter).includes("\\u0000"))
    return { items: [], next: null, complete: true };
  const columns = raw.raw(
    "id, job, queue, priority, status, reason, asked, due, created, expires, started, finished, node, attempt, crashes, token, tags, key, input, meta, result, result_meta, error, progress, options, replay_of, note, version",
  );
  const all = raw`select * from (${raw.join(parts, raw` union all `)}) u(${columns}) order by id desc limit ${size}`;
  if (search.length === 0) return cut((await ask(pool, all)).map(runOf), limit, null);
  const rows = await ask(
    pool,
    raw`
    with w as materialized (${all})
    select w.*, e.lowest from (select count(*) n, min(id) lowest from w) e
    left join lateral (select * from w r where ${raw.join(search, raw` and `)} order by id desc limit ${limit + 1}) w on true
    where w.id is not null or e.n >= ${size}`,
  );
  const matches = rows.filter((row) => row[0] !== null);
  const full = rows.length > 0 && (await windowIsFull(pool, all, size));
  return cut(matches.map(runOf), limit, full ? String(rows[0]!.at(-1)) : null);
}

async function windowIsFull(pool: Pool, all: Part, size: number): Promise<boolean> {
  const [row] = await ask(pool, raw`select count(*) from (${all}) w`);
  return Number(row![0]) >= size;
}

function cut(items: readonly RunRecord[], limit: number, edge: string | null): Page<RunRecord> {
  if (items.length > limit) return { items: items.slice(0, limit), next: String(items[limit - 1]!.id), complete: true };
  return { items, next: edge, complete: edge === null };
}

/** The two halves of a list, live and finished; null where the filter leaves nothing of one. */
function branches(sql: Statements, filter: RunFilter, before: number | null): readonly [Part | null, Part | null] {
  const wanted = new Set<Status>(filter.status ?? statuses);
  const over = finals.filter((status) => wanted.has(status));
  const liveWanted = statuses.filter((status) => wanted.has(status) && !isFinal(status));
  const shared = common(filter, before);
  const liveStatus = liveConditions(sql, liveWanted);
  const hasLive = liveWanted.length > 0 && !filter.finishedAfter && !filter.finishedBefore && !filter.reason;
  const numbered = over.map((status) => finals.indexOf(status));
  const ended: Part[] = [raw`r.status = any(${`{${numbered.join(",")}}`}::smallint[])`];
  if (filter.finishedAfter)
    ended.push(raw`r.finished_at >= to_timestamp(${filter.finishedAfter.getTime() / 1000}::float8)`);
  if (filter.finishedBefore)
    ended.push(raw`r.finished_at < to_timestamp(${filter.finishedBefore.getTime() / 1000}::float8)`);
  if (filter.reason) ended.push(raw`r.reason = any(${texts(filter.reason)}::text[])`);
  return [
    hasLive ? live(sql, [...shared, ...liveStatus]) : null,
    over.length > 0 ? past(sql, [...shared, ...ended]) : null,
  ];
}

function liveConditions({ clock }: Statements, wanted: readonly Status[]): readonly Part[] {
  if (wanted.length === 4) return [];
  const leased = `(r.state = 1 or coalesce(r.lease_until >= ${clock}, false))`;
  const running = "(r.state = 1 and r.started_at is not null)";
  const conditions: Partial<Record<Status, string>> = {
    pending: `not ${leased}`,
    leased: `(${leased} and not ${running})`,
    running,
    waiting: "false",
  };
  return [raw.raw(`(${wanted.map((status) => conditions[status]).join(" or ")})`)];
}

function common(filter: RunFilter, before: number | null): Part[] {
  const where: Part[] = [raw`true`];
  if (before !== null) where.push(raw`r.id < ${before}`);
  if (filter.ids) where.push(raw`r.id = any(${`{${filter.ids.join(",")}}`}::bigint[])`);
  if (filter.job) where.push(raw`l.job = any(${texts(filter.job)}::text[])`);
  if (filter.queue) where.push(raw`l.queue = any(${texts(filter.queue)}::text[])`);
  if (!filter.hooks && !filter.ids) where.push(raw`l.queue <> '$hooks'`);
  if (filter.createdAfter)
    where.push(raw`r.created_at >= to_timestamp(${filter.createdAfter.getTime() / 1000}::float8)`);
  if (filter.createdBefore)
    where.push(raw`r.created_at < to_timestamp(${filter.createdBefore.getTime() / 1000}::float8)`);
  return where;
}

/** Conditions without an index, on the columns of the window. */
function searches(filter: RunFilter): readonly Part[] {
  const where: Part[] = [];
  if (filter.key !== undefined) where.push(raw`r.key = ${filter.key}`);
  if (filter.tags && filter.tags.length > 0) where.push(raw`r.tags::jsonb @> ${JSON.stringify(filter.tags)}::jsonb`);
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
  { schema: s, epoch }: Statements,
  filter: { readonly run?: number; readonly job?: readonly string[] },
  page: Paging,
): Promise<Page<AttemptRecord>> {
  const limit = pageSize(page);
  const where: Part[] = [raw`true`];
  if (page.cursor !== undefined) where.push(raw`a.id < ${cursorOf(page.cursor)}`);
  if (filter.run !== undefined) where.push(raw`a.run = ${filter.run}`);
  if (filter.job) where.push(raw`l.job = any(${texts(filter.job)}::text[])`);
  const rows = await ask(
    pool,
    raw`select ${raw.raw(`a.id, a.run, a.token, a.n, l.job, (select n.name from ${s}.names n where n.id = a.node), ${epoch("a.started_at")}, ${epoch("a.ended_at")},
    a.outcome, a.error, ${epoch("a.retry_at")} from ${s}.attempts a join ${s}.lanes l on l.id = a.lane`)} where ${raw.join(where, raw` and `)} order by a.id desc limit ${limit + 1}`,
  );
  const more = rows.length > limit;
  return { items: rows.slice(0, limit).map(attemptOf), next: more ? rows[limit - 1]![0]! : null, complete: true };
}

/** What a run's handler logged, oldest first. */
export async function logs(
  pool: Pool,
  { schema: s, epoch }: Statements,
  run: number,
  page: Paging,
): Promise<Page<LogRecord>> {
  const limit = pageSize(page);
  const after = page.cursor === undefined ? 0 : cursorOf(page.cursor);
  const rows = await ask(
    pool,
    raw`select ${raw.raw(`id, run, attempt, ${epoch("at")}, level, message, data from ${s}.logs`)} where run = ${run} and id > ${after} order by id limit ${limit + 1}`,
  );
  const more = rows.length > limit;
  return { items: rows.slice(0, limit).map(logOf), next: more ? rows[limit - 1]![0]! : null, complete: true };
}

function cursorOf(text: string): number {
  const id = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(id))
    throw new InvalidInput(`cursor "${text.slice(0, 40)}" was not made by this list; leave it out to start anew`);
  return id;
}
