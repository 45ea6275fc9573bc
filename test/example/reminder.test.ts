import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { runs } from "tasker";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { remindOf } from "../../examples/reminder/_schedule.ts";
import { remind } from "../../examples/reminder/remind.ts";
import { running, type Running } from "./kit.ts";

const payload = { to: "ada@example.com", event: "Tea", at: new Date("2030-01-01T09:00:00Z") };
const soon = { retry: { delay: "1ms" } } as const;

let own: Running;
let service: Server;
/** What the mail service answers next, and the keys that it was called with. */
let answers: number[] = [];
let keys: unknown[] = [];
beforeAll(async () => {
  service = createServer((request, response) => {
    keys.push(request.headers["idempotency-key"]);
    request.resume();
    response.writeHead(answers.shift() ?? 200, { "retry-after": "0" }).end(JSON.stringify({ id: "msg-1" }));
  }).listen(0, "127.0.0.1");
  await once(service, "listening");
  vi.stubEnv("MAILER_URL", `http://127.0.0.1:${(service.address() as AddressInfo).port}/messages`);
  own = await running([remind]);
});
beforeEach(() => {
  answers = [];
  keys = [];
});
afterAll(async () => {
  await own.stop();
  service.close();
});

test("a reminder is tried until the mail service takes it, with one key", async () => {
  answers = [503, 429, 200];

  const run = await remind.trigger(payload, soon);

  expect(await run.result({ timeout: "10s" })).toEqual({ messageId: "msg-1" });
  expect(keys).toHaveLength(3);
  expect(new Set(keys).size).toBe(1);
  const { items } = await runs.attempts(run.id);
  expect(items.map(({ n, error }) => [n, error?.name])).toEqual([
    [2, "RetryAfterError"],
    [1, "Error"],
  ]);
});

test("a message that the service refuses is not sent again", async () => {
  answers = [422];

  const run = await remind.trigger(payload, soon);

  await expect(run.result({ timeout: "10s" })).rejects.toThrow("the mail service refused the message: 422");
  expect(keys).toHaveLength(1);
});

test("an event that moves takes its reminder along", async () => {
  const event = { id: "tea", name: "Tea", at: new Date("2031-01-01T09:00:00Z") };
  const first = await remindOf(event, payload.to);

  const second = await remindOf({ ...event, at: new Date("2032-01-01T09:00:00Z") }, payload.to);

  expect((await second.get())?.dueAt).toEqual(new Date("2032-01-01T08:00:00Z"));
  const waiting = await runs.list({ tags: ["event:tea"], status: "pending" });
  expect(waiting.items.map(({ id }) => id)).toEqual([second.id]);
  expect((await first.get())?.status).toBe(first.id === second.id ? "pending" : "canceled");
});
