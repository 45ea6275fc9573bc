import { defineJob, StepFailed } from "tasker";
import { z } from "zod";
import { shop } from "./shop.ts";

/** Sells one thing. Either all of it is done, or what was done is undone. */
export const order = defineJob({
  id: "order",
  schema: z.object({ orderId: z.string(), sku: z.string(), cents: z.int() }),
  use: [shop],
  handler: async ({ orderId, sku, cents }, ctx) => {
    const call = (name: string, path: string, body: object) =>
      ctx.step(name, (step) => ctx.shop.post(path, { orderId, ...body }, step));
    const undo: (() => Promise<unknown>)[] = [];
    try {
      const payment = await call("charge", "/payments", { cents });
      undo.push(() => call("refund", "/refunds", { payment }));
      const reservation = await call("reserve", "/reservations", { sku });
      undo.push(() => call("release", "/releases", { reservation }));
      return { status: "shipped", parcel: await call("ship", "/parcels", { reservation }) };
    } catch (error) {
      if (!(error instanceof StepFailed)) throw error;
      for (const step of undo.reverse()) await step();
      return { status: "canceled", failed: error.step };
    }
  },
});
