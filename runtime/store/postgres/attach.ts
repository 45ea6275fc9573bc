import type { Added, NewRun } from "../../../sdk/port/target.ts";
import { fields, type Pool } from "./pool.ts";
import { schedule } from "./sql/schedule.ts";
import type { Statements } from "./sql.ts";

/** Counts runs that were triggered by hand as runs of their schedules. A step of its own, because it waits for ticks under way. */
export function attacher(pool: Pool, sql: Statements) {
  const { attach } = schedule(sql);
  return async (runs: readonly NewRun[], answers: readonly (Added | Error)[]): Promise<void> => {
    const made = runs.flatMap(({ job, options, attach }, i) => {
      const answer = answers[i]!;
      const isMade = attach && options?.schedule && !(answer instanceof Error) && answer.created;
      return isMade ? [{ job, key: options.schedule.key, id: answer.id }] : [];
    });
    if (made.length === 0) return;
    await pool.rows("tasker_attach", attach, fields(made, "job", "key", "id"));
  };
}
