import type { Part } from "./part.ts";
import { begun } from "./rate.ts";
import { job, lane, liveColumns, node, pastColumns, rate } from "./record.ts";
import { date, flag, shape, word } from "./shape.ts";
import { free } from "./status.ts";

/** The clock, and a queue or nulls. */
export const clocked = shape({ at: date });
export const queue = shape({ name: word(), paused: flag });

/** Statements that read. */
export function find(part: Part) {
  const { schema: s, clock, now, epoch, ms, holds, told } = part;
  const count = (where: string) =>
    `(select count(*) from (select 1 from ${s}.runs r where r.lane = l.id and r.state = 0 and ${where} limit $1) c)`;
  const isFree = free(part, "r");
  const isReady = `r.ready_at <= ${now} and ${isFree}`;
  return {
    /** The limit stops the search through partitions at the first match. $1 id */
    get: `
    select ${liveColumns(part)} from ${s}.runs r join ${s}.lanes l on l.id = r.lane where r.id = $1
    union all
    select ${pastColumns(part)} from ${s}.history r join ${s}.lanes l on l.id = r.lane where r.id = $1
    limit 1`,

    /** The run that holds a key. $1 job · $2 key. Index: the primary key of keys */
    holding: `
    with k as materialized (
      select k.run from ${s}.keys k
      left join ${s}.runs r on r.id = k.run
      left join ${s}.history h on h.id = k.run
      where k.job = $1 and k.key = $2 and (r.id is not null or ${holds("k", "r", "h")}))
    select ${liveColumns(part)} from ${s}.runs r join ${s}.lanes l on l.id = r.lane where r.id = (select run from k)
    union all
    select ${pastColumns(part)} from ${s}.history r join ${s}.lanes l on l.id = r.lane where r.id = (select run from k)
    limit 1`,

    /** Leases are counted at the head of a lane, because many runs may wait. $1 cap of each count. Index: runs_ready */
    depth: `
    select ${lane.from("l", {
      ready: count(isReady),
      readyAt: epoch(`(
        select r.ready_at from ${s}.runs r where r.lane = l.id and r.state = 0 and ${isReady} order by r.ready_at limit 1)`),
      delayed: count(`r.ready_at > ${now} and ${isFree}`),
      leased: `(
        select count(*) from (
          select r.lease_until from ${s}.runs r where r.lane = l.id and r.state = 0 order by r.ready_at, r.id limit 2 * $1) r
        where not ${isFree}) + coalesce(h.n, 0)`,
    })}
    from ${s}.lanes l
    left join (select lane, count(*) n from ${s}.runs where state = 1 group by lane) h on h.lane = l.id
    order by l.queue, l.job, l.priority desc`,

    /** $1 window, ms; it begins with a minute */
    rates: `
    select ${rate.select({
      ...{ queue: "queue", job: "job", completed: "sum(completed)", failed: "sum(failed)", canceled: "sum(canceled)" },
      ...{ retried: "sum(retried)", waitMs: "sum(wait_ms)", runMs: "sum(run_ms)" },
    })}
    from ${s}.rates where at >= ${begun("minute", `${now} - ${ms("$1")}`)} group by queue, job order by queue, job`,

    /** Nodes that live, or died in the last ten minutes. */
    nodes: `
    select ${node.from("n", { alive: `lease_until >= ${clock}` })}
    from ${s}.nodes n where lease_until >= ${clock} - interval '10 minutes' order by id`,

    jobs: `select ${job.from("j", {})} from ${s}.jobs j order by id`,

    /** Always returns a row: the clock, then a queue or nulls. */
    queues: `
    select ${clocked.select({ at: epoch(clock) })}, ${queue.from("q", {})}
    from (select 1) one
    left join (
      select distinct on (name) name, paused from (
        select name, paused, 0 o from ${s}.queues
        union all select queue, false, 1 from ${s}.lanes where left(queue, 1) <> '$') n
      order by name, o) q on true
    order by q.name`,

    /** Skips a locked row; the caller repeats. $1 id */
    watch: `
  with marked as (
    update ${s}.runs set watched = true where id = (select id from ${s}.runs where id = $1 for update skip locked)
    returning state, lease_until),
  waits as (select 1 from marked where state = 0 and lease_until is null),
  ${told("waits")}
  select (select count(*) from told) from marked`,
  };
}
