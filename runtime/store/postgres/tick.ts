import { scheduleId, tickKey } from "../../../sdk/port/id.ts";
import { tickKeepMs } from "../../../sdk/define/rule.ts";
import type { Rule } from "../../../sdk/port/target.ts";
import type { Due, Tick, TickRun, Ticks } from "../port.ts";
import type { Lanes } from "./lane.ts";
import { numbers, type Pool, type Row, texts } from "./pool.ts";
import { served } from "./schedule.ts";
import { claimed, inserted } from "./sql/add.ts";
import type { Statements } from "./sql.ts";

/** The way of a schedule, in Postgres. */
export function ticks(pool: Pool, sql: Statements, lanes: Lanes): Ticks {
  const text = statements(sql);
  return {
    async due({ node, aheadMs, limit, except = [] }) {
      const out = [texts(except.map(({ job }) => job)), texts(except.map(({ key }) => key))];
      const rows = await pool.rows("tasker_schedules_due", text.due, [node, aheadMs, limit + 1, ...out]);
      const [nowMs, others, laterMs, laterDot, dotMs] = rows[0]!;
      const found = rows.filter((row) => row[5] !== null).map(dueOf);
      const next = [
        ...(laterMs === null ? [] : [{ atMs: Number(laterMs), dot: laterDot === "t" }]),
        ...(dotMs === null ? [] : [{ atMs: Number(dotMs), dot: true }]),
        ...found.slice(limit).map(({ nextMs, rule }) => ({ atMs: nextMs, dot: rule.overlap !== "allow" })),
      ].sort((a, b) => a.atMs - b.atMs);
      return {
        due: found.slice(0, limit),
        nowMs: Number(nowMs),
        next: next[0] ?? null,
        others: others === "t",
      };
    },
    async tick(batch) {
      const first = firsts(batch);
      const runs = first.flatMap((tick) => tick.runs.map((run) => ({ run, tick })));
      const laneNumbers = await lanes.ensure(runs.map(({ run, tick }) => ({ ...run, job: tick.job })));
      const values = [...tickColumns(first), ...runColumns(first, runs, laneNumbers)];
      const rows = await pool.rows("tasker_tick", text.tick, values);
      const made = new Map(rows.map((row) => [first[Number(row[0]) - 1], JSON.parse(row[1]!) as (number | null)[]]));
      return batch.map((tick) => made.get(tick) ?? null);
    },
  };
}

/** Without repeats of a schedule: a second tick of one comes too late by its revision. */
function firsts(batch: readonly Tick[]): readonly Tick[] {
  const seen = new Set<string>();
  return batch.filter((tick) => {
    const id = scheduleId(tick);
    return !seen.has(id) && seen.add(id);
  });
}

function tickColumns(batch: readonly Tick[]): readonly string[] {
  return [
    texts(batch.map(({ job }) => job)),
    texts(batch.map(({ key }) => key)),
    numbers(batch.map(({ rev }) => rev)),
    numbers(batch.map(({ nextMs }) => nextMs)),
    numbers(batch.map(({ lastMs }) => lastMs)),
  ];
}

function runColumns(
  batch: readonly Tick[],
  runs: readonly { readonly run: TickRun; readonly tick: Tick }[],
  laneNumbers: readonly number[],
): readonly unknown[] {
  const places = new Map(batch.map((tick, i) => [tick, i + 1]));
  return [
    numbers(runs.map(({ tick }) => places.get(tick)!)),
    numbers(laneNumbers),
    numbers(runs.map(({ run }) => Math.max(0, run.dueMs))),
    texts(runs.map(({ run, tick }) => tickKey(tick.key, run.tickMs))),
    texts(runs.map(({ run }) => (run.tags.length > 0 ? JSON.stringify(run.tags) : null))),
    texts(runs.map(({ run }) => JSON.stringify(run.options))),
    numbers(runs.map(({ run }) => run.ttlMs)),
    tickKeepMs,
  ];
}

function dueOf(row: Row): Due {
  const [job, key, rev, rule, input, meta, next, fresh, last, count, live, queue, priority, tags, ttl, served] =
    row.slice(5);
  return {
    job: job!,
    key: key!,
    rev: Number(rev),
    rule: JSON.parse(rule!) as Rule, // written by this store
    input: { json: input!, meta: meta! },
    nextMs: Number(next),
    fresh: fresh === "t",
    lastMs: last === null ? null : Number(last),
    count: Number(count),
    servedMs: served === null ? null : Math.ceil(Number(served)),
    live: JSON.parse(live!) as number[],
    queue: queue!,
    priority: Number(priority),
    tags: [...new Set(JSON.parse(tags!) as string[])],
    ttlMs: ttl === null || ttl === undefined ? null : Number(ttl),
  };
}

