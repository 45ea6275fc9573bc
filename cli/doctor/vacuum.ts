/** Whether dead rows are removed, and who is in the way. */
import { humanMs } from "../../sdk/port/duration.ts";
import type { Facts } from "../../runtime/store/admin.ts";
import { many } from "../view/finding.ts";
import { fine, type Finding, warning, note } from "./finding.ts";

/** Less than that is no bloat, whatever the ratio. */
const leastDead = 50_000;
const leastBytes = 64 * 2 ** 20;
/** A live row takes less, its room for updates included: larger values lie apart. */
const rowBytes = 16 * 1024;

/** Dead rows and bloat of our tables. */
export function tables(rows: readonly Facts["tables"][], schema: string): readonly Finding[] {
  const found = rows.flatMap((row) => [...unvacuumed(row, schema), ...dead(row, schema), ...bloated(row, schema)]);
  if (found.length > 0) return found;
  const most = rows.reduce((sum, row) => sum + row.dead, 0);
  return [fine("tables", `${many(rows.length, "table")}, about ${many(most, "dead row")}`)];
}

function unvacuumed({ name, unvacuumed: off }: Facts["tables"], schema: string): readonly Finding[] {
  const table = `${schema}.${name}`;
  const todo = `alter table ${table} reset (autovacuum_enabled)`;
  return off ? [warning("tables", `autovacuum is turned off for ${table}`, todo)] : [];
}

function dead({ name, live, dead: count, vacuumedMs }: Facts["tables"], schema: string): readonly Finding[] {
  if (count < leastDead || count < live) return [];
  const last = vacuumedMs === null ? "it was never vacuumed" : `the last vacuum was ${humanMs(vacuumedMs)} ago`;
  const found = `${schema}.${name} has ${count} dead rows beside ${live} live ones; ${last}`;
  return [warning("tables", found, `see who holds back vacuum, if anybody does, then: vacuum ${schema}.${name}`)];
}

function bloated({ name, live, bytes }: Facts["tables"], schema: string): readonly Finding[] {
  if (bytes < leastBytes || bytes / Math.max(1, live) < rowBytes) return [];
  const found = `${schema}.${name} takes ${Math.round(bytes / 2 ** 20)} MB for ${many(live, "live row")}`;
  const todo = `in a quiet moment, for it locks the table: vacuum full ${schema}.${name}; or use pg_repack`;
  return [warning("tables", found, todo)];
}

/** Transactions of this database that have been open for long. */
export function transactions(rows: readonly Facts["transactions"][], longMs: number): readonly Finding[] {
  if (rows.length === 0) return [fine("transactions", `none is open for more than ${humanMs(longMs)}`)];
  return rows.map((row) => {
    const level = row.holds || row.state?.startsWith("idle") ? warning : note;
    const found = `${who(row)} has a transaction open for ${humanMs(row.openMs)}${row.holds ? holding(row.xmin) : ""}`;
    return level("transactions", found, `end it where it comes from, or: select pg_terminate_backend(${row.pid})`);
  });
}

function who({ pid, role, app, state, queryMs, query }: Facts["transactions"]): string {
  const since = queryMs === null ? "" : `, its last statement began ${humanMs(queryMs)} ago: ${query ?? ""}`;
  return `pid ${pid} (${[role, app, state].filter(Boolean).join(", ")}${since})`;
}

function holding(xmin: number | null): string {
  return `, which holds back vacuum${xmin === null ? "" : ` by ${many(xmin, "transaction")}`}`;
}

/** Prepared transactions that nobody ended, and replication slots that nobody reads. */
export function leftovers(
  prepared: readonly Facts["prepared"][],
  slots: readonly Facts["slots"][],
): readonly Finding[] {
  return [
    ...prepared.map(({ gid, owner, ageMs }) =>
      warning(
        "transactions",
        `prepared transaction "${gid}" of "${owner}" has been left for ${humanMs(ageMs)}, which holds back vacuum`,
        `rollback prepared ${literal(gid)}; or commit it`,
      ),
    ),
    ...slots.map(({ name, xmin, bytes }) =>
      warning(
        "replication",
        `nobody reads replication slot "${name}", which keeps ${Math.round((bytes ?? 0) / 2 ** 20)} MB of log${xmin === null ? "" : " and holds back vacuum"}`,
        `start its reader again, or: select pg_drop_replication_slot(${literal(name)})`,
      ),
    ),
  ];
}

/** Sessions that this role may not see. */
export function hidden({ count }: Facts["hidden"]): readonly Finding[] {
  if (count === 0) return [];
  return [
    note(
      "transactions",
      `${many(count, "session")} of other roles can't be seen by this one`,
      "to see who holds back vacuum: grant pg_read_all_stats to <this role>",
    ),
  ];
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
