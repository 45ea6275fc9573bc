/** Each query of the dashboard, the alerts and the scaler, against what is scraped of a process that has done all that there is. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { close } from "../../sdk/client/config.ts";
import { has, promtool, scraped, type Scraped } from "../kit/scrape.ts";
import { until } from "../kit/until.ts";
import { allKinds, measured, work } from "../runtime/metrics/kit.ts";
import { read, root, yaml } from "./kit.ts";
import { askedBy, missing } from "./query.ts";
import * as shape from "./shape.ts";

afterEach(close);

const rules = z.strictObject({
  groups: z.tuple([
    z.strictObject({
      name: z.literal("tasker"),
      rules: z.array(
        z.strictObject({
          alert: z.string().regex(/^Tasker[A-Z]\w+$/),
          expr: z.string(),
          for: z.string().optional(),
          labels: z.strictObject({ severity: z.enum(["info", "warning", "critical"]) }),
          annotations: z.strictObject({ summary: z.string(), description: z.string() }),
        }),
      ),
    }),
  ]),
});
const target = z.object({ expr: z.string(), refId: z.string() });
const dashboard = z
  .object({
    uid: z.literal("tasker"),
    schemaVersion: z.number(),
    templating: z.object({
      list: z.array(z.object({ name: z.string(), query: z.union([z.string(), z.object({ query: z.string() })]) })),
    }),
    panels: z.array(
      z.object({
        id: z.int(),
        title: z.string(),
        gridPos: z.object({ x: z.int(), y: z.int(), w: z.int(), h: z.int() }),
        targets: z.array(target).optional(),
      }),
    ),
  })
  .parse(JSON.parse(read("deploy/dashboard.json")));

const [{ groups }] = yaml("deploy/alerts.yaml", rules);
const alerts = groups[0].rules;
const [scaler] = yaml("deploy/kubernetes/scale.yaml", shape.scaler);
const panels = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr, refId }) => ({ name: `${title} ${refId}`, expr: filled(expr) })),
);

/** A query with Grafana's variables filled in: all of each. */
function filled(expr: string): string {
  return expr.replaceAll("$__rate_interval", "1m").replace(/\$(scrape|job|queue)\b/g, ".*");
}

async function scrape(): Promise<readonly Scraped[]> {
  const jobs = allKinds();
  const { runtime, read: readAll } = await measured(Object.values(jobs), { process: true });
  await work(runtime, jobs);
  return readAll();
}

test("each query asks for metrics, labels and values that a scrape has", async () => {
  const samples = await scrape();
  const queries = [
    ...panels,
    ...alerts.map(({ alert, expr }) => ({ name: alert, expr })),
    { name: "scaler", expr: scaler.spec.triggers[0].metadata.query },
  ];

  const wrong = queries.flatMap(({ name, expr }) => missing(expr, samples).map((what) => `${name}: ${what}`));

  expect(queries.length).toBeGreaterThan(40);
  expect(wrong).toEqual([]);
});

test("what a query asks for in vain is found", () => {
  const samples = scraped('# TYPE a_total counter\na_total{queue="q",outcome="failed"} 1\n').samples;
  const query = 'sum by (queue, job_name) (rate(a_total{outcome="fail",kind!="x",job="j"}[5m])) / b';

  expect(missing(query, samples)).toEqual(['a_total{outcome="fail"}', 'a_total{kind!="x"}', "b", "job_name"]);
  expect(missing('max(a_total{queue=~"q|r"})', samples)).toEqual([]);
  expect(() => askedBy("sum(rate(a[5m])")).toThrow(/^no query: /);
});

