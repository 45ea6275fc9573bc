import { type RawBuilder, sql as raw } from "kysely";
import { InvalidInput } from "../../../sdk/error.ts";
import { finals, isFinal, type Status, statuses } from "../../../sdk/status.ts";
import type {
  AttemptRecord,
  Find,
  JobRecord,
  LogRecord,
  Page,
  Paging,
  RunFilter,
  RunRecord,
} from "../../../sdk/target.ts";
import type { Ear } from "./listen.ts";
import { type Pool, texts } from "./pool.ts";
import { attemptOf, jobOf, laneStatOf, logOf, nodeOf, rateOf, runOf } from "./record.ts";
import type { Statements } from "./sql.ts";

/** A search by tag, payload or error text looks at this many of the newest runs, then says where it stopped. */
const windowSize = 100_000;
/** Counts of a lane stop here. */
const depthCap = 10_000;
const rateWindowMs = 5 * 60_000;

type Part = RawBuilder<unknown>;

/** Reading, in Postgres. */
export function find(pool: Pool, sql: Statements, ear: Ear): Find {
  const text = statements(sql);
  const get: Get = async (id) => {
    const rows = await pool.query(raw`${live(sql, [raw`r.id = ${id}`])} union all ${past(sql, [raw`r.id = ${id}`])}`);
    return rows[0] ? runOf(rows[0]) : null;
  };
  const now = async (): Promise<Date> => new Date(Number((await pool.rows("tasker_now", text.now, []))[0]![0]));
  return {
    now,
    get,
    list: (filter, page) => list(pool, sql, filter, page ?? {}),
    async keyed(job, key) {
      const rows = await pool.rows("tasker_holders", sql.holders, [texts([job]), texts([key])]);
      const row = rows[0];
      return row && (row[3] === "true" || row[5] === "true") ? Number(row[1]) : null;
    },
    attempts: (filter, page) => attempts(pool, sql, filter, page ?? {}),
    logs: (run, page) => logs(pool, sql, run, page ?? {}),
    async stats() {
      const [lanes, rates, nodes] = await Promise.all([
        pool.rows("tasker_depth", text.depth, [depthCap]),
        pool.rows("tasker_rates", text.rates, [rateWindowMs]),
        pool.rows("tasker_nodes", text.nodes, []),
      ]);
      return {
        at: await now(),
        lanes: lanes.map(laneStatOf),
        rates: rates.map(rateOf),
        windowMs: rateWindowMs,
        nodes: nodes.map(nodeOf),
      };
    },
    async jobs() {
      return (await pool.rows("tasker_jobs", text.jobs, [])).map(jobOf) satisfies readonly JobRecord[];
    },
    async queues() {
      return (await pool.rows("tasker_queues", text.queues, [])).map((row) => ({
        name: row[0]!,
        paused: row[1] === "t",
      }));
    },
    awaited: (id, waitMs, signal) => awaited(pool, text.watch, ear, get, id, waitMs, signal),
  };
}

type Get = (id: number) => Promise<RunRecord | null>;

/** Marks the run as watched, so that its end is told, then looks; looks again when told, and every second besides. */
async function awaited(
  pool: Pool,
  watch: string,
  ear: Ear,
  get: Get,
  id: number,
  waitMs: number,
  signal?: AbortSignal,
): Promise<RunRecord | null> {
  const deadline = performance.now() + waitMs;
  let told = false;
  let wake = (): void => undefined;
  const rouse = (): void => {
    told = true;
    wake();
  };
  const stop = ear.ended((ids) => (ids.length === 0 || ids.includes(id) ? rouse() : undefined));
  signal?.addEventListener("abort", rouse, { once: true });
  try {
    for (let marked = false; ;) {
      told = false;
      marked ||= (await pool.rows("tasker_watch", watch, [id])).length > 0;
      const run = await get(id);
      if (!run || isFinal(run.status)) return run;
      const left = Math.min(marked ? 1000 : 50, deadline - performance.now()); // not marked: a claim has the row just now
      if (left <= 0 || signal?.aborted) return null;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, told ? 0 : left);
        wake = () => (clearTimeout(timer), resolve());
      });
    }
  } finally {
    stop();
    signal?.removeEventListener("abort", rouse);
  }
}

/** The columns of a record, in the order that `runOf` reads. */
function live({ schema: s, clock, epoch }: Statements, where: readonly Part[]): Part {
  const leased = `(r.state = 1 or r.lease_until >= ${clock})`;
  return raw`select ${raw.raw(`r.id, l.job, l.queue, l.priority,
    case when r.state = 1 and r.started_at is not null then 'running' when ${leased} then 'leased' else 'pending' end,
    null, r.ask is not null, ${epoch("r.due_at")}, ${epoch("r.created_at")}, ${epoch("r.expires_at")}, ${epoch("r.started_at")}, null,
    (select n.name from ${s}.names n where n.id = r.node), r.attempt, r.crashes, r.token, to_json(r.tags)::text, r.key, r.input, r.meta, null, null, null, r.progress,
    r.options, r.replay_of, null, (select n.version from ${s}.names n where n.id = r.node)
    from ${s}.runs r join ${s}.lanes l on l.id = r.lane`)} where ${raw.join(where, raw` and `)}`;
}
function past({ schema: s, epoch }: Statements, where: readonly Part[]): Part {
  return raw`select ${raw.raw(`r.id, l.job, l.queue, l.priority, (array['completed', 'failed', 'canceled'])[r.status + 1],
    r.reason, false, ${epoch("r.due_at")}, ${epoch("r.created_at")}, null::float8, ${epoch("r.started_at")}, ${epoch("r.finished_at")},
    (select n.name from ${s}.names n where n.id = r.node), r.attempt, r.crashes, r.token, to_json(r.tags)::text, r.key, r.input, r.meta, r.result, r.result_meta, r.error, r.progress,
    r.options, r.replay_of, r.note, (select n.version from ${s}.names n where n.id = r.node)
    from ${s}.history r join ${s}.lanes l on l.id = r.lane`)} where ${raw.join(where, raw` and `)}`;
}

