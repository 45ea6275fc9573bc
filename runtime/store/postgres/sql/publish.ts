import type { Part } from "./part.ts";
import { inForce, isApplied, jobsAt, scheduleRows } from "./schedule.ts";

export function publish(part: Part) {
  const { schema: s, clock, ticked } = part;
  return {
    /** Stores a node's jobs, and the hashes of their schedules; returns the ids of those declarations.
     *  $1 ids · $2 descriptions · $3 queues · $4 priorities · $5 JSON Schemas · $6 tags, JSON · $7 ttls, ms · $8 hooks, bits · $9 node · $10
     *  hashes of their schedules, or null · $11 numbers of their schedules · $12 how many attempts may fail, or null */
    publish: `
    with known as (
      insert into ${s}.jobs (id, description, queue, priority, schema, tags, ttl_ms, hooks, seen_at, attempts, node)
      select i.id, i.description, i.queue, i.priority, i.schema, array(select json_array_elements_text(i.tags::json)), i.ttl, i.hooks,
        ${clock}, i.attempts, $9::int
      from unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::float8[], $8::int[], $12::int[])
        i(id, description, queue, priority, schema, tags, ttl, hooks, attempts)
      order by i.id
      on conflict (id) do update
      set description = excluded.description, queue = excluded.queue, priority = excluded.priority,
        schema = excluded.schema, tags = excluded.tags, ttl_ms = excluded.ttl_ms, hooks = excluded.hooks, seen_at = excluded.seen_at,
        attempts = excluded.attempts, node = excluded.node),
    seen as (
      insert into ${s}.declared (job, hash, size, seen_at)
      select i.job, i.hash, i.size, ${clock}
      from unnest($1::text[], $10::text[], $11::int[]) i(job, hash, size)
      where i.hash is not null order by i.job
      on conflict (job, hash) do update set seen_at = excluded.seen_at
      returning id),
    noted as (
      update ${s}.nodes set declared = array(select id from seen), jobs = $1::text[], ${jobsAt(part, "$1::text[]")} where id = $9)
    select id from seen`,

    /** Applies the declarations $11 that are in force. The rows of `declared` are locked first, so that versions are applied one after the
     *  other. $1… as `columnsOf` */
    apply: `
    with locked as materialized (
      select id from ${s}.declared where job in (select job from ${s}.declared where id = any($11::int[])) order by id for update),
    mine as materialized (
      select d.id, d.job from ${s}.declared d where d.id = any($11::int[]) and (select count(*) from locked) > 0
        and ${inForce(part)} and not ${isApplied(part)}),
    gone as (
      update ${s}.schedules c
      set removed = true, next_ms = null, fresh = false, rev = rev + 1, declared = mine.id, updated_at = ${clock}
      from mine
      where c.job = mine.job and c.declared is not null
        and not exists (select 1 from unnest($1::text[], $2::text[]) i(job, key) where i.job = c.job and i.key = c.key)
      returning 1),
    put as (${scheduleRows(part, "mine.id", "join mine on mine.job = i.job", "false")} returning 1),
    ${ticked("put", "gone")}
    select (select count(*) from mine), (select count(*) from told)`,
  };
}
