import type { Keep } from "../port.ts";
import type { Pool } from "./pool.ts";
import { keep as statements } from "./sql/keep.ts";
import { rate } from "./sql/rate.ts";
import type { Statements } from "./sql.ts";

/** Partitions are created for so many days ahead. */
const daysAhead = 7;
const bound = 2000;
/** Partitions created or dropped by one call; the next call goes on. */
const mostChanges = 100;

/** Deletes history past its retention, adds up figures by hour, and creates partitions for the coming days. Returns how many runs were deleted. One node works at a
 *  time; the others skip it. */
export function pruner(pool: Pool, sql: Statements) {
  const { partitions, completed, other, ...rest } = statements(sql);
  /** Repeats a statement until it deletes less than its limit. */
  const all = async (statement: string, keepMs: number): Promise<number> => {
    for (let sum = 0; ;) {
      const [row] = await pool.rows("", statement, [keepMs, bound]);
      sum += Number(row![0]);
      if (Number(row![0]) < bound) return sum;
    }
  };
  return async ({ completedMs, otherMs }: Keep): Promise<number> => {
    let deleted = 0;
    for (let i = 0; i < mostChanges; i++) {
      const [row] = await pool.rows("tasker_partitions", partitions, [daysAhead, completedMs, otherMs]);
      if (row![0] === null) break;
      deleted += Number(row![0]);
    }
    deleted += await all(completed, completedMs);
    deleted += await all(other, otherMs);
    await all(rate(sql).fold, Math.max(completedMs, otherMs));
    for (const statement of Object.values(rest)) await all(statement, Math.max(completedMs, otherMs));
    return deleted;
  };
}
