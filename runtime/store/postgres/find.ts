import { isFinal } from "../../../sdk/port/status.ts";
import { liveColumns, pastColumns } from "./column.ts";
import type { Find, JobRecord, RunRecord } from "../../../sdk/port/target.ts";
import type { Listener } from "./listen.ts";
import type { Pool } from "./pool.ts";
import { jobOf, laneStatOf, nodeOf, rateOf, runOf } from "./record.ts";
import type { Statements } from "./sql.ts";

/** Counts of a lane stop here. */
const depthCap = 10_000;
const rateWindowMs = 5 * 60_000;

/** Reading, in Postgres. */
export function find(pool: Pool, sql: Statements, listener: Listener): Find {
  const text = statements(sql);
  const get: Get = async (id) => {
    const rows = await pool.rows("tasker_get", text.get, [id]);
    return rows[0] ? runOf(rows[0]) : null;
  };
  return {
    get,
    async list(filter, page) {
      const { job = [], key = "", holds } = filter;
      if (!holds) return (await search()).list(pool, sql, filter, page ?? {});
      const rows = await pool.rows("tasker_holding", text.holding, [job[0] ?? "", key]);
      return { items: rows.map(runOf), next: null, complete: true };
    },
    attempts: async (filter, page) => (await search()).attempts(pool, sql, filter, page ?? {}),
    logs: async (run, page) => (await search()).logs(pool, sql, run, page ?? {}),
    async stats(options) {
      const [lanes, queues, rates, nodes] = await Promise.all([
        (options?.lanes ?? true) ? pool.rows("tasker_depth", text.depth, [depthCap]) : [],
        pool.rows("tasker_queues", text.queues, []),
        pool.rows("tasker_rates", text.rates, [rateWindowMs]),
        pool.rows("tasker_nodes", text.nodes, []),
      ]);
      return {
        at: new Date(Number(queues[0]![0])),
        queues: queues.filter((row) => row[1] !== null).map((row) => ({ name: row[1]!, paused: row[2] === "t" })),
        lanes: lanes.map(laneStatOf),
        rates: rates.map(rateOf),
        windowMs: rateWindowMs,
        nodes: nodes.map(nodeOf),
      };
    },
    async jobs() {
      return (await pool.rows("tasker_jobs", text.jobs, [])).map(jobOf) satisfies readonly JobRecord[];
    },
    awaited: (id, waitMs, signal) => awaited(pool, text.watch, listener, get, id, waitMs, signal),
  };
}

const search = () => import("./search.ts");

type Get = (id: number) => Promise<RunRecord | null>;

/** Marks the run as watched, so that its end is told, then looks; looks again when told, and every second besides. Where nobody is told it looks
 *  after a tenth of the time that it has waited. */
async function awaited(
  pool: Pool,
  watch: string,
  listener: Listener,
  get: Get,
  id: number,
  waitMs: number,
  signal?: AbortSignal,
): Promise<RunRecord | null> {
  const since = performance.now();
  const deadline = since + waitMs;
  let told = false;
  let wake = (): void => undefined;
  const rouse = (): void => {
    told = true;
    wake();
  };
  const stop = listener.ended((ids) => (ids.length === 0 || ids.includes(id) ? rouse() : undefined));
  signal?.addEventListener("abort", rouse, { once: true });
  try {
    for (let marked = false; ;) {
      told = false;
      marked ||= (await pool.rows("tasker_watch", watch, [id])).length > 0;
      const run = await get(id);
      if (!run || isFinal(run.status)) return run;
      const soon = listener.isDeaf ? Math.max(50, (performance.now() - since) / 10) : 1000;
      const left = Math.min(marked ? soon : 50, 1000, deadline - performance.now()); // not marked: a claim has the row just now
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

function statements(sql: Statements) {
  const { schema: s, channel, clock, now, epoch, ms, holds } = sql;
  const count = (where: string) =>
    `(select count(*) from (select 1 from ${s}.runs r where r.lane = l.id and r.state = 0 and ${where} limit $1) c)`;
  const leased = `coalesce(r.lease_until >= ${clock}, false)`;
  return {
    /** The limit ends the look through the partitions of history where the run is found. $1 id */
    get: `
    select ${liveColumns(sql)} from ${s}.runs r join ${s}.lanes l on l.id = r.lane where r.id = $1 union all
    select ${pastColumns(sql)} from ${s}.history r join ${s}.lanes l on l.id = r.lane where r.id = $1 limit 1`,

    /** The run that holds a key. Index: the primary key of keys. $1 job · $2 key */
    holding: `
    with k as materialized (
      select k.run from ${s}.keys k left join ${s}.runs r on r.id = k.run left join ${s}.history h on h.id = k.run
      where k.job = $1 and k.key = $2 and (r.id is not null or ${holds("k", "r", "h")}))
    select ${liveColumns(sql)} from ${s}.runs r join ${s}.lanes l on l.id = r.lane where r.id = (select run from k) union all
    select ${pastColumns(sql)} from ${s}.history r join ${s}.lanes l on l.id = r.lane where r.id = (select run from k) limit 1`,

    /** Leases are looked for at the head of a lane, where claims take from: among all that wait there may be few. $1 cap of each count */
    depth: `
    select l.queue, l.job, l.priority, ${count(`r.ready_at <= ${now} and not ${leased}`)}, ${count(`r.ready_at > ${now} and not ${leased}`)},
      (select count(*) from (select r.lease_until from ${s}.runs r where r.lane = l.id and r.state = 0 order by r.ready_at, r.id limit 2 * $1) r where ${leased})
        + coalesce(h.n, 0)
    from ${s}.lanes l left join (select lane, count(*) n from ${s}.runs where state = 1 group by lane) h on h.lane = l.id
    order by l.queue, l.job, l.priority desc`,
    /** $1 window, ms */
    rates: `
    select queue, job, sum(completed), sum(failed), sum(canceled), sum(retried), sum(wait_ms), sum(run_ms)
    from ${s}.rates where at > ${now} - ${ms("$1")} group by queue, job order by queue, job`,
    nodes: `
    select id, name, ${epoch("started_at")}, ${epoch("seen_at")}, lease_until >= ${clock}, draining, asleep, slots, busy, heap, to_json(jobs)::text
    from ${s}.nodes where lease_until >= ${clock} - interval '10 minutes' order by id`,
    jobs: `select id, description, queue, priority, schema, to_json(tags)::text, ttl_ms, hooks, ${epoch("seen_at")} from ${s}.jobs order by id`,
    /** Always answers a row: the clock, then a queue or nulls. */
    queues: `
    select ${epoch(clock)}, q.name, q.paused from (select 1) one left join (
      select distinct on (name) name, paused from (
        select name, paused, 0 o from ${s}.queues union all select queue, false, 1 from ${s}.lanes where queue <> '$hooks') n
      order by name, o) q on true
    order by q.name`,
    /** Waits for no lock. Claims skip a row that is locked, too, so one that met this is asked for again. $1 id */
    watch: `
  with marked as (
    update ${s}.runs set watched = true where id = (select id from ${s}.runs where id = $1 for update skip locked) returning state, lease_until),
  told as (select pg_notify('${channel}', 'd') from marked where state = 0 and lease_until is null)
  select (select count(*) from told) from marked`,
  };
}
