import type { Part } from "./part.ts";
import { begun, counted } from "./rate.ts";
import { isToPublish, jobsAt, served } from "./schedule.ts";
import type { Ask } from "../../port.ts";
import { flag, list, maybe, number, shape, word } from "./shape.ts";
import { free, owned } from "./status.ts";

/** The answer to a beat, in each row. */
export const beaten = shape({
  alive: flag,
  nowMs: number,
  tickMs: maybe(number),
  publish: flag,
  sweep: flag,
  others: flag,
  dueMs: maybe(number),
  expiresMs: maybe(number),
  tookMs: number,
  looked: flag,
  paused: list<string>(),
});
/** An ask, or nulls. */
export const asked = shape({ id: number, token: number, kind: word<Ask["kind"]>() });

/** Statements of nodes. */
export function node(part: Part) {
  const { schema: s, clock, now, epoch, ms, told, paused, watching } = part;
  /** Commands stay until the lease ends, so that no lost answer loses one. Without a cancel the run is asked back, until its start is
   *  recorded. A command without a run asks to record all starts. $1 node */
  const commands = `
  sent as (
    select c.id, c.run, c.token, c.at, r.id is not null stands, case when r.ask is null then 'back' else 'cancel' end kind
    from ${s}.commands c
    left join ${s}.runs r on r.id = c.run and r.token = c.token and (r.ask is not null or r.started_at is null) and ${owned("r")}
    where c.node = $1),
  over as (delete from ${s}.commands where id in (select id from sent where not stands and (run > 0 or at < ${clock} - interval '1 s'))),
  asked as (select distinct run, token, kind from sent where stands)`;
  /** When the first run expires; null if that is slow to find ($21). The order makes the planner walk runs_expiry. */
  const expiry = `(
    select expires_at from ${s}.runs
    where not $21::boolean and expires_at is not null and state < 1 and lease_until is null
    order by expires_at limit 1)`;
  /** Whether a sweep would find work. $1 node */
  const sweep = `(
    exists (
      select 1 from ${s}.nodes n
      where n.id <> $1 and n.lease_until < ${clock}
        and (n.lease_until < ${clock} - interval '1 hour' or exists (select 1 from ${s}.runs where state = 1 and holder = n.id)))
    or coalesce(${expiry} <= ${now}, false)
    or exists (select 1 from ${s}.mail where not delivered)
    or exists (select 1 from ${s}.commands c where not exists (select 1 from ${s}.nodes n where n.id = c.node))
    or exists (
      select 1 from ${s}.commands c join ${s}.runs r on r.id = c.run and r.token = c.token
      where r.state = 0 and r.ask is not null and r.lease_until < ${clock}))`;
  /** When a run of the lanes $19 can be leased first, or a lease at a lane's head ends. Now, if the revision is not $20.
   *  Index: runs_ready, two steps a lane */
  const due = `
    case when (select rev from ${s}.config) is distinct from $20::bigint then ${epoch(clock)} else (
      select floor(${epoch("min(x.at)")})
      from unnest($19::int[]) l(lane)
      cross join lateral (
        (select r.ready_at at from ${s}.runs r
          where r.lane = l.lane and r.state = 0 and ${free(part, "r")}
          order by r.ready_at, r.id limit 1)
        union all
        select greatest(ready_at, lease_until) from (
          select ready_at, lease_until from ${s}.runs where lane = l.lane and state = 0 order by ready_at, id limit 1) f
        where lease_until >= ${clock}) x
      where l.lane <> all(${paused})) end`;
  const tick = `(
    select min(next_ms) from ${s}.schedules s where next_ms is not null and (s.job = any($7::text[]) or ${served(part)}))`;
  return {
    /** $1 name · $2 app · $3 version · $4 ttl, ms · $5 limits of queues, JSON or null */
    join: `
  with made as (
    insert into ${s}.nodes (name, app, version, started_at, seen_at, lease_until, limits)
    values ($1, $2, $3, ${clock}, ${clock}, ${clock} + ${ms("$4")}, $5) returning id, name)
  insert into ${s}.names (id, name, version, at) select id, name, $3, ${clock} from made returning id, ${watching}`,

    /** Renews the node's lease, stores its state and rates, wakes sleeping nodes unless it sleeps itself, and reads its commands and what
     *  comes.
     *  $1 node · $2 ttl, ms · $3 draining · $4 slots · $5 busy · $6 heap · $7 jobs · $8… rates, one array a column · $18 asleep · $19 lanes
     *  to look into, or null · $20 the revision at which they were read · $21 walks over dead entries are slow */
    beat: `
  with old as (select id, lease_until >= ${clock} alive from ${s}.nodes where id = $1 for update),
  renewed as (
    update ${s}.nodes n
    set lease_until = ${clock} + ${ms("$2")}, seen_at = ${clock}, draining = $3, slots = $4, busy = $5, heap = $6, asleep = $18,
      jobs = $7::text[], ${jobsAt(part, "$7::text[]")}
    from old where n.id = old.id returning old.alive),
  joined as (
    insert into ${s}.nodes (id, name, app, version, started_at, seen_at, lease_until) overriding system value
    select $1, 'node ' || $1, '', '', ${clock}, ${clock}, ${clock} + ${ms("$2")} where not exists (select 1 from old)),
  woken as (
    update ${s}.nodes set asleep = false, lease_until = least(lease_until, ${clock} + ${ms("$2")})
    where id = any(array(select id from ${s}.nodes where asleep and id <> $1 and not $18 for update skip locked)) returning 1),
  ${told("woken")},
  ${commands},
  added as (
    ${counted(part, {
      table: "rates",
      key: { at: begun("minute", clock), node: "$1::int", queue: "i.queue", job: "i.job" },
      from: `(select * from unnest($8::text[], $9::text[], $10::int[], $11::int[], $12::int[], $13::int[], $14::float8[], $15::float8[], $16::text[], $17::text[])
        t(queue, job, completed, failed, canceled, retried, wait_ms, run_ms, waits, runs))`,
    })})
  select ${beaten.select({
    alive: "coalesce((select alive from renewed), false)",
    nowMs: epoch(clock),
    tickMs: tick,
    publish: isToPublish(part),
    sweep,
    others: `exists (select 1 from ${s}.nodes where lease_until > ${clock} and id <> $1)`,
    dueMs: due,
    expiresMs: `floor(${epoch(expiry)})`,
    tookMs: `${epoch(clock)} - ${epoch(now)}`,
    looked: "exists (select 1 from sent where run = 0)",
    paused: `(select json_agg(name) from ${s}.queues where paused)`,
  })}, ${asked.from("a", { id: "a.run" })}, (select count(*) from told), ${watching}
  from (select 1) one left join asked a on true`,

    /** Expires the node's lease; the next sweep recovers what it holds. $1 node */
    leave: `
    update ${s}.nodes set lease_until = ${clock} - interval '1 ms', draining = true, asleep = false, busy = 0, heap = 0
    where id = $1`,
  };
}
