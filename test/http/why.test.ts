import { expect, test } from "vitest";
import type { Because } from "../../sdk/client/why/because.ts";
import { because, why } from "../../runtime/http/schema/why.ts";
import { anApi } from "./kit.ts";

const at = new Date("2030-01-01T00:00:00Z");
const error = { name: "Error", message: "boom", stack: null };
const nodes = [{ node: "host:1", version: "v1", slots: 5, leased: 5, limit: null, ofQueue: 2 }];
const node = "host:1";
const paused: Because = { code: "paused", queue: "mail", pausedAt: at };
const retry = { dueAt: at, attempt: 2, failed: 1, attempts: null, error, also: paused };
const end = { reason: null, finishedAt: at, attempts: 1, error: null, note: null };

/** One of each. */
const samples: { readonly [C in Because["code"]]: Because & { readonly code: C } } = {
  delayed: { code: "delayed", dueAt: at, also: null },
  retrying: { code: "retrying", ...retry },
  snoozed: { code: "snoozed", ...retry, error: null, also: null },
  paused,
  unserved: {
    ...{ code: "unserved", job: "mail", version: null },
    ...{ seen: { node: null, version: null, at }, nodes: [{ node, version: "v2" }] },
  },
  draining: { code: "draining", nodes },
  full: { code: "full", nodes, runs: ["run_1"], ahead: 10_001 },
  behind: { code: "behind", queue: "mail", ahead: 1 },
  alone: { code: "alone", crashes: 1, nodes },
  next: { code: "next", nodes },
  ahead: { code: "ahead", node, dueAt: at },
  queued: { code: "queued", node, slots: 1, leased: 2 },
  starting: { code: "starting", node },
  running: { code: "running", node, startedAt: at, attempt: 1, progress: { value: 1.5, detail: null } },
  canceling: { code: "canceling", node, startedAt: null },
  silent: { code: "silent", node, seenAt: at, leaseUntil: at },
  sleep: { code: "sleep", until: at, name: null },
  step: { code: "step", until: at, name: "charge", error },
  signal: { code: "signal", names: ["paid"], token: false, until: null },
  child: { code: "child", runs: [{ id: "run_1", status: null }], ended: 1, count: 2 },
  parked: { code: "parked", error },
  completed: { code: "completed", ...end },
  failed: { code: "failed", ...end, reason: "error", error },
  canceled: { code: "canceled", ...end, reason: "user" },
};

test.each(Object.entries(samples))("%s is what its schema says, and no more", (_code, sample) => {
  const sent: unknown = JSON.parse(JSON.stringify(sample));

  expect(because.parse(sent)).toEqual(sent); // a field that the schema lacks is left out
});

test("why tells of a run that is due later, one that failed, and none that is not there", async () => {
  const api = await anApi();
  const late = await api.post("/api/v1/jobs/any/trigger", { payload: 1, options: { delay: "1h" } });
  const ended = await api.post("/api/v1/jobs/any/trigger?wait=10s", { payload: "fail" });

  const first = await api.get(`/api/v1/runs/${late.body.id}/why`);
  const second = await api.get(`/api/v1/runs/${ended.body.id}/why`, { token: "read-secret-of-tests" });

  expect(first).toMatchObject({
    status: 200,
    body: { run: late.body.id, status: "pending", because: { code: "delayed", also: null } },
  });
  expect(first.body["text"]).toMatch(/^It is due in (59m|1h)/);
  expect(second.body).toMatchObject({
    status: "failed",
    because: { code: "failed", error: { message: "as it was told" } },
  });
  for (const { body } of [first, second]) expect(why.parse(body)).toEqual(body);
  expect(await api.get("/api/v1/runs/run_zzzz/why")).toMatchObject({ status: 404, body: { code: "RUN_NOT_FOUND" } });
});
