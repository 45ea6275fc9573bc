import { Counter as OwnCounter, Registry } from "prom-client";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { metrics } from "../../../runtime/metrics/index.ts";
import { guard } from "../../../runtime/store/guard.ts";
import { memory } from "../../../runtime/store/memory/index.ts";
import type { Guarded } from "../../../runtime/store/port.ts";
import { close, configure } from "../../../sdk/client/config.ts";
import { slot } from "../../../sdk/client/scope.ts";
import { StoreUnavailable } from "../../../sdk/port/error.ts";
import { addMany } from "../../kit/build.ts";
import { least } from "../../kit/least.ts";
import { has, promtool, scraped, valueOf } from "../../kit/scrape.ts";
import { until } from "../../kit/until.ts";
import { aBench, aJob, deferred } from "../kit.ts";
import { allKinds, measured, work } from "./kit.ts";

afterEach(close);

test("a workload shows in every metric", async () => {
  const jobs = allKinds();
  const { runtime, metered, read } = await measured(Object.values(jobs));

  await work(runtime, jobs);

  const counted = (name: string, labels: Record<string, string>) => async () => valueOf(await read(), name, labels);
  const finished = counted("tasker_runs_finished_total", { job_name: "good", outcome: "failed", reason: "expired" });
  await until(async () => (await finished()) === 1, { what: "the run that expires has ended" });
  const samples = await read();
  const value = (name: string, labels: Record<string, string>) => valueOf(samples, `tasker_${name}`, labels);
  const ends = (job_name: string, outcome: string, reason = "") =>
    value("runs_finished_total", { job_name, outcome, reason });
  const attempts = (job_name: string, outcome: string) => value("attempts_total", { job_name, outcome });
  expect(value("runs_enqueued_total", { job_name: "good", queue: "default" })).toBe(4);
  expect(value("runs_deduplicated_total", { job_name: "good", kind: "same" })).toBe(1);
  expect(value("runs_deduplicated_total", { job_name: "good", kind: "conflict" })).toBe(1);
  expect(value("runs_enqueued_total", { job_name: "child", queue: "default" })).toBe(2);
  expect(value("runs_enqueued_total", { job_name: "ticking" })).toBeGreaterThan(1);
  expect(ends("good", "completed")).toBe(8); // with the hooks of four
  expect(ends("bad", "failed", "error")).toBe(1);
  expect(ends("slow", "failed", "timeout")).toBe(1);
  expect(ends("skipped", "completed", "skipped")).toBe(1);
  expect(ends("later", "completed")).toBe(1);
  expect(attempts("bad", "error")).toBe(2);
  expect(attempts("slow", "timeout")).toBe(1);
  expect(attempts("later", "snoozed")).toBe(1);
  expect(attempts("later", "completed")).toBe(1);
  expect(attempts("parent", "waiting")).toBe(2);
  expect(value("run_wait_seconds_count", { job_name: "bad", queue: "mail" })).toBe(2);
  expect(value("run_duration_seconds_count", { job_name: "bad", queue: "mail" })).toBe(2);
  expect(value("run_duration_seconds_sum", { job_name: "slow" })).toBeGreaterThan(0.019);
  expect(value("run_duration_seconds_bucket", { job_name: "slow", le: "0.01" })).toBe(0);
  expect(value("run_duration_seconds_bucket", { job_name: "slow", le: "+Inf" })).toBe(1);
  expect(value("schedule_fires_total", { job_name: "ticking", outcome: "ticked" })).toBeGreaterThan(0);
  expect(value("queue_depth", { queue: "default", state: "delayed" })).toBeGreaterThan(0);
  expect(value("nodes", { state: "live" })).toBe(1);
  expect(value("store_up", {})).toBe(1);
  expect(value("worker_slots", { state: "busy" })! + value("worker_slots", { state: "free" })!).toBe(50);

  const { types } = scraped(await metered.text());
  const empty = [...types].filter(([name, type]) => {
    const shown = type === "histogram" ? `${name}_count` : name;
    return !samples.some((sample) => sample.name === shown);
  });
  expect(empty).toEqual([]);
  expect(types.size).toBe(20);
});

