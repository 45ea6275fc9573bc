import { runs, WrongState } from "tasker";
import type { Pool } from "pg";
import { orderTimeout } from "./timeout.ts";

/** Makes an order that waits 30 minutes to be paid. Order and timeout are one transaction: there is never one without the other. */
export async function placeOrder(pool: Pool, orderId: string): Promise<void> {
  const tx = await pool.connect();
  try {
    await tx.query("begin");
    await tx.query("insert into orders (id, status) values ($1, 'open')", [orderId]);
    await orderTimeout.trigger({ orderId }, { delay: "30m", idempotencyKey: orderId, tags: [`order:${orderId}`], tx });
    await tx.query("commit");
  } catch (error) {
    await tx.query("rollback");
    throw error;
  } finally {
    tx.release();
  }
}

/** Answers whether the order was open, and is paid now. Its row decides; canceling the run only saves it the trip. */
export async function payOrder(pool: Pool, orderId: string): Promise<boolean> {
  const { rowCount } = await pool.query("update orders set status = 'paid' where id = $1 and status = 'open'", [
    orderId,
  ]);
  if (rowCount === 0) return false;
  try {
    await runs.cancel({ job: "order-timeout", key: orderId });
  } catch (error) {
    if (!(error instanceof WrongState)) throw error; // it ran at this very moment, and skipped
  }
  return true;
}
