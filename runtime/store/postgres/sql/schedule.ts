import type { Reason, Status } from "../../../../sdk/port/status.ts";
import type { Rule } from "../../../../sdk/port/target.ts";
import type { Part } from "./part.ts";
import { date, each, flag, json, list, maybe, number, raw, shape, wire, word } from "./shape.ts";
import { finalStatus, liveStatus } from "./status.ts";

export const name = shape({ job: word(), key: word() });
export const clocked = shape({ at: date });
/** A schedule, with the state of its last run. */
export const record = shape({
  ...each(word(), "job", "key"),
  ...each(flag, "declared", "paused", "fresh", "served"),
  ...each(date, "createdAt", "updatedAt"),
  ...each(maybe(date), "nextAt", "lastTick"),
  ...each(maybe(number), "priority", "lastRun"),
  rule: json<Rule>(),
  input: wire,
  queue: raw,
  tags: list<string>(),
  lastStatus: maybe(word<Status>()),
  lastReason: maybe(word<Reason>()),
  count: number,
});

/** Whether a live node has the job of schedule `s`. */
function hasNode({ schema, clock }: Part): string {
  return `exists (select 1 from ${schema}.nodes a where a.lease_until > ${clock} and s.job = any(a.jobs))`;
}

/** Since when a node has had exactly these jobs. */
export function jobsAt({ clock }: Part, jobs: string): string {
  return `jobs_at = case when jobs is distinct from ${jobs} then ${clock} else jobs_at end`;
}

/** Whether schedule `s` may tick: a run-time one, or one whose job a live node has. */
export function served(part: Part): string {
  return `(s.declared is null or ${hasNode(part)})`;
}

/** Stores schedules, from the parameters of `columnsOf`. An existing one for which `anew` is true begins anew. */
export function scheduleRows(part: Part, declared: string, from: string, anew: string): string {
  const { schema: s, clock, epoch } = part;
  const now = `floor(${epoch(clock)})::bigint`;
  const differs = (field: string) =>
    `(s.rule::json ->> '${field}') is distinct from (excluded.rule::json ->> '${field}')`;
  const paused = `s.paused and not ${anew}`;
  const fresh = `not (${paused}) and (s.removed or s.timing <> excluded.timing or (s.next_ms is null and ${differs("limit")}))`;
  return `
    insert into ${s}.schedules as s (
      job, key, overlap, rule, timing, input, meta, queue, priority, tags, declared, next_ms, fresh, created_at, updated_at)
    select i.job, i.key, i.overlap, i.rule, i.timing, i.input, i.meta, i.queue, i.priority,
      array(select json_array_elements_text(i.tags::json)), ${declared}, ${now}, true, ${clock}, ${clock}
    from unnest(
      $1::text[], $2::text[], $3::smallint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::smallint[], $10::text[])
      i(job, key, overlap, rule, timing, input, meta, queue, priority, tags) ${from}
    order by i.job collate "C", i.key collate "C"
    on conflict (job, key) do update
    set rev = s.rev + 1, overlap = excluded.overlap, rule = excluded.rule, timing = excluded.timing,
      input = excluded.input, meta = excluded.meta, queue = excluded.queue, priority = excluded.priority, tags = excluded.tags,
      declared = excluded.declared, removed = false, paused = ${paused}, updated_at = excluded.updated_at,
      count = case when ${anew} then 0 else s.count end,
      last_run = case when ${anew} then null else s.last_run end,
      live = case when ${anew} then '{}' else s.live end,
      next_ms = case when ${fresh} then excluded.next_ms else s.next_ms end,
      fresh = case when ${fresh} then true else s.fresh end,
      last_ms = case when ${anew} or ${differs("atMs")} then null else s.last_ms end`;
}

/** Whether node $1 is to publish again: one of its declarations is in force and not applied, or it has none. */
export function isToPublish(part: Part): string {
  const { schema: s } = part;
  return `coalesce((
      select n.declared is null or exists (
        select 1 from unnest(n.declared) m(id)
        join ${s}.declared d on d.id = m.id
        where ${inForce(part)} and not ${isApplied(part)})
      from ${s}.nodes n where n.id = $1), true)`;
}

/** Whether declaration `d` is its job's newest among live nodes that are not draining. */
export function inForce({ schema: s, clock }: Part): string {
  return `not exists (
    select 1 from ${s}.declared e where e.job = d.job and e.id > d.id
      and exists (select 1 from ${s}.nodes o where o.lease_until > ${clock} and not o.draining and e.id = any(o.declared)))`;
}

