import { defineJob } from "tasker";
import { z } from "zod";
import { database } from "./database.ts";

const dayMs = 86_400_000;

/** At two in the night, Paris time: deletes sessions that expired more than `days` days ago. In batches, so that no statement locks
 *  many rows for long; a run that starts again goes on with what is left. */
export const cleanup = defineJob({
  id: "cleanup",
  schema: z.object({ days: z.int().positive(), batch: z.int().positive().default(1000) }),
  timeout: "1h",
  use: [database],
  schedule: { cron: "0 2 * * *", timezone: "Europe/Paris", overlap: "skip", payload: { days: 30 } },
  handler: async ({ days, batch }, ctx) => {
    const before = new Date((ctx.schedule?.tick ?? ctx.run.dueAt).getTime() - days * dayMs); // the same in every attempt
    let deleted = 0;
    for (let last = batch; last === batch; deleted += last) {
      ctx.signal.throwIfAborted();
      const { rowCount } = await ctx.db.query(
        "delete from sessions where id = any(array(select id from sessions where expires_at < $1 order by expires_at limit $2))",
        [before, batch],
      );
      last = rowCount ?? 0;
    }
    return { deleted };
  },
});
