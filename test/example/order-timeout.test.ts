import { runs } from "tasker";
import { Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { payOrder, placeOrder } from "../../examples/order-timeout/_order.ts";
import { orderTimeout } from "../../examples/order-timeout/timeout.ts";
import { until } from "../kit/until.ts";
import { running, type Running } from "./kit.ts";

let own: Running;
let pool: Pool;
beforeAll(async () => {
  own = await running([orderTimeout]);
  pool = new Pool({ connectionString: own.url });
  await pool.query("create table orders (id text primary key, status text not null)");
});
afterAll(async () => {
  await pool.end();
  await own.stop();
});

const timeoutOf = (key: string) => runs.need({ job: "order-timeout", key });
const statusOf = async (id: string) =>
  (await pool.query<{ status: string }>("select status from orders where id = $1", [id])).rows[0]?.status;

test("an order has half an hour to be paid", async () => {
  await placeOrder(pool, "a");

  const run = await timeoutOf("a");
  expect(run.status).toBe("pending");
  expect(run.dueAt.getTime() - run.createdAt.getTime()).toBeGreaterThanOrEqual(30 * 60_000);
  expect(run.dueAt.getTime() - run.createdAt.getTime()).toBeLessThan(31 * 60_000);
});

test("an order that was not paid in time is canceled", async () => {
  await placeOrder(pool, "b");
  const run = await timeoutOf("b");

  await runs.runNow(run.id); // time can't be moved in Postgres: the run's instant is

  await until(async () => (await runs.need(run.id)).status === "completed", { what: "the timeout ran" });
  expect(await statusOf("b")).toBe("canceled");
  expect(await payOrder(pool, "b")).toBe(false);
});

test("an order that is paid is not canceled, and its timeout will not run", async () => {
  await placeOrder(pool, "c");
  const { id } = await timeoutOf("c");

  const paid = await payOrder(pool, "c");

  expect(paid).toBe(true);
  expect(await statusOf("c")).toBe("paid");
  expect(await runs.need(id)).toMatchObject({ status: "canceled", reason: "user" });
});

test("a timeout that starts although the order was paid skips", async () => {
  await pool.query("insert into orders (id, status) values ('d', 'paid')");

  const run = await orderTimeout.trigger({ orderId: "d" });

  await run.result({ timeout: "10s" });
  expect(await run.get()).toMatchObject({
    status: "completed",
    reason: "skipped",
    note: "the order is not open any more",
  });
  expect(await statusOf("d")).toBe("paid");
});

test("an order that could not be placed leaves no timeout behind", async () => {
  await pool.query("insert into orders (id, status) values ('e', 'open')");

  await expect(placeOrder(pool, "e")).rejects.toThrow("duplicate key");

  expect(await runs.get({ job: "order-timeout", key: "e" })).toBeNull();
});