/** Whether the schedules of declaration `d` are stored, and no others of its job. */
export function isApplied({ schema: s }: Part): string {
  return `(d.size = (select count(*) from ${s}.schedules c where c.job = d.job and c.declared = d.id and not c.removed)
    and not exists (select 1 from ${s}.schedules c where c.job = d.job and c.declared <> d.id))`;
}

export function schedule(part: Part) {
  const { schema: s, clock, epoch, ticked, watching } = part;
  const now = `floor(${epoch(clock)})::bigint`;
  const columns = `${record.from("s", {
    input: ["s.input", "s.meta"],
    declared: "s.declared is not null",
    nextAt: "s.next_ms",
    lastTick: "s.last_ms",
    lastStatus: `case when r.id is not null then ${liveStatus(part, "r")} else ${finalStatus("h.status")} end`,
    lastReason: "h.reason",
    served: hasNode(part),
  })}
    from ${s}.schedules s
    left join ${s}.runs r on r.id = s.last_run
    left join lateral (select status, reason from ${s}.history where id = s.last_run limit 1) h on true`;
  const page = (of: string) => `
    select ${clocked.select({ at: epoch(clock) })}, x.*
    from (select 1) one
    left join (
      select ${columns}
      where not s.removed and ${of}
        and ($2::boolean is null or s.paused = $2) and ($3::boolean is null or (s.declared is not null) = $3)
        and ($4::text is null or (s.job, s.key) > ($4 collate "C", $5::text collate "C"))
      order by s.job, s.key limit $6) x on true
    order by x.job, x.key`;
  return {
    /** $1 jobs · $2 keys */
    get: `
    select ${columns} join unnest($1::text[], $2::text[]) i(job, key) on s.job = i.job and s.key = i.key where not s.removed`,

    /** Always returns a row: the clock, then a schedule or nulls.
     *  $1 jobs or null · $2 paused or null · $3 declared or null · $4, $5 after this job and key, or null · $6 limit */
    list: page("($1::text[] is null or s.job = any($1::text[]))"),

    /** As `list`, of the jobs $1 and the key $7. Index: the primary key (job, key). */
    named: page("s.job = any($1::text[]) and s.key = $7"),

    /** Creates or changes run-time schedules; returns those that are not declared. $1… as `columnsOf` */
    put: `
    with put as (${scheduleRows(part, "null::integer", "", "s.removed")}
      where s.declared is null or s.removed returning s.job, s.key),
    ${ticked("put")}
    select ${name.from("put", {})}, (select count(*) from told), ${watching} from put`,

    /** $1 job · $2 key */
    pause: `
    with changed as (
      update ${s}.schedules set paused = true, next_ms = null, fresh = false, rev = rev + 1, updated_at = ${clock}
      where job = $1 and key = $2 and not paused and not removed returning 1),
    ${ticked("changed")}
    select (select count(*) from told), ${watching}`,

    /** A one-shot that has ticked does not tick again. $1 job · $2 key */
    resume: `
    with changed as (
      update ${s}.schedules set paused = false, rev = rev + 1, updated_at = ${clock},
        next_ms = case when not ended then ${now} end, fresh = not ended
      from (select coalesce(last_ms >= (rule::json ->> 'atMs')::bigint, false) ended from ${s}.schedules where job = $1 and key = $2) e
      where job = $1 and key = $2 and paused and not removed returning 1),
    ${ticked("changed")}
    select (select count(*) from told), ${watching}`,

    /** Counts runs as runs of their schedules. $1 jobs · $2 keys · $3 ids */
    attach: `
    with made as (
      select job, key, array_agg(id) ids, max(id) last
      from unnest($1::text[], $2::text[], $3::bigint[]) i(job, key, id) group by job, key)
    update ${s}.schedules c
    set rev = rev + case when overlap = 0 then 0 else 1 end, last_run = greatest(last_run, made.last),
      live = case when overlap = 0 then '{}' else live || made.ids end
    from made
    where c.job = made.job and c.key = made.key and not c.removed`,

    /** $1 job · $2 key */
    remove: `
    delete from ${s}.schedules s
    where job = $1 and key = $2 and not s.removed and (s.declared is null or not ${hasNode(part)})
    returning job, ${watching}`,
  };
}
