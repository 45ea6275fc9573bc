import { createHash } from "node:crypto";
import type { NewSchedule } from "../../../sdk/port/target.ts";
import type { Nodes, Published } from "../port.ts";
import type { Lanes } from "./lane.ts";
import { numbers, type Pool, texts } from "./pool.ts";
import { columnsOf, inForce, isApplied, jobsAt, scheduleRows } from "./schedule.ts";
import { bitsOf } from "./sql/status.ts";
import type { Statements } from "./sql.ts";

/** How often a declaration is brought into force, at most; the next beat goes on. */
const most = 5;

/** Publishing jobs, with the schedules that they declare. */
export function publisher(pool: Pool, sql: Statements, lanes: Lanes): Nodes["publish"] {
  const text = statements(sql);
  return async (node, jobs) => {
    const hooked = jobs.filter((job) => job.hooks.length > 0);
    await lanes.ensure([
      ...jobs.map((job) => ({ queue: job.queue, job: job.id, priority: job.priority })),
      ...hooked.map((job) => ({ queue: "$hooks", job: job.id, priority: 5 })),
    ]);
    const seen = await pool.rows("tasker_publish", text.publish, jobColumns(node, jobs));
    if (seen.length === 0) return;
    const all = jobs.flatMap(({ schedules }) => schedules ?? []);
    const values = [...columnsOf(all), numbers(seen.map((row) => Number(row[0])))];
    // Again until there is nothing to do: a step does not see what another version wrote while it waited for its lock.
    for (let tries = 0, left = 1; left > 0 && tries < most; tries++)
      left = Number((await pool.rows("tasker_publish_apply", text.apply, values))[0]![0]);
  };
}

function jobColumns(node: number, jobs: readonly Published[]): readonly unknown[] {
  return [
    texts(jobs.map((job) => job.id)),
    texts(jobs.map((job) => job.description)),
    texts(jobs.map((job) => job.queue)),
    numbers(jobs.map((job) => job.priority)),
    texts(jobs.map((job) => job.schema)),
    texts(jobs.map((job) => JSON.stringify(job.tags))),
    numbers(jobs.map((job) => job.ttlMs)),
    numbers(jobs.map((job) => bitsOf(job.hooks))),
    node,
    texts(jobs.map(({ schedules }) => schedules && hashOf(schedules))),
    numbers(jobs.map(({ schedules }) => schedules?.length ?? null)),
  ];
}

/** What tells one version of a job's schedules from another. */
function hashOf(schedules: readonly NewSchedule[]): string {
  const sorted = [...schedules].sort((a, b) => (a.key < b.key ? -1 : 1));
  return createHash("sha1")
    .update(JSON.stringify(sorted.map((one) => columnsOf([one]))))
    .digest("hex");
}

function statements(sql: Statements) {
  const { schema: s, clock, channel, live } = sql;
  return {
    /** Stores what a node's jobs are, and notes which schedules they declare. Answers the numbers of those declarations.
     *  $1 ids · $2 descriptions · $3 queues · $4 priorities · $5 JSON Schemas · $6 tags, JSON · $7 ttls, ms · $8 hooks, bits · $9 node ·
     *  $10 hashes of their schedules, or null · $11 how many those are */
    publish: `
    with known as (
      insert into ${s}.jobs (id, description, queue, priority, schema, tags, ttl_ms, hooks, seen_at)
      select i.id, i.description, i.queue, i.priority, i.schema, array(select json_array_elements_text(i.tags::json)), i.ttl, i.hooks, ${clock}
      from unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::float8[], $8::int[])
        i(id, description, queue, priority, schema, tags, ttl, hooks) order by i.id
      on conflict (id) do update set description = excluded.description, queue = excluded.queue, priority = excluded.priority,
        schema = excluded.schema, tags = excluded.tags, ttl_ms = excluded.ttl_ms, hooks = excluded.hooks, seen_at = excluded.seen_at),
    seen as (
      insert into ${s}.declared (job, hash, size, seen_at)
      select i.job, i.hash, i.size, ${clock} from unnest($1::text[], $10::text[], $11::int[]) i(job, hash, size)
      where i.hash is not null order by i.job on conflict (job, hash) do update set seen_at = excluded.seen_at returning id),
    noted as (update ${s}.nodes set declared = array(select id from seen), jobs = $1::text[], ${jobsAt("$1::text[]", clock)} where id = $9)
    select id from seen`,

    /** Brings the schedules of jobs to what their declarations $11 say, where those are in force. The rows of \`declared\` are locked
     *  first, so that two versions come one after the other. $1… as \`columnsOf\` */
    apply: `
    with locked as materialized (
      select id from ${s}.declared where job in (select job from ${s}.declared where id = any($11::int[])) order by id for update),
    mine as materialized (
      select d.id, d.job from ${s}.declared d where d.id = any($11::int[]) and (select count(*) from locked) > 0
        and ${inForce(s, clock)} and not ${isApplied(s)}),
    gone as (
      update ${s}.schedules c set removed = true, next_ms = null, fresh = false, rev = rev + 1, declared = mine.id, updated_at = ${clock}
      from mine where c.job = mine.job and c.declared is not null
        and not exists (select 1 from unnest($1::text[], $2::text[]) i(job, key) where i.job = c.job and i.key = c.key) returning 1),
    put as (${scheduleRows(sql, "mine.id", "join mine on mine.job = i.job")} returning 1),
    told as (select pg_notify('${channel}', 's') where (exists (select 1 from put) or exists (select 1 from gone)) and ${live})
    select (select count(*) from mine), (select count(*) from told)`,
  };
}
