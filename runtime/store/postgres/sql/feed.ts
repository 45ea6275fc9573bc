import { keepMs, mostRows } from "../../place.ts";
import type { Part } from "./part.ts";
import { maybe, number, raw, shape } from "./shape.ts";

/** The head of the feed, and for how much longer somebody watches, ms; nulls where nobody ever did. */
export const head = shape({ epoch: maybe(number), n: maybe(number), leftMs: maybe(number) });
/** A row of lines, or nulls. */
export const row = shape({ last: maybe(number), atMs: number, texts: raw });

/** Rows that a statement deletes at most. */
export const mostGone = 2000;

/** Deletes old rows, to be put into a statement. */
export function outdated({ schema: s, clock, ms }: Part): string {
  return `
    delete from ${s}.feed where (epoch, last) in (
      select epoch, last from (select epoch, last, at from ${s}.feed order by epoch, last limit ${mostGone}) oldest
      where at < ${clock} - ${ms(String(keepMs))}) returning 1`;
}

/** Statements of the feed. */
export function feed(part: Part) {
  const { schema: s, clock, epoch, ms, channel } = part;
  return {
    /** Watches, and says so to those who listen if nobody did. A new counting begins then. Answers the place of the last line, how many old
     *  rows were deleted, and which nodes died since $2. $1 for how long, ms · $2 epoch ms or null */
    watch: `
  with head as (
    insert into ${s}.feed_head as h (epoch, n, until) values (floor(${epoch(clock)})::bigint, 0, ${clock} + ${ms("$1")})
    on conflict (one) do update set
      epoch = case when h.until < ${clock} then greatest(excluded.epoch, h.epoch + 1) else h.epoch end,
      n = case when h.until < ${clock} then 0 else h.n end,
      until = greatest(h.until, excluded.until)
    returning epoch, n, until),
  gone as (${outdated(part)}),
  told as (
    select pg_notify('${channel}', 'v' || floor(${epoch(`until - ${clock}`)})) from head
    where not exists (select 1 from ${s}.feed_head b where b.epoch = head.epoch and b.until > ${clock}))
  select ${head.select({ epoch: "epoch", n: "n", leftMs: epoch(`until - ${clock}`) })}, (select count(*) from gone),
    ${epoch(clock)}, (select json_agg(name order by id) from ${s}.nodes d
      where not d.draining and d.lease_until < ${clock} and d.lease_until >= to_timestamp($2::float8 / 1000)),
    (select count(*) from told)
  from head`,

    /** Adds a row if somebody watches. No row: nobody does. $1 lines · $2 how many */
    write: `
  with head as (update ${s}.feed_head set n = n + $2::bigint where one and until > ${clock} returning epoch, n, until),
  added as (insert into ${s}.feed (epoch, last, at, texts) select epoch, n, ${clock}, $1 from head),
  told as (select pg_notify('${channel}', 'e') from head)
  select floor(${epoch(`until - ${clock}`)}), (select count(*) from told) from head`,

    /** Always returns a row: the head, then rows of lines in order, or nulls. Of another counting than the head's, from its beginning.
     *  $1 epoch · $2 number of a line */
    read: `
  select ${head.select({ epoch: "h.epoch", n: "h.n", leftMs: "null" })}, ${row.select({ last: "f.last", atMs: epoch("f.at"), texts: "f.texts" })}
  from (select 1) one
  left join ${s}.feed_head h on h.one
  left join lateral (
    select last, at, texts from ${s}.feed
    where epoch = h.epoch and last > case when h.epoch = $1 then $2::bigint else 0 end
    order by last limit ${mostRows}) f on true
  order by f.last`,
  };
}
