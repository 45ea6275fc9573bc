import type pg from "pg";

/** How long a new connection may take to become ready, and then to answer its first statement. */
export const connectMs = 5000;

// Planner settings for statements that must walk an index: without statistics a new table would be scanned instead.
const off = ["enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit"];

/** How long a statement waits for a lock, unless the role has a limit of its own: less than its caller waits for it, or a lock that is held
 *  for long leaves a backend behind for each statement that was given up. */
const lockTimeout = "case current_setting('lock_timeout') when '0' then '4s' else current_setting('lock_timeout') end";

const settings = [
  ...off.map((name) => `set_config('${name}', 'off', false)`),
  `set_config('lock_timeout', ${lockTimeout}, false)`,
].join(", ");

/** Makes a new session ready for statements of the engine, if it has a backend of its own, as `isOwn` says or as it finds out. Behind a pooler
 *  it may not: statements reach any backend, and what they set there is left to other applications. Answers whether it has. */
export async function prepareSession(client: pg.ClientBase, isOwn: boolean): Promise<boolean> {
  const told = (client as pg.ClientBase & { readonly processID?: number | null }).processID; // a pooler makes one up
  const text = `select case when ${isOwn || `pg_backend_pid() = ${told ?? 0}`} then concat(${settings}) end as set`;
  // The pool stops its clock for connecting before this.
  const { rows } = await client.query<{ set: string | null }>({ text, query_timeout: connectMs } as pg.QueryConfig);
  return rows[0]!.set !== null;
}

/** Says once what a pooler costs. */
export function warnOfPooler(name: string): void {
  process.emitWarning(
    `${name}: a pooler stands between, so statements are not prepared and nobody listens: runs and results are found by polling. ` +
      "Name the server itself, or say prepare: true if each client keeps its session, or prepare: false to silence this",
    { type: "TaskerWarning", code: "POOLER" },
  );
}
