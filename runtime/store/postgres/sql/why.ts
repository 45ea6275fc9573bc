import type { Part } from "./part.ts";
import { liveColumns, pastColumns } from "./record.ts";
import { date, each, flag, list, maybe, number, raw, shape, word } from "./shape.ts";
import { free } from "./status.ts";

/** Rows of a lane's head that are looked at for leases: more than nodes mostly have of one. */
const mostLeased = 200;
/** Runs of a node that are named. */
const mostNamed = 20;

/** Follows a run's columns: nulls of a finished one, but for the clock. */
export const fact = shape({
  at: date,
  spent: number,
  ...each(maybe(date), "leaseUntil", "pausedAt", "seenAt"),
  attempts: maybe(number),
  ...each(raw, "seenNode", "seenVersion"),
  /** The number of the node that has it. */
  holder: maybe(number),
});

export const node = shape({
  ...each(word(), "name", "version"),
  ...each(flag, "alive", "draining", "asleep", "serves", "holds"),
  ...each(date, "seenAt", "leaseUntil"),
  ...each(number, "slots", "leased", "ofQueue", "crashed"),
  limit: maybe(number),
  runs: list<number>(),
});

/** Statements that tell why a run stands where it does. None of them walks over more than a bounded number of runs. */
export function why(part: Part) {
  const { schema: s, clock, now, epoch, sameQueue } = part;
  const has = (job: string, pin: string) => `(${job} = any(n.jobs) and coalesce(n.version = ${pin}, true))`;
  const alive = `n.lease_until >= ${clock}`;
  const nothing = Array.from({ length: fact.width - 1 }, () => "null").join(", ");
  return {
    /** A run, and what belongs to it alone. $1 id */
    facts: `
    select ${liveColumns(part)}, ${fact.select({
      at: epoch(clock),
      spent: "r.attempt - r.unspent",
      leaseUntil: epoch(
        `case when r.state = 1 then (select h.lease_until from ${s}.nodes h where h.id = r.holder) else r.lease_until end`,
      ),
      pausedAt: epoch("q.paused_at"),
      seenAt: epoch("seen.at"),
      attempts: "j.attempts",
      ...{ seenNode: "seen.name", seenVersion: "seen.version" },
      holder: "case when r.state = 1 then r.holder when r.lease_until is not null then r.node end",
    })}
    from ${s}.runs r
    join ${s}.lanes l on l.id = r.lane
    left join ${s}.queues q on ${sameQueue("q.name", "l.queue")} and q.paused
    cross join lateral (select case when l.queue like '$%@%' then substr(l.queue, strpos(l.queue, '@') + 1) end version) pin
    left join ${s}.jobs j on j.id = l.job
    left join lateral (
      select n.name, n.version, n.seen_at at from ${s}.nodes n where ${has("l.job", "pin.version")}
      union all
      select m.name, m.version, j.seen_at from (select 1 where j.id is not null) one left join ${s}.names m on m.id = j.node
      where coalesce(m.version = pin.version, pin.version is null)
      order by at desc limit 1) seen on true
    where r.id = $1
    union all
    select ${pastColumns(part)}, ${epoch(clock)}, ${nothing}
    from ${s}.history r join ${s}.lanes l on l.id = r.lane where r.id = $1
    limit 1`,

    /** Nodes that live, and the one that has the run; with what those have leased that have its job.
     *  $1 job · $2 queue, $3 version that it is pinned to, or null · $4 the node that has it, or null  Index: runs_held, runs_ready */
    nodes: `
    with serving as materialized (select id, jobs from ${s}.nodes n where ${alive} and ${has("$1", "$3::text")}),
    ours as materialized (select l.* from ${s}.lanes l where l.job in (select unnest(jobs) from serving)),
    leased as materialized (
      select holder node, id, lane, started_at, crashes from ${s}.runs
      where state = 1 and holder = any(array(select id from serving)) and ready_at <= ${now}
      union all
      select c.node, c.id, c.lane, c.started_at, c.crashes
      from ours
      cross join lateral (
        select r.* from ${s}.runs r
        where r.lane = ours.id and r.state = 0 and r.ready_at <= ${now}
        order by r.ready_at, r.id limit ${mostLeased}) c
      where c.lease_until >= ${clock} and c.node = any(array(select id from serving))),
    placed as (
      select d.*, row_number() over (partition by d.node order by own desc, d.started_at, d.id) place
      from (select d.*, coalesce(${sameQueue("$2", "o.queue")}, false) own from leased d left join ours o on o.id = d.lane) d),
    counted as (
      select node, count(*) leased, count(*) filter (where own) of_queue, count(*) filter (where crashes > 0) crashed,
        json_agg(id order by place) filter (where place <= ${mostNamed}) runs
      from placed group by node)
    select ${node.from("n", {
      alive,
      serves: `coalesce(${has("$1", "$3::text")}, false)`,
      holds: "coalesce(n.id = $4::int, false)",
      ...{ leased: "coalesce(c.leased, 0)", ofQueue: "coalesce(c.of_queue, 0)", crashed: "coalesce(c.crashed, 0)" },
      limit: "(n.limits::json ->> $2)::int",
      runs: "c.runs",
    })}
    from ${s}.nodes n left join counted c on c.node = n.id
    where ${alive} or n.id = $4::int
    order by n.id`,

    /** How many due runs of a run's queue are claimed before it by nodes that have its job.
     *  $1 id · $2 limit · $3 queue · $4 version that it is pinned to, or null  Index: runs_ready */
    ahead: `
    with me as materialized (
      select r.id, r.ready_at, l.job, l.priority from ${s}.runs r join ${s}.lanes l on l.id = r.lane where r.id = $1),
    serving as materialized (
      select n.jobs, n.version from ${s}.nodes n where ${alive} and ${has("(select job from me)", "$4::text")})
    select count(*) from (
      select 1 from (
        select l.id, case when l.priority > me.priority then ${now} else me.ready_at end until,
          case when l.priority > me.priority then 9223372036854775807 else me.id end before
        from me join ${s}.lanes l on l.priority >= me.priority
        where l.job in (select unnest(jobs) from serving)
          and (l.queue = $3 or l.queue in (select '$' || $3 || '@' || version from serving))) l
      cross join lateral (
        select 1 from ${s}.runs r
        where r.lane = l.id and r.state = 0 and (r.ready_at, r.id) < (l.until, l.before) and ${free(part, "r")}
        limit $2) r
      limit $2) c`,
  };
}
