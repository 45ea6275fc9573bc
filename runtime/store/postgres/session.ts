import type pg from "pg";

/** How long a new connection may take to become ready, and then to answer its first statement. */
export const connectMs = 5000;

// Planner settings for statements that must walk an index: without statistics a new table would be scanned instead.
const off = ["enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit"];

/** How long a statement waits for a lock, unless the role has a limit of its own: less than its caller waits for it, or a lock that is held
 *  for long leaves a backend behind for each statement that was given up. */
const lockTimeout = "case current_setting('lock_timeout') when '0' then '4s' else current_setting('lock_timeout') end";

/** Makes a new session ready for statements of the engine. */
export async function prepareSession(client: pg.ClientBase): Promise<void> {
  const settings = [
    ...off.map((name) => `set_config('${name}', 'off', false)`),
    `set_config('lock_timeout', ${lockTimeout}, false)`,
  ];
  // The pool stops its clock for connecting before this.
  await client.query({ text: `select ${settings.join(", ")}`, query_timeout: connectMs } as pg.QueryConfig);
}
