import { defineService } from "tasker";

/** Stands for a payment service: what was paid, by key, and who has no money. */
export const payments = new Map<string, { readonly user: string; readonly cents: number }>();
export const broke = new Set<string>();

export const billing = defineService({
  name: "billing",
  open: () => ({
    charge: async (user: string, cents: number, idempotencyKey: string): Promise<void> => {
      if (broke.has(user)) throw new Error(`${user} has no money`);
      payments.set(idempotencyKey, { user, cents });
    },
  }),
});
