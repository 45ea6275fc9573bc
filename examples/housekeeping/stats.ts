import { defineJob } from "tasker";
import { z } from "zod";
import { database } from "./database.ts";

/** Every hour: counts the visits of the hour before. The window is the tick's, so a late run, a repeated one and one that is made
 *  up for later all count the same hour; and each hour is counted, also those that nobody was up for. */
export const stats = defineJob({
  id: "stats",
  schema: z.void(),
  use: [database],
  schedule: { cron: "0 * * * *", catchUp: { max: 48, within: "2d" } },
  handler: async (_, ctx) => {
    const { previous, tick } = ctx.schedule ?? ctx.skip("only a schedule says which hour");
    await ctx.db.query(
      `insert into visits_hourly select $1, $2, count(*) from visits where at >= $1 and at < $2
       on conflict (since) do update set until = excluded.until, visits = excluded.visits`,
      [previous, tick],
    );
  },
});
