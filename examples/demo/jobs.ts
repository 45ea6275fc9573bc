import { setTimeout as pause } from "node:timers/promises";
import { defineJob } from "tasker";
import { z } from "zod";

/** Succeeds. */
export const greet = defineJob({
  id: "greet",
  schema: z.object({ name: z.string() }),
  handler: async ({ name }) => `Hello, ${name}!`,
});

/** Fails twice, then succeeds. */
export const flaky = defineJob({
  id: "flaky",
  schema: z.object({ orderId: z.string() }),
  retry: { attempts: 5, backoff: "exponential", delay: "500ms" },
  handler: async ({ orderId }, ctx) => {
    if (ctx.attempt < 3) throw new Error("the payment service answered 503");
    return { orderId, paid: true };
  },
});

/** Starts when it is due, to the millisecond. */
export const remind = defineJob({
  id: "remind",
  schema: z.object({ text: z.string(), asked: z.date() }),
  handler: async ({ text, asked }) => `${text}, ${Date.now() - asked.getTime()} ms after you asked`,
});

/** Takes longer than it may. */
export const slow = defineJob({
  id: "slow",
  schema: z.object({ report: z.string() }),
  timeout: "1s",
  retry: { attempts: 1 },
  handler: async ({ report }, ctx) => {
    await pause(60_000, undefined, { signal: ctx.signal }); // ctx.signal aborts at the timeout
    return report;
  },
});
