import { defineJob } from "tasker";
import { z } from "zod";
import { mailer } from "./mailer.ts";

export const decision = z.object({ approved: z.boolean(), by: z.string() });

/** Asks for a decision, once more after three days, and answers for the boss after a week. */
export const expense = defineJob({
  id: "expense",
  schema: z.object({ employee: z.string(), boss: z.email(), cents: z.int() }),
  use: [mailer],
  handler: async ({ employee, boss, cents }, ctx) => {
    const token = await ctx.token({ schema: decision });
    const ask = (step: string, subject: string) =>
      ctx.step(step, async ({ idempotencyKey }) => {
        await ctx.mailer.send({ to: boss, subject, link: `https://app.example/decide/${token.id}` }, idempotencyKey);
        ctx.log.info("asked", { token: token.id }); // in a step, so it is logged once; leave it out where others read logs
      });

    await ask("ask", `${employee} spent ${cents} cents`);
    let answer = await token.wait({ timeout: "3d" });
    if (!answer) {
      await ask("remind", `Still waiting: ${employee} spent ${cents} cents`);
      answer = await token.wait({ timeout: "4d" });
    }
    return answer ?? { approved: false, by: "nobody" };
  },
});
