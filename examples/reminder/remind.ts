import { defineJob } from "tasker";
import { z } from "zod";
import { mailer } from "./mailer.ts";

export const remind = defineJob({
  id: "remind",
  schema: z.object({ to: z.email(), event: z.string(), at: z.date() }),
  output: z.object({ messageId: z.string() }),
  retry: { attempts: 5, backoff: "exponential", delay: "1s", maxDelay: "1h" },
  timeout: "30s",
  use: [mailer],
  hooks: {
    onFailure: ({ to }, { error }, ctx) => ctx.log.error("Nobody was reminded", { to, why: error?.message }),
  },
  handler: async ({ to, event, at }, ctx) => {
    const mail = { to, subject: `Soon: ${event}`, text: `${event} starts at ${at.toISOString()}.` };
    // The key is the same for every attempt: if the answer to the first one was lost, the second sends no second mail.
    const messageId = await ctx.mailer.send(mail, { idempotencyKey: ctx.idempotencyKey, signal: ctx.signal });
    return { messageId };
  },
});
