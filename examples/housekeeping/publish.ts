import { defineJob } from "tasker";
import { z } from "zod";
import { database } from "./database.ts";

/** Every minute: publishes the posts whose time has come. A minute that was missed, or is still being worked on, needs no run of its own:
 *  the next one does its work, too. */
export const publish = defineJob({
  id: "publish",
  schema: z.void(),
  use: [database],
  schedule: { cron: "* * * * *", overlap: "skip", catchUp: "none" },
  handler: async (_, ctx) => {
    const { rowCount } = await ctx.db.query(
      "update posts set published = true where publish_at <= now() and not published",
    );
    return { published: rowCount };
  },
});
