import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { order } from "../../examples/order/order.ts";
import { stages } from "./stage.ts";

const payload = { orderId: "7", sku: "tea", cents: 900 };

let service: Server;
/** What the services answer next, by path, and the calls that they took, by idempotency key. */
let answers: Record<string, number[]> = {};
let taken = new Map<string, string>();
beforeAll(async () => {
  service = createServer((request, response) => {
    const [key, path] = [request.headers["idempotency-key"] as string, request.url!];
    const status = answers[path]?.shift() ?? 200;
    if (status === 200) taken.set(key, path);
    request.resume();
    response.writeHead(status).end(JSON.stringify({ id: `made at ${path}` }));
  }).listen(0, "127.0.0.1");
  await once(service, "listening");
  vi.stubEnv("SHOP_URL", `http://127.0.0.1:${(service.address() as AddressInfo).port}`);
});
beforeEach(() => {
  answers = {};
  taken = new Map();
});
afterAll(() => {
  vi.unstubAllEnvs();
  service.close();
});

describe.each(stages())("on %s", (_store, open) => {
  test("an order is paid, reserved and shipped", async () => {
    await using t = await open({ jobs: [order], alwaysReplay: true });

    const run = await order.trigger(payload);
    await t.idle();

    expect(await run.result()).toEqual({ status: "shipped", parcel: "made at /parcels" });
    expect([...taken.values()]).toEqual(["/payments", "/reservations", "/parcels"]);
  });

  test("a service that is down for a moment is asked again, and nobody is charged twice", async () => {
    answers = { "/payments": [503, 503], "/parcels": [500] };
    await using t = await open({ jobs: [order] });

    const run = await order.trigger(payload);
    for (let i = 0; i < 4; i++) {
      await t.idle();
      await t.advance("5s");
    }

    expect(await run.result()).toMatchObject({ status: "shipped" });
    expect((await t.steps(run)).map(({ name, tries }) => [name, tries])).toEqual([
      ["charge", 3],
      ["reserve", 1],
      ["ship", 2],
    ]);
    expect((await run.get())!.attempt).toBe(1);
  });

  test.each([
    ["/payments", ["charge"], []],
    ["/reservations", ["charge", "reserve", "refund"], ["/refunds"]],
    ["/parcels", ["charge", "reserve", "ship", "release", "refund"], ["/releases", "/refunds"]],
  ])("what %s refuses is undone, the last first", async (path, steps, undone) => {
    answers = { [path]: [409] };
    await using t = await open({ jobs: [order], alwaysReplay: true });

    const run = await order.trigger(payload);
    await t.idle();

    expect(await run.result()).toMatchObject({ status: "canceled" });
    expect((await t.steps(run)).map(({ name }) => name)).toEqual(steps);
    expect([...taken.values()].slice(steps.length - undone.length - 1)).toEqual(undone);
  });

  test("a process that dies at any point leaves nothing half done", async () => {
    const play = async (crashAt?: number): Promise<number> => {
      answers = { "/parcels": [409] };
      taken = new Map();
      await using t = await open({ jobs: [order] });
      if (crashAt !== undefined) t.crashAfter(crashAt);
      const run = await order.trigger(payload);
      await t.idle();
      await t.advance("1s");
      await t.idle();
      const { status } = (await run.result()) as { status: string };
      if (status === "canceled") expect([...taken.values()].slice(-2)).toEqual(["/releases", "/refunds"]);
      else expect([...taken.values()].at(-1)).toBe("/parcels"); // the refusal was lost with the process, and the next try went well
      return t.writes;
    };

    const writes = await play();
    for (let at = 0; at < writes; at++) await play(at);

    expect(writes).toBeGreaterThan(5);
  });
});