test("a metric of a job that has not run yet is there, so that its first failure is seen as an increase", async () => {
  const { read, runtime } = await measured([aJob(() => 1)]);
  runtime.register(aJob(() => 1, { id: "other", queue: "mail" }));

  const samples = await read();

  for (const [job_name, queue] of Object.entries({ job: "default", other: "mail" }))
    expect(valueOf(samples, "tasker_runs_finished_total", { job_name, queue, outcome: "failed" })).toBe(0);
  expect(valueOf(samples, "tasker_leases_expired_total", { outcome: "crashed" })).toBe(0);
});

test("runs of a dead process are counted as they are taken back, fail and expire", async () => {
  const bench = await aBench({ jobs: [aJob(() => 1, { id: "other" })], crashes: 1 });
  const metered = metrics(bench.runtime);
  onTestFinished(metered.close);
  const dead = await bench.store.nodes.join({ name: "dead", app: "app", version: "0" }, 1000);
  await addMany(bench.store, 3);
  await addMany(bench.store, 2, { ttlMs: 5000 });
  const claim = { node: dead, jobs: ["job"], queues: { not: [] }, aheadMs: 0, ttlMs: 1000, poll: true } as const;
  const { leases } = await bench.store.runs.lease({ ...claim, limit: 3, order: "priority" });
  await bench.store.runs.hold(
    dead,
    leases.map(({ id, token }) => ({ id, token, startedMs: bench.clock.nowMs() })),
  );

  await bench.pass(30_000);

  const { samples } = scraped(await metered.text());
  const ended = (reason: string) => valueOf(samples, "tasker_runs_finished_total", { job_name: "", reason });
  expect(valueOf(samples, "tasker_leases_expired_total", { outcome: "crashed" })).toBe(3);
  expect(ended("crashed")).toBe(3);
  expect(ended("expired")).toBe(2);
});

test("what waits for a slot is seen: how many, and for how long", async () => {
  const end = deferred();
  const bench = await aBench({ jobs: [aJob(() => end.promise)], slots: 1 });
  const metered = metrics(bench.runtime);
  onTestFinished(metered.close);
  await bench.add();
  await bench.add();
  bench.runtime.resize(3);
  await bench.pass(1);
  bench.runtime.resize(1);
  await addMany(bench.store, 4);
  await bench.pass(2000);

  const { samples } = scraped(await metered.text());

  expect(valueOf(samples, "tasker_worker_slots", { state: "busy" })).toBe(2);
  expect(valueOf(samples, "tasker_worker_slots", { state: "free" })).toBe(0);
  expect(valueOf(samples, "tasker_queue_depth", { queue: "default", state: "leased" })).toBe(2);
  expect(valueOf(samples, "tasker_queue_depth", { queue: "default", state: "ready" })).toBe(4);
  expect(valueOf(samples, "tasker_queue_oldest_ready_age_seconds", { queue: "default" })).toBe(2);
  end.resolve();
});

test("a blocked event loop is seen at the next scrape, and not at the one after it", async () => {
  const { read } = await measured([]);
  const lag = async () => valueOf(await read(), "tasker_event_loop_lag_seconds")!;
  await lag();

  for (const end = performance.now() + 300; performance.now() < end;);

  expect(await lag()).toBeGreaterThan(0.2);
  expect(await lag()).toBeLessThan(0.2);
});

