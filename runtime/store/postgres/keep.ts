import type { Keep } from "../port.ts";
import type { Pool } from "./pool.ts";
import type { Statements } from "./sql.ts";

/** Days for which partitions are made ahead. */
const daysAhead = 7;
const bound = 2000;
/** Partitions made or dropped by one call; the rest is left to the next. */
const mostChanges = 100;

/** Deletes history that is kept no longer, makes room for the coming days, and answers how many runs were deleted. One node at a time
 *  does it; the others skip it. */
export function pruner(pool: Pool, sql: Statements) {
  const text = statements(sql);
  return async ({ completedMs, otherMs }: Keep): Promise<number> => {
    let deleted = 0;
    for (let i = 0; i < mostChanges; i++) {
      const [row] = await pool.rows("tasker_partitions", text.partitions, [daysAhead, completedMs, otherMs]);
      if (row![0] === null) break;
      deleted += Number(row![0]);
    }
    for (const [status, keepMs] of [
      ["completed", completedMs],
      ["other", otherMs],
    ] as const) {
      for (let more = true; more;) {
        const [gone] = await pool.rows("", text.old(status), [keepMs, bound]);
        deleted += Number(gone![0]);
        more = Number(gone![0]) >= bound;
      }
    }
    for (const statement of text.rest) {
      for (let more = true; more;)
        more = Number((await pool.rows("", statement, [Math.max(completedMs, otherMs), bound]))[0]![0]) >= bound;
    }
    return deleted;
  };
}

function statements({ schema: s, clock, ms }: Statements) {
  return {
    /** Makes room for one of the coming days, or drops one that is over its retention, so that its locks last no longer. A day that the
     *  default partition already holds rows of is left to it. Answers how many runs went; null once there is nothing to do.
     *  $1 days ahead · $2 completed kept, ms · $3 others kept, ms */
    partitions: `select ${s}.make_partitions($1, $2, $3, ${clock})`,
    /** Rows of the default partition that are too old. $1 kept, ms · $2 limit */
    old: (kind: "completed" | "other") => `
    with gone as (
      delete from ${s}.history_${kind}_default where ctid = any(array(
        select ctid from ${s}.history_${kind}_default where finished_at < ${clock} - ${ms("$1")} limit $2)) returning 1)
    select count(*) from gone`,
    rest: [
      // What belonged to runs that are gone. $1 longest retention, ms · $2 limit
      `with oldest as materialized (select id, ended_at from ${s}.attempts order by id limit $2), gone as (delete from ${s}.attempts where id in (select id from oldest where ended_at < ${clock} - ${ms("$1")}) returning 1) select count(*) from gone`,
      `with oldest as materialized (select id, at from ${s}.logs order by id limit $2), gone as (delete from ${s}.logs where id in (select id from oldest where at < ${clock} - ${ms("$1")}) returning 1) select count(*) from gone`,
      `with gone as (delete from ${s}.names where id = any(array(select n.id from ${s}.names n where at < ${clock} - 2 * ${ms("$1")}
         and not exists (select 1 from ${s}.nodes where id = n.id) limit $2)) returning 1) select count(*) from gone`,
      `with gone as (delete from ${s}.rates where ctid = any(array(select ctid from ${s}.rates where at < ${clock} - least(${ms("$1")}, interval '1 day') limit $2)) returning 1) select count(*) from gone`,
      // Schedules that code took out, and versions of declarations that nobody has.
      `with gone as (delete from ${s}.schedules where ctid = any(array(select ctid from ${s}.schedules where removed and updated_at < ${clock} - ${ms("$1")} limit $2)) returning 1) select count(*) from gone`,
      `with gone as (delete from ${s}.declared where id = any(array(select d.id from ${s}.declared d where seen_at < ${clock} - ${ms("$1")}
         and not exists (select 1 from ${s}.nodes n where d.id = any(n.declared)) and not exists (select 1 from ${s}.schedules c where c.declared = d.id) limit $2)) returning 1) select count(*) from gone`,
      // Keys whose run has let go of them; keys still held are looked at again later.
      `with due as materialized (select job, key, run, keep_ms from ${s}.keys where until < ${clock} and $1::float8 is not null order by until limit $2 for update skip locked),
       seen as (select d.job, d.key, case when r.id is not null then ${clock} + interval '1 hour'
           when h.status = 0 and h.finished_at + ${ms("d.keep_ms")} > ${clock} then h.finished_at + ${ms("d.keep_ms")} end again
         from due d left join ${s}.runs r on r.id = d.run left join ${s}.history h on h.id = d.run),
       later as (update ${s}.keys k set until = seen.again from seen where k.job = seen.job and k.key = seen.key and seen.again is not null),
       gone as (delete from ${s}.keys k using seen where k.job = seen.job and k.key = seen.key and seen.again is null returning 1)
       select count(*) from seen`,
    ],
  };
}
