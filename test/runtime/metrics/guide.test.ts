import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { metrics } from "../../../runtime/metrics/index.ts";
import { createRuntime, type Runtime } from "../../../runtime/runtime.ts";
import { memory } from "../../../runtime/store/memory/index.ts";
import { close, configure } from "../../../sdk/client/config.ts";
import { freshDatabase, type Database } from "../../kit/database.ts";
import { scraped, valueOf } from "../../kit/scrape.ts";
import { until } from "../../kit/until.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const guide = readFileSync(join(root, "docs/metrics.md"), "utf8");
const file = join(root, `.tasker/test/guide-${process.pid}/server.ts`);

let database: Database;
beforeAll(async () => {
  database = await freshDatabase();
  const [, source] = /^```ts\n\/\/ file: server\.ts\n(.*?)^```$/ms.exec(guide)!;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, source!);
});
afterAll(async () => {
  rmSync(dirname(file), { recursive: true, force: true });
  await database.drop();
});

test("the server of the guide shows what it did", async () => {
  process.env["TASKER_DATABASE_URL"] = database.url;
  process.env["PORT"] = "0";
  const { runtime, server } = (await import(file)) as { readonly runtime: Runtime; readonly server: Server };
  configure({ store: runtime.store });
  try {
    if (!server.listening) await new Promise((resolve) => server.once("listening", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

    const answer = await fetch(`${url}/greet/Ada`, { method: "POST" });
    const { run } = (await answer.json()) as { readonly run: string };
    await until(async () => (await runtime.store.find.list({ status: ["completed"] })).items.length === 1, {
      what: `${run} has completed`,
    });
    const scrape = await fetch(`${url}/metrics`);

    expect(scrape.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    const { samples } = scraped(await scrape.text());
    const labels = { job_name: "greet", queue: "default" };
    expect(valueOf(samples, "tasker_runs_enqueued_total", labels)).toBe(1);
    expect(valueOf(samples, "tasker_runs_finished_total", { ...labels, outcome: "completed" })).toBe(1);
    expect(valueOf(samples, "tasker_run_duration_seconds_count", labels)).toBe(1);
    expect(valueOf(samples, "tasker_nodes", { state: "live" })).toBe(1);
    expect(valueOf(samples, "tasker_queue_depth", { queue: "default" })).toBe(0);
  } finally {
    server.close();
    await runtime.stop();
    await close();
  }
});

test("the guide lists all metrics, with their labels", async () => {
  const measured = metrics(createRuntime({ store: memory() }));
  const { types } = scraped(await measured.text());
  measured.close();

  const listed = [...guide.matchAll(/^\| `(tasker_\w+)` \|/gm)].map(([, name]) => name);

  expect(listed.sort()).toEqual([...types.keys()].sort());
});
