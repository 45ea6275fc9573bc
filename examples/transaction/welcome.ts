import { defineJob } from "tasker";
import { z } from "zod";

export const welcome = defineJob({
  id: "welcome",
  schema: z.object({ email: z.email() }),
  handler: async ({ email }, ctx) => {
    ctx.log.info("A welcome would be sent now");
    return `welcome, ${email}`;
  },
});
