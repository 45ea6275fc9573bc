import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { Webhook } from "standardwebhooks";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { createRuntime, type Runtime } from "../../runtime/runtime.ts";
import { memory } from "../../runtime/store/memory/index.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import type { RuntimeOptions } from "../../runtime/setting.ts";
import { runsOf } from "../../sdk/client/runs.ts";
import { triggerOf } from "../../sdk/client/trigger.ts";
import { StoreUnavailable } from "../../sdk/port/error.ts";
import { defineJob } from "../../sdk/job.ts";
import { until } from "../kit/until.ts";

const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const boom = defineJob({
  id: "boom",
  schema: z.object({ fails: z.boolean() }),
  retry: { attempts: 1 },
  tags: ["own"],
  handler: ({ fails }) => {
    if (fails) throw new Error("it went wrong");
  },
});

interface Call {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}
type Answer = (response: ServerResponse, n: number) => void;

/** A server that notes what it is sent, and answers as it is told. */
async function receiver(answer: Answer = (response) => response.writeHead(204).end()) {
  const calls: Call[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => answer(response, calls.push({ headers: request.headers, body })));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { calls, port, url: `http://127.0.0.1:${port}/hook` };
}

type Hooks = NonNullable<RuntimeOptions["webhooks"]>;

async function started(webhooks: Hooks, store: Guarded = memory()): Promise<Runtime> {
  const runtime = createRuntime({ store, jobs: [boom], webhooks });
  onTestFinished(() => runtime.stop({ grace: "1s" }));
  await runtime.start();
  return runtime;
}

function hook(url: string, more: Partial<Hooks[number]> = {}): Hooks[number] {
  return { url, events: ["run.failed"], secret, allow: ["127.0.0.1"], id: "alerts", ...more };
}

const trigger = (runtime: Runtime, fails = true, tags: readonly string[] = []) =>
  triggerOf(async () => runtime.store)<typeof boom>("boom", { fails }, { tags });

async function deliveries(runtime: Runtime) {
  return (await runsOf(async () => runtime.store).list({ job: "tasker/webhook" })).items.toReversed();
}

/** The deliveries, once so many have ended. */
const ended = (runtime: Runtime, count = 1) =>
  until(
    async () => {
      const all = (await deliveries(runtime)).filter(({ status }) => status === "completed" || status === "failed");
      return all.length === count ? all : null;
    },
    { what: `${count} deliveries have ended` },
  );

const typesOf = (calls: readonly Call[]) =>
  calls.map(({ body }) => (JSON.parse(body) as { type: string }).type).toSorted();

test("an event is posted, signed, by a run of its own", async () => {
  const { calls, url } = await receiver();
  const runtime = await started([hook(url)]);

  const failed = await trigger(runtime);
  await trigger(runtime, false);
  const [delivery] = await ended(runtime);

  expect(calls).toHaveLength(1);
  const { headers, body } = calls[0]!;
  expect(new Webhook(secret).verify(body, headers as Record<string, string>)).toEqual({
    type: "run.failed",
    timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
    data: {
      ...{ run: failed.id, job: "boom", queue: "default", tags: ["own"], attempt: 1, reason: "error" },
      ...{ durationMs: expect.any(Number), error: { name: "Error", message: "it went wrong" } },
    },
  });
  expect(headers).toMatchObject({ "content-type": "application/json", "webhook-id": delivery!.id });
  expect(delivery).toMatchObject({ status: "completed", queue: "tasker/webhooks", tags: ["webhook:alerts"] });
  expect(delivery!.result).toEqual({ status: 204 });
  expect(JSON.stringify(delivery)).not.toContain(secret);
});

test("each webhook gets what it asked for, and nothing of deliveries", async () => {
  const [failures, all] = await Promise.all([receiver(), receiver()]);
  const runtime = await started([
    hook(failures.url, { filter: { tags: ["wanted"] } }),
    hook(all.url, { id: "all", events: ["run.*"] }),
  ]);

  await trigger(runtime);
  await trigger(runtime, true, ["wanted"]);
  await ended(runtime, 7);

  const each = ["run.failed", "run.scheduled", "run.started"];
  expect(typesOf(failures.calls)).toEqual(["run.failed"]);
  expect(typesOf(all.calls)).toEqual([...each, ...each].toSorted());
});