function statements(sql: Statements) {
  const { schema: s, clock, now: stable, epoch, told } = sql;
  const now = `floor(${epoch(stable)})::bigint`;
  const alive = (of: string) =>
    `array(select x from unnest(${of}) x where exists (select 1 from ${s}.runs where id = x))`;
  const wanted = `not exists (select 1 from unnest($4::text[], $5::text[]) x(job, key) where x.job = s.job and x.key = s.key)`;
  return {
    /** Always answers a row: the clock, whether others live, what comes after, then a schedule or nulls. $1 node · $2 ahead, ms · $3 limit · $4 jobs and $5 keys to leave out
     *  Index: schedules_due (next_ms). */
    due: `
    with found as materialized (
      select s.* from ${s}.schedules s where next_ms is not null and next_ms <= ${now} + $2::bigint
        and (fresh or overlap = 0 or next_ms <= ${now}) and ${served(sql)} and ${wanted}
      order by next_ms limit $3)
    select ${epoch(clock)}, exists (select 1 from ${s}.nodes where lease_until > ${clock} and id <> $1), later.next_ms, later.dot,
      (select min(next_ms) from ${s}.schedules s where next_ms is not null and next_ms <= ${now} + $2::bigint and next_ms > ${now}
        and overlap <> 0 and not fresh and ${served(sql)} and ${wanted}),
      f.job, f.key, f.rev, f.rule, f.input, f.meta, f.next_ms, f.fresh, f.last_ms, f.count,
      to_json(case when f.overlap = 0 then '{}' else ${alive("f.live")} end),
      coalesce(f.queue, j.queue, 'default'), coalesce(f.priority, j.priority, 0), to_json(coalesce(j.tags, '{}') || f.tags), j.ttl_ms,
      case when f.declared is not null
        then (select ${epoch("min(coalesce(a.jobs_at, a.started_at))")} from ${s}.nodes a where a.lease_until > ${clock} and f.job = any(a.jobs)) end
    from (select 1) one
    left join lateral (
      select next_ms, overlap <> 0 dot from ${s}.schedules s where next_ms is not null and next_ms > ${now} + $2::bigint and ${served(sql)} and ${wanted}
      order by next_ms limit 1) later on true
    left join found f on true left join ${s}.jobs j on j.id = f.job
    order by f.next_ms`,

    /** Moves schedules on and adds their runs. Rows that another node has locked are its to move. Answers the place of each that
     *  moved, and its runs.
     *  $1 jobs · $2 keys · $3 revisions · $4 next, epoch ms or null · $5 last, epoch ms or null · of runs: $6 places · $7 lanes ·
     *  $8 instants, epoch ms · $9 keys · $10 tags, JSON · $11 options · $12 ttls, ms · $13 how long they keep their keys, ms */
    tick: `
    with locked as materialized (
      select i.n, i.next, i.last, s.job, s.key, s.input, s.meta
      from unnest($1::text[], $2::text[], $3::int[], $4::bigint[], $5::bigint[]) with ordinality i(job, key, rev, next, last, n)
      join ${s}.schedules s on s.job = i.job and s.key = i.key and s.rev = i.rev
      where s.next_ms is not null order by s.job, s.key for update of s skip locked),
    r as materialized (
      select l.job, l.input, l.meta, i.*, nextval('${s}.run_id') id,
        ${sql.dueAt("i.at")} due, '' hash, $13::float8 keep
      from unnest($6::int[], $7::int[], $8::float8[], $9::text[], $10::text[], $11::text[], $12::float8[]) with ordinality
        i(place, lane, at, key, tags, options, ttl, o)
      join locked l on l.n = i.place),
    won as (${claimed(sql, "r")}),
    added as (${inserted(
      sql,
      {
        ...{ id: "id", lane: "lane", due: "due", ttl: "ttl", input: "input", meta: "meta", tags: sql.list("tags") },
        ...{ key: "key", options: "options" },
      },
      "r where id in (select run from won)",
    )}),
    made as materialized (
      select r.place, array_agg(won.run order by r.o) runs, array_remove(array_agg(won.run order by r.o), null) new, max(won.run) last
      from r left join won on won.run = r.id group by r.place),
    moved as (
      update ${s}.schedules c set rev = rev + 1, fresh = false, last_ms = coalesce(l.last, c.last_ms),
        next_ms = case when c.count + coalesce(cardinality(m.new), 0) >= (c.rule::json ->> 'limit')::bigint then null else l.next end,
        count = c.count + coalesce(cardinality(m.new), 0), last_run = coalesce(m.last, c.last_run),
        live = case when overlap = 0 then '{}' else ${alive("c.live")} || coalesce(m.new, '{}') end
      from locked l left join made m on m.place = l.n where c.job = l.job and c.key = l.key returning l.n, m.runs),
    ${told("won")}
    select n, coalesce(to_json(runs), '[]'), (select count(*) from told) from moved`,
  };
}
