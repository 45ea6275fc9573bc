/** Epoch ms of an instant, or ms of a span: the exact thousandth of whole microseconds, to one of them from 2106 on. Numeric takes twice as long. */
export const epoch = (value: string): string => `(round(date_part('epoch', ${value}) * 1000000) / 1000)`;

/** Rows i of parallel arrays, the first of which is $1. The limit takes nothing away: with it a plan for any number looks as cheap as one for these,
 *  which would be made at each call. */
export const given = (types: string, columns: string): string => {
  const arrays = types.split(" ").map((type, i) => `$${i + 1}::${type}[]`);
  return `(select * from unnest(${arrays.join(", ")}) i(${columns}) limit cardinality(${arrays[0]!})) i`;
};

export type Part = ReturnType<typeof part>;

/** A notification names at most so many lanes. */
export const mostNamed = 16;

/** Parts of statements, for a checked schema name. `skew`, for tests, shifts the store's clock by a table. */
export function part(schema: string, skew: boolean) {
  const s = `"${schema}"`;
  const channel = `tasker:${schema}`;
  const shift = skew ? ` + (select by from ${s}.skew)` : "";
  const clock = `(clock_timestamp()${shift})`; // decides leases: it moves on within a transaction
  const now = `(statement_timestamp()${shift})`; // stable, so that it can be an index condition
  const ms = (value: string) => `(${value})::float8 * interval '1 ms'`;
  const up = (value: string) => `date_trunc('milliseconds', ${value} + interval '999 microseconds')`;
  const thisMs = `date_trunc('milliseconds', ${now})`;
  const dueIn = (delay: string) => up(`${now} + ${ms(delay)}`);
  const some = (rows: string) => `exists (select 1 from ${rows})`;
  const sameQueue = (name: string, queue: string) =>
    `(${queue} = ${name} or left(${queue}, length(${name}) + 2) = '$' || ${name} || '@')`;
  const watching = `(select floor(${epoch(`until - ${clock}`)}) from ${s}.feed_head where one and until > ${clock})`;
  const live = some(`${s}.nodes where lease_until > ${clock}`);
  return {
    schema: s,
    channel,
    clock,
    now,
    /** Now, in whole milliseconds. */
    thisMs,
    ms,
    epoch,
    /** When a run with this delay, ms, is due; rounded up, so that it is never early. */
    dueAfter: (delay: string) => `case when ${delay} = 0 then ${thisMs} else ${dueIn(delay)} end`,
    dueIn,
    /** When a run of this instant, epoch ms, is due; never in the past. */
    dueAt: (at: string) => `greatest(to_timestamp(${at} / 1000), ${thisMs})`,
    /** An array from a JSON array, or null. */
    list: (json: string) =>
      `case when ${json} is not null then array(select json_array_elements_text(${json}::json)) end`,
    /** For how much longer somebody reads the feed, ms; null: nobody does. What is asked anyway selects it as its last column. */
    watching,
    /** Whether a node lives, and whether one sleeps. */
    live,
    asleep: some(`${s}.nodes where asleep and lease_until > ${clock}`),
    /** Lanes of paused queues, with those of runs that are pinned. */
    paused: `array(select x.id from ${s}.queues q join ${s}.lanes x on ${sameQueue("q.name", "x.queue")} where q.paused)`,
    sameQueue,
    /** Notifies nodes that runs may be due, if one of these parts of the statement has a row. It runs only if it is selected from. */
    told: (...parts: readonly string[]) =>
      `told as (select pg_notify('${channel}', 'd') where ${parts.map(some).join(" or ")})`,
    /** As `told`, of the lanes of these rows alone. */
    toldLanes: (rows: string) => `told as (
      select pg_notify('${channel}', 'd' || case when count(distinct lane) <= ${mostNamed} then string_agg(distinct lane::text, ',') else '' end)
      from ${rows} having count(*) > 0)`,
    /** As `told`, that schedules have changed. */
    ticked: (...parts: readonly string[]) =>
      `told as (select pg_notify('${channel}', 's') where (${parts.map(some).join(" or ")}) and ${live})`,
    /** As `told`, the nodes of these rows that commands wait. */
    summoned: (from: string) =>
      `told as (select pg_notify('${channel}', 'c' || string_agg(distinct node::text, ',')) from ${from} having count(*) > 0)`,
    /** Stores commands for the nodes of these runs, unless they are there. */
    commanded: (from: string) => `
    insert into ${s}.commands (node, run, token, at)
    select node, id, token, ${clock} from ${from} f
    where not exists (select 1 from ${s}.commands c where c.node = f.node and c.run = f.id and c.token = f.token)`,
    /** Whether a key is held by a run that is not live: completed less than `keep` ago, or dropped with its partition before that. Where
     *  `keep` is below zero, one that failed or was canceled counts as well. */
    holds: (k: string, r: string, h: string) => `
      case when ${h}.id is not null then (${h}.status = 0 or ${k}.keep_ms < 0) and ${h}.finished_at + ${ms(`abs(${k}.keep_ms)`)} > ${clock}
        else ${r}.id is null and ${k}.until > ${clock} end`,
    /** To be joined: waiting for another transaction's lock fails soon with 55P03. */
    soon: `cross join (select set_config('lock_timeout', '100ms', true)) soon`,
  };
}
