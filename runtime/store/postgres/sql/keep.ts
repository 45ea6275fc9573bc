import { keptMs } from "../../series.ts";
import { outdated } from "./feed.ts";
import type { Part } from "./part.ts";

/** Statements that delete old rows, most of them a limited number, which they return. $1 longest retention, ms · $2 limit */
export function keep(part: Part) {
  const { schema: s, clock, ms } = part;
  const old = `${clock} - ${ms("$1")}`;
  const gone = (from: string) => `
    with gone as (delete from ${s}.${from} returning 1)
    select count(*) from gone`;
  const ofDefault = (kind: string) =>
    gone(`history_${kind}_default
      where ctid = any(array(select ctid from ${s}.history_${kind}_default where finished_at < ${old} limit $2))`);
  /** The oldest by id, because no index has their instants. */
  const oldest = (table: string, at: string) => `
    with oldest as materialized (select id, ${at} from ${s}.${table} order by id limit $2),
    gone as (delete from ${s}.${table} where id in (select id from oldest where ${at} < ${old}) returning 1)
    select count(*) from gone`;
  return {
    /** Creates the partition of one of the coming days, or drops one past its retention; one a call, so that locks are short. A day of which
     *  the default partition has rows is skipped. Returns how many runs were dropped; null if nothing is left.
     *  $1 days ahead · $2 retention of completed runs, ms · $3 of others, ms */
    partitions: `select ${s}.make_partitions($1, $2, $3, ${clock})`,

    /** Runs in the default partitions. */
    completed: ofDefault("completed"),

    other: ofDefault("other"),

    attempts: oldest("attempts", "ended_at"),
    logs: oldest("logs", "at"),

    /** Names of nodes that no run can refer to. */
    names: gone(`names where id = any(array(
      select n.id from ${s}.names n
      where at < ${clock} - 2 * ${ms("$1")} and not exists (select 1 from ${s}.nodes where id = n.id)
      limit $2))`),

    /** Figures of minutes, after a day at most, and rows of the feed. */
    rates: `
    with gone as (
      delete from ${s}.rates where ctid = any(array(
        select ctid from ${s}.rates where at < ${clock} - least(${ms("$1")}, ${ms(String(keptMs.minutes))}) limit $2)) returning 1),
    told as (${outdated(part)})
    select greatest((select count(*) from gone), (select count(*) from told))`,

    hours: gone(`hours where ctid = any(array(
      select ctid from ${s}.hours where at < ${clock} - ${ms(String(keptMs.hours))} and $1::float8 is not null limit $2))`),

    /** Schedules that were removed from code. */
    schedules: gone(`schedules where ctid = any(array(
      select ctid from ${s}.schedules where removed and updated_at < ${old} limit $2))`),

    /** Versions of declarations that neither a node nor a schedule has. */
    declared: gone(`declared where id = any(array(
      select d.id from ${s}.declared d
      where seen_at < ${old}
        and not exists (select 1 from ${s}.nodes n where d.id = any(n.declared))
        and not exists (select 1 from ${s}.schedules c where c.declared = d.id)
      limit $2))`),

    /** Keys that are not held any more; the others are checked again later. $2 limit */
    keys: `
    with due as materialized (
      select job, key, run, keep_ms from ${s}.keys
      where until < ${clock} and $1::float8 is not null order by until limit $2 for update skip locked),
    seen as (
      select d.job, d.key,
        case when r.id is not null then ${clock} + interval '1 hour'
          when (h.status = 0 or d.keep_ms < 0) and h.finished_at + ${ms("abs(d.keep_ms)")} > ${clock}
            then h.finished_at + ${ms("abs(d.keep_ms)")} end again
      from due d
      left join ${s}.runs r on r.id = d.run
      left join ${s}.history h on h.id = d.run),
    later as (
      update ${s}.keys k set until = seen.again
      from seen where k.job = seen.job and k.key = seen.key and seen.again is not null),
    gone as (
      delete from ${s}.keys k
      using seen where k.job = seen.job and k.key = seen.key and seen.again is null returning 1)
    select count(*) from seen`,
  };
}
