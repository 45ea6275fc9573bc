import type { RunOptions } from "../../../../sdk/port/target.ts";
import type { Part } from "./part.ts";
import { each, flag, list, maybe, json, number, raw, shape, wire } from "./shape.ts";
import { free } from "./status.ts";

/** In each row: the revision of the settings, the clock, and how long the claim took. */
export const claimed = shape({ rev: number, nowMs: number, tookMs: number });
/** A leased run, or nulls. */
export const taken = shape({
  ...each(number, "id", "token", "lane", "readyMs", "dueMs", "createdMs", "attempt", "spent", "crashes"),
  expiresMs: maybe(number),
  canceling: flag,
  input: wire,
  tags: list<string>(),
  key: raw,
  options: maybe(json<RunOptions>()),
});
/** The lists are parallel. */
export const scanned = shape({
  ...each(number, "nowMs", "tookMs"),
  ...each(list<number>(), "lanes", "ids", "instants"),
});

/** Statements that claim runs.
 *  Parameters of most: $1 lanes, in order · $2 their marks, epoch ms; 0: from the head, negative: relative to now · $3 node · $4 ttl, ms · $5
 *  limit · $6 ahead, ms · $7 only runs with fewer crashes · $8 runs that the node has, or null; others leased to it are claimed, too */
