import { defineJob } from "tasker";
import { z } from "zod";
import { database } from "./database.ts";

/** Cancels an order that nobody has paid for. */
export const orderTimeout = defineJob({
  id: "order-timeout",
  schema: z.object({ orderId: z.string() }),
  use: [database],
  handler: async ({ orderId }, ctx) => {
    const { rowCount } = await ctx.db.query("update orders set status = 'canceled' where id = $1 and status = 'open'", [
      orderId,
    ]);
    if (rowCount === 0) ctx.skip("the order is not open any more"); // paid at the last moment, or canceled by an earlier attempt
    return "canceled";
  },
});
