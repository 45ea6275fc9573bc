import { defineEvent, defineJob, StepFailed } from "tasker";
import { z } from "zod";
import { billing } from "./billing.ts";

/** Sent by the page where a user cancels: `signal({ job: "subscription", key: user }, canceled, { why })`. */
export const canceled = defineEvent({ id: "canceled", schema: z.object({ why: z.string() }) });

export const subscription = defineJob({
  id: "subscription",
  schema: z.object({ user: z.string(), cents: z.int() }),
  use: [billing],
  handler: async ({ user, cents }, ctx) => {
    for (let month = 1; month <= 12; month++) {
      try {
        await ctx.step("charge", ({ idempotencyKey }) => ctx.billing.charge(user, cents, idempotencyKey), {
          retry: { attempts: 4, delay: "1d", backoff: "fixed", jitter: false },
        });
      } catch (error) {
        if (!(error instanceof StepFailed)) throw error;
        return { months: month - 1, ended: "not paid" };
      }
      const left = await ctx.waitFor(canceled, { timeout: "30d" });
      if (left) return { months: month, ended: left.why };
    }
    return { months: 12, ended: "a year is over" };
  },
});