export function claims(part: Part) {
  const { schema: s, clock, now, ms, epoch, paused } = part;
  // A lapsed lease, but not the claimer's own: that node lives.
  const lapsed = "(r.lease_until is not null and r.node is not null and r.node <> $3)";
  const crashes = `case when ${lapsed} then greatest(r.crashes, 1) else r.crashes end`;
  const claimable = `r.state = 0 and (${free(part, "r")} or ($8::bigint[] is not null and r.node = $3 and r.id <> all($8::bigint[]))) and ${crashes} < $7::int`;
  /** Windows of the lanes: first of due runs, then of runs that fall due soon, so that these never displace due ones. The limits keep nothing
   *  out: they make a generic plan look as cheap as a custom one, which would be planned at each call. */
  const due = `
      select lane, ${now} high,
        case when low < 0 then ${now} + ${ms("low")} else coalesce(to_timestamp(low / 1000), '-infinity') end low
      from unnest($1::int[], $2::float8[]) w(lane, low)
      limit cardinality($1)`;
  const ahead = (lanes: string) => `
      select lane, ${now} + ${ms("$6")}, ${now} from ${lanes} where $6::float8 > 0 limit cardinality($1)`;
  const given = "unnest($1::int[]) w(lane)";
  const heads = `
      cross join lateral (
        select r.id from ${s}.runs r
        where r.lane = l.lane and ${claimable} and r.ready_at > l.low and r.ready_at <= l.high
          and l.lane <> all(${paused})          -- once, not once a lane
        order by r.ready_at, r.id limit $5 for update skip locked) c
      limit $5`;
  const take = (ids: string) => `
  taken as (
    update ${s}.runs r
    set lease_until = ${clock} + ${ms("$4")}, node = $3, token = token + 1, started_at = null, crashes = ${crashes},
      attempt = attempt + case when ${lapsed} then ${s}.crashed(r.id, r.token, r.attempt + 1, r.lane, r.node, ${clock}) else 0 end,
      unspent = unspent + ${lapsed}::int
    where r.id = any(array(${ids}))             -- an array is a fence: a join may lock more rows than $5
    returning id, token, lane, due_at, created_at, expires_at, attempt, unspent, crashes, ask, input, meta, tags, key, options, ready_at)`;
  const leases = `
  select ${claimed.select({
    rev: `(select rev from ${s}.config)`,
    nowMs: epoch(clock),
    tookMs: `${epoch(clock)} - ${epoch(now)}`,
  })},
    ${taken.from("t", {
      spent: "t.attempt - t.unspent",
      readyMs: `floor(${epoch("t.ready_at")})`,
      dueMs: `ceil(${epoch("t.due_at")})`,
      createdMs: `ceil(${epoch("t.created_at")})`,
      expiresMs: `case when t.crashes = 0 then ceil(${epoch("t.expires_at")}) end`,
      canceling: "t.ask is not null",
      input: ["t.input", "t.meta"],
    })}
  from (select 1) one left join taken t on true`;
  return {
    /** Claims runs by priority; each lane in the order in which runs became ready. The fencing token grows. Always returns a row.
     *  Index: runs_ready (lane, ready_at, id). No column set here is in an index: HOT. */
    lease: `
  with ${take(`
      select c.id from ((${due}) union all (${ahead(given)})) l ${heads}`)}
  ${leases}`,

    /** As `lease`, for many lanes: looks first which lanes have runs. */
    leaseMany: `
  with awake as materialized (
    select lane, high, low from (${due}) l
    where (
      select true from ${s}.runs
      where lane = l.lane and state = 0 and ready_at > l.low and ready_at <= ${now} + ${ms("$6")}
      limit 1)),
  ${take(`
      select c.id from ((select * from awake) union all (${ahead("awake")})) l ${heads}`)}
  ${leases}`,

    /** As `lease`, but lanes with due runs share the places evenly, the lowest priority first. The remaining places are filled as by `lease`. */
    leaseOldest: `
  with waiting as materialized (
    select i.lane, i.low, i.high, h.head, x.priority
    from (${due}) i
    join ${s}.lanes x on x.id = i.lane
    cross join lateral (
      select r.ready_at head from ${s}.runs r
      where r.lane = i.lane and ${claimable} and r.ready_at > i.low and r.ready_at <= i.high and i.lane <> all(${paused})
      order by r.ready_at, r.id limit 1) h),
  shared as materialized (
    select c.id from (select * from waiting order by priority, head) l
    cross join lateral (
      select r.id from ${s}.runs r
      where r.lane = l.lane and ${claimable} and r.ready_at > l.low and r.ready_at <= l.high
      order by r.ready_at, r.id limit (select ceil($5::bigint / count(*)::float8)::bigint from waiting)
      for update skip locked) c
    limit $5),
  others as materialized (
    select c.id from (select * from ((${due}) union all (${ahead(given)})) a where (select count(*) from shared) < $5) l ${heads}),
  ${take(`
      select id from (
        select id, 0 turn from shared
        union all
        select id, 1 from others where id <> all(array(select id from shared))) t
      order by turn limit $5`)}
  ${leases}`,

    /** As `lease`, of runs that a scan has found. $1 ids · $2 their possible lanes · the rest as there.
     *  Index: runs_id. `lane + 0` keeps the planner from walking runs_ready from its head. */
    leaseFound: `
  with ${take(`
      select c.id from unnest($1::bigint[]) i(id)
      cross join lateral (
        select r.id from ${s}.runs r
        where r.id = any(array[i.id]) and r.lane + 0 = any($2::int[]) and ${claimable} and r.ready_at <= ${now} + ${ms("$6")}
          and r.lane <> all(${paused})
        for update skip locked) c
      limit $5`)}
  ${leases}`,

    /** Reads which runs wait below the low-water marks. May take long, because it walks the index from its head. Returns one row.
     *  $1 lanes · $2 their marks, epoch ms; null: now · $3 limit a lane. Index: runs_ready */
    scan: `
  with found as materialized (
    select c.lane, c.id, c.ready_at
    from unnest($1::int[], $2::float8[]) l(lane, mark)
    cross join lateral (
      select r.lane, r.id, r.ready_at from ${s}.runs r
      where r.lane = l.lane and r.state = 0 and ${free(part, "r")} and r.ready_at <= coalesce(to_timestamp(l.mark / 1000), ${now})
        and l.lane <> all(${paused})
      order by r.ready_at, r.id limit $3) c)
  select ${scanned.from("f", { nowMs: epoch(clock), tookMs: `${epoch(clock)} - ${epoch(now)}` })}
  from (select array_agg(lane) lanes, array_agg(id) ids, array_agg(floor(${epoch("ready_at")})) instants from found) f`,
  };
}