describe("the store", () => {
  /** A store in memory whose counts are read by `stats`. */
  function counting(stats: Guarded["find"]["stats"]): Guarded {
    const store = memory();
    return { ...store, find: { ...store.find, stats } };
  }

  test("is read once for ten that scrape at the same time, and for those of the next seconds, and asks no node", async () => {
    const store = memory();
    const stats = vi.fn(store.find.stats);
    const { read } = await measured([], {}, counting(stats));

    await Promise.all(Array.from({ length: 10 }, read));
    await read();

    expect(stats.mock.calls).toEqual([[{ look: false }]]);
  });

  test("that is away leaves the node's own metrics, and is read again at the next scrape", async () => {
    let away = true;
    const store = memory();
    const stats = vi.fn(async () => (away ? Promise.reject(new StoreUnavailable("x", "gone")) : store.find.stats()));
    const { read } = await measured([], {}, counting(stats));

    const [without, found] = [await read(), ((away = false), await read())];

    expect(valueOf(without, "tasker_store_up")).toBe(0);
    expect(valueOf(without, "tasker_nodes")).toBe(null);
    expect(valueOf(without, "tasker_worker_slots", { state: "free" })).toBe(50);
    expect(valueOf(found, "tasker_store_up")).toBe(1);
    expect(valueOf(found, "tasker_nodes")).toBe(0);
  });

  test("that hangs is waited for two seconds, and not asked twice meanwhile", async () => {
    const stats = vi.fn(() => new Promise<never>(() => undefined));
    const { read } = await measured([], {}, counting(stats));
    const since = performance.now();

    const all = await Promise.all([read(), read(), read()]);

    expect(performance.now() - since).toBeLessThan(4000);
    expect(all.map((samples) => valueOf(samples, "tasker_store_up"))).toEqual([0, 0, 0]);
    expect(stats).toHaveBeenCalledTimes(1);
  });

  test("that does not count is up, with nothing else said of it", async () => {
    const { read } = await measured([], {}, guard(least()));

    const samples = await read();

    expect(valueOf(samples, "tasker_store_up")).toBe(1);
    expect(valueOf(samples, "tasker_queue_depth")).toBe(null);
    expect(valueOf(samples, "tasker_nodes")).toBe(null);
  });

  test("is left to others with store: false", async () => {
    const store = memory();
    const stats = vi.fn(store.find.stats);
    const { read } = await measured([], { store: false }, counting(stats));

    const samples = await read();

    expect(stats).not.toHaveBeenCalled();
    expect(samples.filter(({ name }) => /queue_|nodes|store_up/.test(name))).toEqual([]);
  });
});

describe("labels", () => {
  test("are of jobs and queues, and never of runs", async () => {
    const { read } = await measured([aJob(() => 1)]);
    const names = ["job_name", "queue", "outcome", "reason", "state", "kind", "le"];

    for (let i = 0; i < 3; i++) await (await aTrigger()).result();

    const samples = await read();
    expect(samples.flatMap(({ labels }) => Object.keys(labels)).filter((name) => !names.includes(name))).toEqual([]);
    expect(samples.flatMap(({ labels }) => Object.values(labels)).filter((text) => text.includes("run_"))).toEqual([]);
  });

  test("are at most of a thousand queues: the rest is counted together, and nothing is lost", async () => {
    const { runtime, read } = await measured([]);
    const job = aJob(() => 1) as unknown as ReturnType<typeof allKinds>["good"];

    const items = Array.from({ length: 1500 }, (_, i) => ({ payload: i, options: { queue: `tenant-${i}` } }));
    await job.batchTrigger(items);

    const samples = await read();
    const of = (name: string) => samples.filter((sample) => sample.name === name);
    expect((await runtime.store.find.stats()).queues).toHaveLength(1500);
    expect(of("tasker_runs_enqueued_total")).toHaveLength(1000);
    expect(valueOf(samples, "tasker_runs_enqueued_total")).toBe(1500);
    expect(valueOf(samples, "tasker_queue_depth", { state: "ready" })).toBe(1500);
    expect(valueOf(samples, "tasker_queue_depth", { queue: "(others)", state: "ready" })).toBe(500);
  });
});

