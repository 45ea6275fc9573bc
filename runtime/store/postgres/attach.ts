import type { Added, NewRun } from "../../../sdk/port/target.ts";
import { numbers, type Pool, texts } from "./pool.ts";
import type { Statements } from "./sql.ts";

/** Counts runs that were made by hand as runs of their schedules; in a step of its own, for it waits for ticks that are under way. */
export function attacher(pool: Pool, { schema: s }: Statements) {
  const statement = `
    with made as (
      select job, key, array_agg(id) ids, max(id) last from unnest($1::text[], $2::text[], $3::bigint[]) i(job, key, id) group by job, key)
    update ${s}.schedules c set rev = rev + case when overlap = 0 then 0 else 1 end, live = case when overlap = 0 then '{}' else live || made.ids end,
      last_run = greatest(last_run, made.last)
    from made where c.job = made.job and c.key = made.key and not c.removed`;
  return async (runs: readonly NewRun[], answers: readonly (Added | Error)[]): Promise<void> => {
    const made = runs.flatMap(({ job, options, attach }, i) => {
      const answer = answers[i]!;
      const isMade = attach && options?.schedule && !(answer instanceof Error) && answer.created;
      return isMade ? [{ job, key: options.schedule.key, id: answer.id }] : [];
    });
    if (made.length === 0) return;
    const values = [
      texts(made.map(({ job }) => job)),
      texts(made.map(({ key }) => key)),
      numbers(made.map(({ id }) => id)),
    ];
    await pool.rows("tasker_attach", statement, values);
  };
}