test("the dashboard's variables are those that its queries use, and its panels do not overlap", async () => {
  const samples = await scrape();
  const variables = dashboard.templating.list.map(({ name }) => name);
  const used = new Set([...read("deploy/dashboard.json").matchAll(/\$\{?([a-z]\w*)/g)].map(([, name]) => name!));
  const asked = dashboard.templating.list.flatMap(({ query }) =>
    typeof query === "string" ? [] : [/^label_values\((\w+), (\w+)\)$/.exec(query.query)!.slice(1)],
  );

  const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
  );

  expect([...used].sort()).toEqual(variables.toSorted());
  expect(asked.map(([metric, label]) => missing(`max by (${label}) (${metric})`, samples))).toEqual([[], [], []]);
  expect(new Set(cells).size).toBe(cells.length);
  expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
});

test("the guide lists the alerts, each with its severity", () => {
  const listed = [...read("docs/metrics.md").matchAll(/^\| `(Tasker\w+)` \| (\w+) \|/gm)].map(([, ...row]) => row);

  expect(listed.sort()).toEqual(alerts.map(({ alert, labels }) => [alert, labels.severity]).sort());
});

/** For each alert, series in which it fires, and what must be with them so that no other does. */
const fires: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  TaskerStoreAway: { 'tasker_store_up{instance="a"}': "0x60" },
  TaskerNoProcess: { 'tasker_nodes{state="live"}': "0x60", 'tasker_nodes{state="asleep"}': "0x60" },
  TaskerRunsWait: { 'tasker_queue_oldest_ready_age_seconds{queue="mail"}': "301+30x60" },
  TaskerJobFails: {
    'tasker_runs_finished_total{job_name="mail",outcome="failed",reason="error"}': "0+2x60",
    'tasker_runs_finished_total{job_name="mail",outcome="completed"}': "0+10x60",
  },
  TaskerProcessesDie: { 'tasker_leases_expired_total{outcome="recovered"}': "0x50 1x10" },
  TaskerRunsCrash: { 'tasker_runs_finished_total{outcome="failed",reason="crashed"}': "0x50 1x10" },
  TaskerSlotsTaken: { 'tasker_worker_slots{state="free"}': "0x60" },
  TaskerLoopBlocked: { 'tasker_event_loop_lag_seconds{instance="a"}': "0x55 3 0 0 0 0" },
  TaskerStoreSlow: {
    'tasker_commit_duration_seconds_bucket{le="1"}': "0x60",
    'tasker_commit_duration_seconds_bucket{le="2.5"}': "0+5x60",
    'tasker_commit_duration_seconds_bucket{le="+Inf"}': "0+5x60",
  },
  TaskerTicksMissed: { 'tasker_schedule_fires_total{job_name="clean",outcome="missed"}': "0x50 1x10" },
  TaskerQueuePaused: { 'tasker_queue_paused{queue="mail"}': "1x3000" },
};
/** Nothing is wrong. */
const well: Readonly<Record<string, string>> = {
  'tasker_store_up{instance="b"}': "1x3000",
  'tasker_nodes{state="live",instance="b"}': "1x3000",
  'tasker_queue_oldest_ready_age_seconds{queue="default"}': "4x3000",
  'tasker_queue_oldest_ready_age_seconds{queue="paused"}': "1000x60",
  'tasker_queue_paused{queue="paused"}': "1x60",
  'tasker_runs_finished_total{job_name="fine",outcome="completed"}': "0+100x3000",
  'tasker_runs_finished_total{job_name="fine",outcome="failed",reason="error"}': "0+1x3000",
};