test("what is refused is sent again, under the same id and signed anew", async () => {
  const { calls, url } = await receiver((response, n) =>
    response.writeHead(n === 1 ? 503 : 200, { "retry-after": "0" }).end("later"),
  );
  const runtime = await started([hook(url)]);

  await trigger(runtime);
  const [delivery] = await ended(runtime);

  expect(delivery).toMatchObject({ status: "completed", attempt: 2 });
  expect(calls).toHaveLength(2);
  expect(new Set(calls.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
  for (const { headers, body } of calls) new Webhook(secret).verify(body, headers as Record<string, string>);
});

test("a receiver that is gone for good ends the delivery", async () => {
  const { calls, url } = await receiver((response) => response.writeHead(410).end("gone"));
  const runtime = await started([hook(url)]);

  await trigger(runtime);
  const [delivery] = await ended(runtime);

  expect(delivery).toMatchObject({ status: "failed", attempt: 1 });
  expect(delivery!.error?.message).toMatch(/was answered with 410: gone; its receiver wants no more/);
  expect(calls).toHaveLength(1);
});

test.each([
  [302, { location: "http://127.0.0.1:1/" }, /answered with 302; redirects are not followed/],
  [500, {}, /answered with 500$/],
])("an answer %i is tried again later", async (status, headers, message) => {
  const { url } = await receiver((response) => response.writeHead(status, headers).end());
  const runtime = await started([hook(url)]);

  await trigger(runtime);
  const attempt = await until(
    async () => {
      const [delivery] = await deliveries(runtime);
      return delivery && (await runsOf(async () => runtime.store).attempts(delivery.id)).items[0];
    },
    { what: "the first attempt has ended" },
  );

  expect(attempt).toMatchObject({ outcome: "error", error: { message: expect.stringMatching(message) } });
  expect(attempt.retryAt!.getTime() - attempt.endedAt.getTime()).toBeGreaterThan(3000);
});

test("an endless answer is cut off", async () => {
  const { url } = await receiver((response) => {
    response.writeHead(200);
    const more = (): void => {
      if (!response.destroyed) response.write("x".repeat(65_536), () => setImmediate(more));
    };
    more();
  });
  const runtime = await started([hook(url)]);

  await trigger(runtime);

  expect(await ended(runtime)).toMatchObject([{ status: "completed" }]);
});

test.each([
  ["an address", "127.0.0.1", /leads to 127\.0\.0\.1, which is not on the internet/],
  ["an address of IPv6", "[::ffff:127.0.0.1]", /leads to ::ffff:7f00:1, which is not on the internet/],
  ["a name", "localhost", /leads to localhost \(.*\), which is not on the internet/],
])("%s that is not on the internet is refused, and nothing is sent there", async (_, host, message) => {
  const { calls, port } = await receiver();
  const runtime = await started([hook(`https://${host}:${port}/`, { allow: ["10.0.0.0/8"] })]);

  await trigger(runtime);
  const [delivery] = await ended(runtime);

  expect(delivery).toMatchObject({ status: "failed", attempt: 1 });
  expect(delivery!.error?.message).toMatch(message);
  expect(calls).toEqual([]);
});

test("a name that leads to an allowed address is used", async () => {
  const { calls, port } = await receiver();
  const runtime = await started([hook(`http://localhost:${port}/`, { allow: ["127.0.0.1", "::1"] })]);

  await trigger(runtime);
  await ended(runtime);

  expect(calls).toHaveLength(1);
});

test("a delivery to a webhook that was taken out fails, and says so", async () => {
  const { url } = await receiver();
  const runtime = await started([hook(url)]);

  const payload = { webhook: "gone", event: {} };
  const run = await triggerOf(async () => runtime.store)("tasker/webhook", payload);

  await expect(run.result({ timeout: "10s" })).rejects.toThrow('webhook "gone" is not configured on this node');
});

test("events wait while the store is away", async () => {
  const { calls, url } = await receiver();
  const store = memory();
  let away = 0;
  const flaky: Guarded = {
    ...store,
    runs: {
      ...store.runs,
      add: async (batch, how) => {
        if (batch[0]!.job === "tasker/webhook" && ++away < 3) throw new StoreUnavailable("the store", "gone");
        return store.runs.add(batch, how);
      },
    },
  };
  const runtime = await started([hook(url)], flaky);

  await trigger(runtime);
  await ended(runtime);

  expect(away).toBe(3);
  expect(calls).toHaveLength(1);
});

test("what happened last before a stop is delivered by another node", async () => {
  const { calls, url } = await receiver();
  const store = memory();
  const kept: Guarded = { ...store, close: async () => undefined };
  const first = await started([hook(url, { events: ["node.stopping"] })], kept);
  await first.stop();

  const second = await started([hook(url)], kept);
  await ended(second);

  expect(typesOf(calls)).toEqual(["node.stopping"]);
});

test("without webhooks there is neither the job nor a listener", async () => {
  const runtime = await started([]);

  expect(runtime.jobs().map(({ id }) => id)).toEqual(["boom"]);
  expect(runtime.events.active).toBe(false);
});
