import type { Part } from "./part.ts";
import { date, each, list, number, shape } from "./shape.ts";

const counts = ["completed", "failed", "canceled", "retried", "wait_ms", "run_ms"] as const;
const histograms = ["waits", "runs"] as const;

/** A row of figures. */
export const figures = shape({
  at: date,
  ...each(number, "completed", "failed", "canceled", "retried"),
  ...each(list<number>(), "waits", "runs"),
});

/** Adds rows of `from`, called i, to those of a table of figures that have the same key. */
export function counted(
  { schema: s }: Part,
  into: { readonly table: "rates" | "hours"; readonly key: Readonly<Record<string, string>>; readonly from: string },
): string {
  const { table, key, from } = into;
  const columns = Object.keys(key).join(", ");
  const values = [...counts.map((column) => `i.${column}`), ...histograms.map((column) => `i.${column}::int[]`)];
  const sums = [
    ...counts.map((column) => `${column} = ${table}.${column} + excluded.${column}`),
    ...histograms.map((column) => `${column} = ${s}.added(${table}.${column}, excluded.${column})`),
  ];
  return `
    insert into ${s}.${table} (${[columns, ...counts, ...histograms].join(", ")})
    select ${[...Object.values(key), ...values].join(", ")}
    from ${from} i
    order by ${Object.keys(key)
      .map((_, n) => n + 1)
      .join(", ")}   -- so that processes wait for one another, and none for ever
    on conflict (${columns}) do update set ${sums.join(", ")}`;
}

/** The beginning of a minute or an hour. */
export const begun = (unit: "minute" | "hour", at: string): string => `date_trunc('${unit}', ${at}, 'UTC')`;

/** Statements of figures over time. */
export function rate(part: Part) {
  const { schema: s, clock } = part;
  const home = "case when queue like '$%@%' then substr(queue, 2, strpos(queue, '@') - 2) else queue end";
  const wanted = `at >= to_timestamp($1::float8 / 1000) and at < to_timestamp($2::float8 / 1000)
      and ($3::text[] is null or ${home} = any($3::text[])) and ($4::text[] is null or job = any($4::text[]))`;
  const columns = ["at", ...counts.slice(0, 4), ...histograms].join(", ");
  const byStep = (from: string) => `
    select ${figures.select({
      at: "$1::float8 + step * $5::float8",
      ...{ completed: "sum(completed)", failed: "sum(failed)", canceled: "sum(canceled)", retried: "sum(retried)" },
      ...{ waits: `to_json(${s}.summed(waits))`, runs: `to_json(${s}.summed(runs))` },
    })}
    from (${from}) i
    cross join lateral (select floor((date_part('epoch', at) * 1000 - $1::float8) / $5::float8) step) n
    group by step order by step`;
  return {
    /** Figures by step, of minutes. $1 from, $2 to, epoch ms · $3 queues, $4 jobs, or null · $5 step, ms  Index: rates_of */
    minutes: byStep(`select ${columns} from ${s}.rates where ${wanted}`),

    /** As `minutes`, of hours, and of minutes that are not folded yet.  Index: the primary key of hours, rates_of */
    hours: byStep(`
      select ${columns} from ${s}.hours where ${wanted}
      union all
      select ${columns} from ${s}.rates where ${wanted} and node <> 0`),

    /** Folds the figures of all nodes, of hours that are over, into one row a minute, and one an hour. Returns how many rows there were.
     *  $2 limit */
    fold: `
  with moved as (
    delete from ${s}.rates where ctid = any(array(
      select ctid from ${s}.rates where node <> 0 and at < ${begun("hour", clock)} and $1::float8 is not null
      order by at limit $2 for update skip locked))
    returning *),
  folded as materialized (
    select ${begun("minute", "at")} at, queue, job, ${sums("sum", `${s}.summed`)} from moved group by 1, 2, 3),
  minutes as (${counted(part, { table: "rates", key: { at: "i.at", node: "0", queue: "i.queue", job: "i.job" }, from: "folded" })}),
  hours as (${counted(part, {
    table: "hours",
    key: { at: "i.at", queue: "i.queue", job: "i.job" },
    from: `(select ${begun("hour", "at")} at, queue, job, ${sums("sum", `${s}.summed`)} from folded group by 1, 2, 3)`,
  })})
  select count(*) from moved`,
  };
}

/** The columns of figures, added up. */
function sums(of: string, ofHistograms: string): string {
  const sum = (column: string): string => `${of}(${column}) ${column}`;
  return [...counts.map(sum), ...histograms.map((column) => `${ofHistograms}(${column}) ${column}`)].join(", ");
}
