import { defineJob } from "tasker";
import { z } from "zod";

/** Sends one invoice. What triggers it, another system's nightly export for example, knows its id and the shape of its payload alone. */
export const invoice = defineJob({
  id: "invoice",
  schema: z.object({ customer: z.string(), cents: z.int().positive(), due: z.date() }),
  retry: { attempts: 5, delay: "10s" },
  handler: ({ customer, cents, due }) => ({
    customer,
    text: `${(cents / 100).toFixed(2)} EUR, to be paid by ${due.toISOString().slice(0, 10)}`,
  }),
});
