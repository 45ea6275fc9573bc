import { setTimeout as pause } from "node:timers/promises";
import { defineJob } from "tasker";
import { z } from "zod";

/** Stands for work that takes a while. */
export const resize = defineJob({
  id: "resize",
  schema: z.object({ image: z.int() }),
  queue: "images",
  handler: async ({ image }, ctx) => {
    await pause(100, undefined, { signal: ctx.signal });
    return `image ${image} resized by process ${process.pid}`;
  },
});
