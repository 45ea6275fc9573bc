import type { Keep } from "../port.ts";
import type { Pool } from "./pool.ts";
import { keep as statements } from "./sql/keep.ts";
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
  /** Repeats a statement until it finds less than it may take. */
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
      const [row] = await pool.rows("tasker_partitions", text.partitions, [daysAhead, completedMs, otherMs]);
      if (row![0] === null) break;
      deleted += Number(row![0]);
    }
    for (const [statement, keepMs] of [
      [text.completed, completedMs],
      [text.other, otherMs],
    ] as const)
      deleted += await all(statement, keepMs);
    const { attempts, logs, names, rates, schedules, declared, keys } = text;
    for (const statement of [attempts, logs, names, rates, schedules, declared, keys])
      await all(statement, Math.max(completedMs, otherMs));
    return deleted;
  };
}
