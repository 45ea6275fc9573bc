import { createServer } from "node:http";
import type { RunHandle } from "tasker";
import { order } from "./order.ts";
import { base } from "./shop.ts";

/** Stands for the shop's services, and sells one thing; `tasker dev --run` calls it. */
export default async function start(): Promise<readonly RunHandle[]> {
  const made = new Map<unknown, string>(); // by idempotency key
  const services = createServer(({ url, headers }, response) => {
    const id = made.get(headers["idempotency-key"]) ?? `${url}/${made.size + 1}`;
    made.set(headers["idempotency-key"], id);
    response.end(JSON.stringify({ id }));
  });
  services.listen(Number(new URL(base()).port), "127.0.0.1").unref();
  return [await order.trigger({ orderId: "7", sku: "tea", cents: 900 })];
}
