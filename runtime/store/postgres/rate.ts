import type { Find } from "../../../sdk/port/target.ts";
import { hourMs } from "../series.ts";
import { type Pool, texts } from "./pool.ts";
import { figures, rate as statements } from "./sql/rate.ts";
import type { Statements } from "./sql.ts";

/** Figures over time. */
export function series(pool: Pool, sql: Statements): Find["series"] {
  const { minutes, hours } = statements(sql);
  return async ({ from, to, stepMs, queue, job }) => {
    const [name, text] = stepMs % hourMs === 0 ? ["tasker_hours", hours] : ["tasker_minutes", minutes];
    const names = [queue, job].map((list) => (list ? texts(list) : null));
    return figures.all(await pool.rows(name, text, [from.getTime(), to.getTime(), ...names, stepMs]));
  };
}
