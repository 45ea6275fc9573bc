import type pg from "pg";

/** Limit for connecting, and for the first statement. */
export const connectMs = 5000;

// Statements must walk an index: without statistics, a new table would be scanned.
const off = ["enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit"];

/** The limit for waiting for locks, unless the role has one. It is shorter than the caller's patience: else each abandoned statement leaves a
 *  waiting backend. */
const lockTimeout = "case current_setting('lock_timeout') when '0' then '4s' else current_setting('lock_timeout') end";

const settings = [
  ...off.map((name) => `set_config('${name}', 'off', false)`),
  `set_config('lock_timeout', ${lockTimeout}, false)`,
].join(", ");

/** Prepares a session for the engine's statements, and returns true, if it is not behind a pooler by transaction, where settings would leak
 *  to other clients. */
export async function prepareSession(client: pg.ClientBase, isOwn: boolean): Promise<boolean> {
  const told = (client as pg.ClientBase & { readonly processID?: number | null }).processID; // a pooler invents one
  const text = `select case when ${isOwn || `pg_backend_pid() = ${told ?? 0}`} then concat(${settings}) end as set`;
  // The pool's own timeout covers connecting only.
  const { rows } = await client.query<{ set: string | null }>({ text, query_timeout: connectMs } as pg.QueryConfig);
  return rows[0]!.set !== null;
}

/** Warns once about the cost of a pooler. */
export function warnOfPooler(name: string): void {
  process.emitWarning(
    `${name}: a pooler stands between, so statements are not prepared and nobody listens: runs and results are found by polling. ` +
      "Name the server itself, or say prepare: true if each client keeps its session, or prepare: false to silence this",
    { type: "TaskerWarning", code: "POOLER" },
  );
}
