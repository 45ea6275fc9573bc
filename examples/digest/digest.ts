import { defineJob } from "tasker";
import { z } from "zod";

/** A digest for one user. It declares no schedule: each user has one of their own (`_settings.ts`). */
export const digest = defineJob({
  id: "digest",
  schema: z.object({ userId: z.string(), email: z.email() }),
  handler: async ({ email }, ctx) => {
    const { previous = null, tick = ctx.run.dueAt } = ctx.schedule ?? {};
    const since = previous?.toISOString() ?? "the beginning";
    return { to: email, subject: `What is new since ${since}`, until: tick }; // send it here, with ctx.idempotencyKey
  },
});
