import type { Part } from "./part.ts";
import { number, shape, word } from "./shape.ts";

/** The revision at which the lanes were read. */
export const read = shape({ rev: number });
/** A lane, or nulls. */
export const lane = shape({ id: number, queue: word(), job: word(), priority: number });

/** Statements on lanes, and the one that notifies. */
export function lanes({ schema: s, channel }: Part) {
  return {
    /** Creates missing lanes, which changes the revision. $1 queues · $2 jobs · $3 priorities */
    lanes: `
  with made as (
    insert into ${s}.lanes (queue, job, priority)
    select distinct i.queue, i.job, i.priority
    from unnest($1::text[], $2::text[], $3::int[]) i(queue, job, priority)
    where not exists (select 1 from ${s}.lanes l where l.queue = i.queue and l.job = i.job and l.priority = i.priority)
    on conflict (queue, job, priority) do nothing returning id),
  moved as (update ${s}.config set rev = rev + 1 where exists (select 1 from made))
  select count(*) from made`,

    /** Always returns a row: the revision, then a lane or nulls. */
    allLanes: `
    select ${read.select({ rev: `(select rev from ${s}.config)` })}, ${lane.from("l", {})}
    from (select 1) one left join ${s}.lanes l on true`,

    /** Notifies. $1 payload: `d` runs may be due, `l` later · `c<nodes>` commands wait · `w<runs>` watched runs ended */
    tell: `select pg_notify('${channel}', $1)`,
  };
}