describe("a register", () => {
  test("of one's own has tasker's metrics beside others", async () => {
    const register = new Registry();
    new OwnCounter({ name: "mine_total", help: "Mine", registers: [register] }).inc();
    const { metered, read } = await measured([], { register });

    expect(metered.register).toBe(register);
    expect(valueOf(await read(), "mine_total")).toBe(1);
    expect(valueOf(await read(), "tasker_store_up")).toBe(1);
    expect(metered.contentType).toBe("text/plain; version=0.0.4; charset=utf-8");
  });

  test("takes one runtime's metrics, and another's once those were closed", async () => {
    const { runtime, metered, read } = await measured([]);
    const { register } = metered;

    expect(() => metrics(runtime, { register })).toThrow(
      expect.objectContaining({
        code: "INVALID_INPUT",
        message: expect.stringMatching(/"tasker_runs_enqueued_total"/),
      }),
    );
    expect(valueOf(await read(), "tasker_store_up")).toBe(1);

    metered.close();

    expect(await metered.text()).toBe("\n");
    expect(slot().counting.size).toBe(0);
    metrics(runtime, { register }).close();
  });

  test("for OpenMetrics gets names as that wants them", async () => {
    const register = new Registry();
    register.setContentType(Registry.OPENMETRICS_CONTENT_TYPE as never);
    const { metered } = await measured([aJob(() => 1)], { register });
    await (await aTrigger()).result();

    const first = await metered.text();
    const second = await metered.text();

    for (const text of [first, second]) {
      expect(text).toMatch(/^# TYPE tasker_runs_enqueued counter\ntasker_runs_enqueued_total\{.*\} 1$/m);
      expect(text).toMatch(/^tasker_run_wait_seconds_bucket\{.*le="\+Inf"\} 1$/m);
      expect(text).toMatch(/\n# EOF\n$/);
    }
  });

  test("has the process's own metrics, too, if they are asked for", async () => {
    const { read, metered } = await measured([], { process: true });

    expect(valueOf(await read(), "process_resident_memory_bytes")).toBeGreaterThan(1e6);
    metered.close();
    expect(await metered.text()).toBe("\n");
  });
});

test("a process that only triggers shows what it adds, and what the store says, wherever its triggers go", async () => {
  const store = memory();
  configure({ store });
  const job = allKinds().good;
  const [ofStore, ofProcess] = [metrics(store), metrics()];
  onTestFinished(() => [ofStore, ofProcess].forEach((each) => each.close()));
  await job.trigger(1, { idempotencyKey: "a" });
  await job.trigger(1, { idempotencyKey: "a" });
  await job.batchTrigger([{ payload: 1 }, { payload: 2 }]);

  for (const each of [ofStore, ofProcess]) {
    const { samples, types } = scraped(await each.text());
    expect(valueOf(samples, "tasker_runs_enqueued_total", { job_name: "good" })).toBe(3);
    expect(valueOf(samples, "tasker_runs_deduplicated_total", { kind: "same" })).toBe(1);
    expect(valueOf(samples, "tasker_queue_depth", { queue: "default", state: "ready" })).toBe(3);
    expect([...types.keys()].filter((name) => /worker|attempts|finished/.test(name))).toEqual([]);
  }
});

test.each([
  ["a text", "runtime"],
  ["an object", {}],
  ["null", null],
])("%s is no source of metrics", (_, source) => {
  expect(() => metrics(source as never)).toThrow(/^source ".*" is neither a runtime nor a store/);
});

test("an option that there is not is refused", () => {
  expect(() => metrics(memory(), { registry: new Registry() } as never)).toThrow(/"registry"/);
});

test.skipIf(!has("promtool"))("promtool finds nothing to say about them", async () => {
  const jobs = allKinds();
  const { runtime, metered } = await measured(Object.values(jobs), { process: true });
  await work(runtime, jobs);

  expect(await promtool(["check", "metrics"], await metered.text())).toEqual({ code: 0, said: "" });
});

function aTrigger() {
  return (aJob(() => 1) as unknown as ReturnType<typeof allKinds>["good"]).trigger(1);
}
