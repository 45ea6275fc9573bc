import { defineJob } from "tasker";
import { z } from "zod";

export const hello = defineJob({
  id: "hello",
  schema: z.object({ name: z.string().min(1) }),
  handler: async ({ name }, ctx) => {
    ctx.log.info("Greeting", { name });
    return `Hello, ${name}!`;
  },
});
