/** Journals, mail and parents of runs that end. */
import type { Part } from "./part.ts";
import { number, shape } from "./shape.ts";
import { finalStatus, statusNumber } from "./status.ts";

/** How many ends were sent to parents: the columns after those of another shape. */
export const posted = shape({ count: number });

/** A journal as JSON, as history keeps it; null if there is none. */
export const folded = ({ schema: s }: Part, run: string): string => `(
      select json_agg(json_strip_nulls(json_build_object('n', n, 'at', at, 'kind', kind, 'key', key, 'value', value, 'meta', meta,
        'data', data, 'runs', runs)) order by n)::text
      from ${s}.steps where run = ${run})`;
/** Its entries, as rows x. */
export const unfolded = (text: string): string => `json_to_recordset(${text}::json)
    x(n int, at bigint, kind text, key text, value text, meta text, data text, runs bigint[])`;

/** Sends parents the ends of runs. `from` selects parent, name, run, and columns of history. The parents are not updated here, because a
 *  statement can update a row only once: mail is counted when it is delivered. */
export function mailed({ schema: s, clock, epoch }: Part, from: string): string {
  const status = `coalesce(g.status, ${statusNumber.canceled})`;
  return `
    insert into ${s}.mail (run, at, name, value, meta, data, urgent, delivered)
    select g.parent, ceil(${epoch(clock)})::bigint, g.name, g.result, g.result_meta,
      json_build_object('run', g.run, 'status', ${finalStatus(status)}, 'reason', g.reason, 'error', g.error::json)::text,
      ${status} <> ${statusNumber.completed}, false
    from (${from}) g returning 1`;
}

/** Parts of a statement with the finished runs `gone`: deletes what they leave behind. Mail that is being delivered is left to its delivery. */
export function cleared(part: Part): string {
  const { schema: s } = part;
  return `
  done as (delete from ${s}.steps x using gone g where x.run = any(array[g.id])),
  unread as (
    delete from ${s}.mail m
    using (select m.run, m.id from gone g cross join lateral (select run, id from ${s}.mail where run = g.id for update skip locked) m) u
    where m.run = u.run and m.id = u.id),
  born as (
    delete from ${s}.children c using gone g
    where c.run = any(array[g.id])
    returning c.run, c.parent, c.key name, g.status, g.reason, g.error, g.result, g.result_meta),
  mailed as (${mailed(part, "select * from born")})`;
}