describe.skipIf(!has("promtool"))("promtool", () => {
  test("takes the alerts", async () => {
    const { code, said } = await promtool(["check", "rules", join(root, "deploy/alerts.yaml")]);

    expect({ code, said }).toEqual({ code: 0, said: expect.stringContaining(`${alerts.length} rules found`) });
  });

  test("sees each alert fire alone, and none while nothing is wrong", async () => {
    const cases = [...Object.entries(fires), ["nothing", {}] as const].map(([alert, series]) => {
      const isQuiet = alert === "TaskerNoProcess";
      const all = { ...(isQuiet ? {} : well), ...series };
      return {
        interval: "30s",
        input_series: Object.entries(all).map(([name, values]) => ({ series: name, values })),
        promql_expr_test: [
          {
            expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
            eval_time: alert === "TaskerQueuePaused" ? "24h30m" : "29m",
            exp_samples: alert === "nothing" ? [] : [{ labels: `{alertname="${alert}"}`, value: 1 }],
          },
        ],
      };
    });
    const folder = mkdtempSync(join(tmpdir(), "tasker-alerts-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "test.json");
    const rule_files = [join(root, "deploy/alerts.yaml")];
    writeFileSync(file, JSON.stringify({ rule_files, evaluation_interval: "30s", tests: cases }));

    const answer = await promtool(["test", "rules", file]);

    expect(Object.keys(fires).sort()).toEqual(alerts.map(({ alert }) => alert).sort());
    expect(answer).toEqual({ code: 0, said: expect.stringContaining("SUCCESS") });
  });
});

/** Starts a Prometheus that scrapes an address every second. */
async function prometheus(of: string): Promise<(path: string) => Promise<unknown>> {
  const folder = mkdtempSync(join(tmpdir(), "tasker-prometheus-"));
  const scrape_configs = [{ job_name: "tasker", static_configs: [{ targets: [of] }] }];
  const config = { global: { scrape_interval: "1s", evaluation_interval: "1s" }, scrape_configs };
  writeFileSync(join(folder, "prometheus.json"), JSON.stringify(config));
  const port = await freePort();
  const own = `127.0.0.1:${port}`;
  const flags = { "config.file": "prometheus.json", "storage.tsdb.path": "data", "web.listen-address": own };
  const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
  const child: ChildProcess = spawn("prometheus", args, { cwd: folder, stdio: "ignore" });
  onTestFinished(async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  const ask = async (path: string): Promise<unknown> => {
    const answer = await fetch(`http://${own}/api/v1/${path}`);
    return ((await answer.json()) as { readonly data: unknown }).data;
  };
  await until(() => ask("status/buildinfo"), { what: "Prometheus answers", timeoutMs: 20_000 });
  return ask;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

const mayBeEmpty = ["Paused queues A"];

test.skipIf(!has("prometheus"))(
  "a Prometheus that scrapes a process has an answer to each query",
  async () => {
    const jobs = allKinds();
    const { runtime, metered } = await measured(Object.values(jobs), { process: true });
    const server = createServer((_, response) => {
      response.setHeader("Content-Type", metered.contentType);
      void metered.text().then((text) => response.end(text));
    }).listen(0, "127.0.0.1");
    onTestFinished(() => void server.close());
    await once(server, "listening");
    const ask = await prometheus(`127.0.0.1:${(server.address() as AddressInfo).port}`);
    const query = async (expr: string): Promise<readonly unknown[]> => {
      const data = (await ask(`query?query=${encodeURIComponent(expr)}`)) as
        { readonly result: readonly unknown[] } | undefined;
      if (!data) throw new Error(`Prometheus refuses: ${expr}`);
      return data.result;
    };
    const done = 'tasker_runs_finished_total{job_name="parent",outcome="completed"}';
    const seen = (expr: string, what: string): Promise<unknown> =>
      until(async () => (await query(expr)).length > 0, { what, timeoutMs: 20_000 });
    await seen(`${done} == 0`, "there was a scrape");
    await work(runtime, jobs);
    await seen(`increase(${done}[1m]) > 0`, "another scrape saw the work");

    let empty: readonly string[] = [];
    const answers = async (): Promise<boolean> => {
      const counts = await Promise.all(
        panels.map(async ({ name, expr }) => ((await query(expr)).length > 0 ? [] : [name])),
      );
      empty = counts.flat();
      return empty.every((name) => mayBeEmpty.includes(name));
    };
    await until(answers, { what: () => `no answer to: ${empty.join(", ")}`, timeoutMs: 10_000 });
    for (const { expr } of alerts) await query(expr);
  },
  60_000,
);
