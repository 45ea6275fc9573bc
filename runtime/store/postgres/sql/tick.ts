import type { Rule } from "../../../../sdk/port/target.ts";
import { claimed, inserted, same } from "./add.ts";
import type { Part } from "./part.ts";
import { served } from "./schedule.ts";
import { each, flag, json, list, maybe, number, shape, wire, word } from "./shape.ts";

/** The clock, whether other nodes live, and what follows the list: `later` beyond the time ahead, `dot` within it. */
export const around = shape({
  nowMs: number,
  others: flag,
  laterMs: maybe(number),
  laterDot: flag,
  dotMs: maybe(number),
});
/** A due schedule. */
export const due = shape({
  ...each(word(), "job", "key", "queue"),
  ...each(number, "rev", "nextMs", "count", "priority"),
  ...each(maybe(number), "lastMs", "ttlMs"),
  rule: json<Rule>(),
  input: wire,
  fresh: flag,
  live: list<number>(),
  tags: (text) => [...new Set(JSON.parse(text!) as string[])],
  servedMs: maybe((text) => Math.ceil(Number(text))),
});
export const moved = shape({ place: number, runs: json<readonly (number | null)[]>() });

export function tick(part: Part) {
  const { schema: s, clock, now: stable, epoch, told, list: array } = part;
  const now = `floor(${epoch(stable)})::bigint`;
  const alive = (of: string) =>
    `array(select x from unnest(${of}) x where exists (select 1 from ${s}.runs where id = x))`;
  const wanted = `not exists (select 1 from unnest($4::text[], $5::text[]) x(job, key) where x.job = s.job and x.key = s.key)`;
  const mine = `${served(part)} and ${wanted}`;
  return {
    /** Always returns a row: what is around, then a schedule or nulls.
     *  $1 node · $2 ahead, ms · $3 limit · $4 jobs and $5 keys to leave out. Index: schedules_due (next_ms) */
    due: `
    with found as materialized (
      select s.* from ${s}.schedules s
      where next_ms is not null and next_ms <= ${now} + $2::bigint and (fresh or overlap = 0 or next_ms <= ${now}) and ${mine}
      order by next_ms limit $3)
    select ${around.select({
      nowMs: epoch(clock),
      others: `exists (select 1 from ${s}.nodes where lease_until > ${clock} and id <> $1)`,
      ...{ laterMs: "later.next_ms", laterDot: "later.dot" },
      dotMs: `(
        select min(next_ms) from ${s}.schedules s
        where next_ms is not null and next_ms <= ${now} + $2::bigint and next_ms > ${now} and overlap <> 0 and not fresh and ${mine})`,
    })},
      ${due.from("f", {
        input: ["f.input", "f.meta"],
        ttlMs: "j.ttl_ms",
        live: `to_json(case when f.overlap = 0 then '{}' else ${alive("f.live")} end)`,
        queue: "coalesce(f.queue, j.queue, 'default')",
        priority: "coalesce(f.priority, j.priority, 0)",
        tags: "to_json(coalesce(j.tags, '{}') || f.tags)",
        servedMs: `case when f.declared is not null then (
          select ${epoch("min(coalesce(a.jobs_at, a.started_at))")} from ${s}.nodes a
          where a.lease_until > ${clock} and f.job = any(a.jobs)) end`,
      })}
    from (select 1) one
    left join lateral (
      select next_ms, overlap <> 0 dot from ${s}.schedules s
      where next_ms is not null and next_ms > ${now} + $2::bigint and ${mine}
      order by next_ms limit 1) later on true
    left join found f on true
    left join ${s}.jobs j on j.id = f.job
    order by f.next_ms`,

    /** Advances schedules and adds their runs; schedules that another node has locked are skipped. Returns the places of the advanced ones,
     *  and their runs.
     *  $1 jobs · $2 keys · $3 revisions · $4 next, epoch ms or null · $5 last, epoch ms or null · of runs: $6 places · $7 lanes · $8
     *  instants, epoch ms · $9 keys · $10 tags, JSON · $11 options · $12 ttls, ms · $13 how long they keep their keys, ms */
    tick: `
    with locked as materialized (
      select i.n, i.next, i.last, s.job, s.key, s.input, s.meta
      from unnest($1::text[], $2::text[], $3::int[], $4::bigint[], $5::bigint[]) with ordinality i(job, key, rev, next, last, n)
      join ${s}.schedules s on s.job = i.job and s.key = i.key and s.rev = i.rev
      where s.next_ms is not null order by s.job, s.key for update of s skip locked),
    r as materialized (
      select l.job, l.input, l.meta, i.*, nextval('${s}.run_id') id, ${part.dueAt("i.at")} due, '' hash, $13::float8 keep
      from unnest($6::int[], $7::int[], $8::float8[], $9::text[], $10::text[], $11::text[], $12::float8[]) with ordinality
        i(place, lane, at, key, tags, options, ttl, o)
      join locked l on l.n = i.place),
    won as (${claimed(part, "r")}),
    added as (${inserted(
      part,
      { ...same("r", "id", "lane", "ttl", "input", "meta", "key", "options"), due: "r.due", tags: array("r.tags") },
      "r where id in (select run from won)",
    )}),
    made as materialized (
      select r.place, array_agg(won.run order by r.o) runs, array_remove(array_agg(won.run order by r.o), null) new, max(won.run) last
      from r left join won on won.run = r.id group by r.place),
    moved as (
      update ${s}.schedules c
      set rev = rev + 1, fresh = false, last_ms = coalesce(l.last, c.last_ms),
        next_ms = case when c.count + coalesce(cardinality(m.new), 0) >= (c.rule::json ->> 'limit')::bigint then null else l.next end,
        count = c.count + coalesce(cardinality(m.new), 0), last_run = coalesce(m.last, c.last_run),
        live = case when overlap = 0 then '{}' else ${alive("c.live")} || coalesce(m.new, '{}') end
      from locked l left join made m on m.place = l.n
      where c.job = l.job and c.key = l.key returning l.n, m.runs),
    ${told("won")}
    select ${moved.select({ place: "n", runs: "coalesce(to_json(runs), '[]')" })}, (select count(*) from told) from moved`,
  };
}
