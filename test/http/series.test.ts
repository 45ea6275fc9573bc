import { expect, test } from "vitest";
import { anApi } from "./kit.ts";
import { until } from "../kit/until.ts";

test("figures over time are told by step, with percentiles", async () => {
  const api = await anApi();
  await api.post("/api/v1/jobs/any/trigger?wait=10s", { payload: 1 });
  await api.post("/api/v1/jobs/any/trigger?wait=10s", { payload: "fail" });
  const from = new Date(Date.now() - 600_000).toISOString();
  const path = (more: string): string => `/api/v1/stats/series?from=${from}&step=5m${more}`;

  const body = await until(
    async () => {
      const reply = await api.get(path("&job=any&queue=default"), { token: "read-secret-of-tests" });
      return (reply.body["total"] as { completed: number }).completed === 1 ? reply.body : null;
    },
    { what: "a beat" },
  );
  const other = await api.get(path("&job=other"));

  expect(body).toMatchObject({
    ...{ stepMs: 300_000, total: { completed: 1, failed: 1, canceled: 0, retried: 0 } },
  });
  const { run } = (body as unknown as { total: { run: { p50: number; p99: number } } }).total;
  expect(run.p50).toBeLessThanOrEqual(run.p99);
  expect((body as unknown as { points: readonly object[] }).points.length).toBeGreaterThanOrEqual(3);
  expect(other.body).toMatchObject({ total: { completed: 0, wait: null, run: null } });
});

test.each([
  ["from=2030-01-01T00:00:00Z", "step"],
  ["step=5m", "from"],
  ["from=yesterday&step=5m", "from"],
  ["from=2020-01-01T00:00:00Z&step=90s", "step"],
  ["from=2020-01-01T00:00:00Z&step=1h", "step"],
  ["from=2020-01-01T00:00:00Z&step=7d&jobs=a", "jobs"],
])("figures for %s are refused, and the field is named", async (query, path) => {
  const api = await anApi();

  expect(await api.get(`/api/v1/stats/series?${query}`)).toMatchObject({
    ...{ status: 400, body: { code: "INVALID_INPUT", path } },
  });
});

test.each([
  ["step=0ms", "step"],
  ["step=90s", "step"],
  ["step=1m&to=2029-01-01T00:00:00Z", "to"],
])("what a series is made of is refused for %s", async (query, path) => {
  const api = await anApi();
  const rest = `from=2030-01-01T00:00:00Z${query.includes("to=") ? "" : "&to=2031-01-01T00:00:00Z"}`;

  expect(await api.get(`/api/v1/stats/buckets?${rest}&${query}`)).toMatchObject({
    ...{ status: 400, body: { code: "INVALID_INPUT", path } },
  });
});