async function list(pool: Pool, sql: Statements, filter: RunFilter, page: Paging): Promise<Page<RunRecord>> {
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
  if (search.length === 0) return cut((await pool.query(all)).map(runOf), limit, null);
  const rows = await pool.query(raw`
    with w as materialized (${all})
    select w.*, e.lowest from (select count(*) n, min(id) lowest from w) e
    left join lateral (select * from w r where ${raw.join(search, raw` and `)} order by id desc limit ${limit + 1}) w on true
    where w.id is not null or e.n >= ${size}`);
  const matches = rows.filter((row) => row[0] !== null);
  const full = rows.length > 0 && (await windowIsFull(pool, all, size));
  return cut(matches.map(runOf), limit, full ? String(rows[0]!.at(-1)) : null);
}

async function windowIsFull(pool: Pool, all: Part, size: number): Promise<boolean> {
  const [row] = await pool.query(raw`select count(*) from (${all}) w`);
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

async function attempts(
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
  const rows = await pool.query(
    raw`select ${raw.raw(`a.id, a.run, a.token, a.n, l.job, (select n.name from ${s}.names n where n.id = a.node), ${epoch("a.started_at")}, ${epoch("a.ended_at")},
    a.outcome, a.error, ${epoch("a.retry_at")} from ${s}.attempts a join ${s}.lanes l on l.id = a.lane`)} where ${raw.join(where, raw` and `)} order by a.id desc limit ${limit + 1}`,
  );
  const more = rows.length > limit;
  return { items: rows.slice(0, limit).map(attemptOf), next: more ? rows[limit - 1]![0]! : null, complete: true };
}

async function logs(pool: Pool, { schema: s, epoch }: Statements, run: number, page: Paging): Promise<Page<LogRecord>> {
  const limit = pageSize(page);
  const after = page.cursor === undefined ? 0 : cursorOf(page.cursor);
  const rows = await pool.query(
    raw`select ${raw.raw(`id, run, attempt, ${epoch("at")}, level, message, data from ${s}.logs`)} where run = ${run} and id > ${after} order by id limit ${limit + 1}`,
  );
  const more = rows.length > limit;
  return { items: rows.slice(0, limit).map(logOf), next: more ? rows[limit - 1]![0]! : null, complete: true };
}

export function pageSize(page: Paging): number {
  const limit = page.limit ?? 50;
  if (!Number.isInteger(limit) || limit < 1)
    throw new InvalidInput(`limit ${limit} is not a whole number from 1 to 200`);
  return Math.min(limit, 200);
}

function cursorOf(text: string): number {
  const id = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(id))
    throw new InvalidInput(`cursor "${text.slice(0, 40)}" was not made by this list; leave it out to start anew`);
  return id;
}

function statements({ schema: s, channel, clock, now, epoch, ms }: Statements) {
  const count = (where: string) =>
    `(select count(*) from (select 1 from ${s}.runs r where r.lane = l.id and r.state = 0 and ${where} limit $1) c)`;
  const leased = `coalesce(r.lease_until >= ${clock}, false)`;
  return {
    /** $1 cap of each count */
    depth: `
    select l.queue, l.job, l.priority, ${count(`r.ready_at <= ${now} and not ${leased}`)}, ${count(`r.ready_at > ${now} and not ${leased}`)},
      ${count(leased)} + coalesce(h.n, 0)
    from ${s}.lanes l left join (select lane, count(*) n from ${s}.runs where state = 1 group by lane) h on h.lane = l.id
    order by l.queue, l.job, l.priority desc`,
    /** $1 window, ms */
    rates: `
    select queue, job, sum(completed), sum(failed), sum(canceled), sum(retried), sum(wait_ms), sum(run_ms)
    from ${s}.rates where at > ${now} - ${ms("$1")} group by queue, job order by queue, job`,
    nodes: `
    select id, name, ${epoch("started_at")}, ${epoch("seen_at")}, lease_until >= ${clock}, draining, slots, busy, heap, to_json(jobs)::text
    from ${s}.nodes where lease_until >= ${clock} - interval '10 minutes' order by id`,
    jobs: `select id, description, queue, priority, schema, to_json(tags)::text, ttl_ms, hooks, ${epoch("seen_at")} from ${s}.jobs order by id`,
    queues: `
    select distinct on (name) name, paused from (
      select name, paused, 0 o from ${s}.queues union all select queue, false, 1 from ${s}.lanes where queue <> '$hooks') q
    order by name, o`,
    /** Waits for no lock. Claims skip a row that is locked, too, so one that met this is asked for again. $1 id */
    watch: `
  with marked as (
    update ${s}.runs set watched = true where id = (select id from ${s}.runs where id = $1 for update skip locked) returning state, lease_until),
  told as (select pg_notify('${channel}', 'd') from marked where state = 0 and lease_until is null)
  select (select count(*) from told) from marked`,
    now: `select ${epoch(clock)}`,
  };
}
