import { expect, test } from "vitest";
import { slot } from "../../sdk/client/scope.ts";
import { has, promtool, scraped, valueOf } from "../kit/scrape.ts";
import { until } from "../kit/until.ts";
import { anApi, type Api } from "./kit.ts";

async function scrape(api: Api): Promise<string> {
  const { status, headers, body } = await api.get("/metrics", { token: "read-secret-of-tests" });
  expect(status).toBe(200);
  expect(headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  return String(body);
}

test("GET /metrics counts from the first scrape on, and no more once the server has stopped", async () => {
  const api = await anApi();
  expect(slot().counting.size).toBe(0);
  await scrape(api);
  expect(slot().counting.size).toBe(1);

  await api.post("/api/v1/jobs/hello/trigger", { payload: { name: "Ada" } });
  const labels = { job_name: "hello", outcome: "completed" };
  await until(async () => valueOf(scraped(await scrape(api)).samples, "tasker_runs_finished_total", labels) === 1, {
    what: "the run is counted",
  });

  const { samples } = scraped(await scrape(api));
  expect(valueOf(samples, "tasker_runs_enqueued_total", { job_name: "hello" })).toBe(1);
  expect(valueOf(samples, "tasker_store_up")).toBe(1);
  expect(valueOf(samples, "process_resident_memory_bytes")).toBeGreaterThan(1e6);
  await api.close();
  expect(slot().counting.size).toBe(0);
});

test("a server without a runtime shows what it adds, and what the store says", async () => {
  const api = await anApi({ works: false });

  const { samples, types } = scraped(await scrape(api));

  expect(valueOf(samples, "tasker_store_up")).toBe(1);
  expect([...types.keys()]).toContain("tasker_runs_enqueued_total");
  expect([...types.keys()]).not.toContain("tasker_worker_slots");
});

test.skipIf(!has("promtool"))("promtool finds nothing to say about it", async () => {
  const api = await anApi();

  expect(await promtool(["check", "metrics"], await scrape(api))).toEqual({ code: 0, said: "" });
});
