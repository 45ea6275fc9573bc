import { describe, expect, test } from "vitest";
import type { RunEvent } from "../../sdk/port/event.ts";
import { formatId } from "../../sdk/port/id.ts";
import { addOne, aNode, aRun, lease } from "../kit/build.ts";
import { statsOf } from "../../sdk/client/runs.ts";
import { aBench, aJob, deferred, turns } from "./kit.ts";

describe("events", () => {
  test("tell the way of a run, and an end only once the store has recorded it", async () => {
    const seen: string[] = [];
    const recorded: string[] = [];
    const bench = await aBench({
      jobs: [
        aJob((_payload, ctx) => {
          ctx.progress(50);
          if (ctx.attempt === 1) throw new Error("once");
        }),
      ],
    });
    bench.runtime.events.on(
      { types: ["run.completed"] },
      () => void bench.get(1).then(({ status }) => recorded.push(status)),
    );
    bench.runtime.events.on({}, (event) => seen.push(event.type));

    await bench.runtime.store.add([aRun()]);
    await turns();
    await bench.pass(1000);

    expect(seen).toEqual([
      "run.scheduled",
      "run.started",
      "run.progress",
      "run.retrying",
      "run.started",
      "run.progress",
      "run.completed",
    ]);
    expect(recorded).toEqual(["completed"]);
  });

  test("carry what a reader needs", async () => {
    const seen: RunEvent[] = [];
    const bench = await aBench({
      jobs: [aJob(() => Promise.reject(new Error("boom")), { retry: { attempts: 2, delay: "1s", jitter: false } })],
    });
    bench.runtime.events.on(
      { types: ["run.retrying", "run.failed"] },
      (event) => void ("tags" in event && seen.push(event)),
    );

    await bench.add({ tags: ["user:7"] });
    await bench.pass(1000);

    const about = { run: "run_1", job: "job", queue: "default", tags: ["user:7"], error: { message: "boom" } };
    expect(seen).toMatchObject([
      { ...about, type: "run.retrying", attempt: 1, retryInMs: 1000 },
      { ...about, type: "run.failed", attempt: 2, reason: "error" },
    ]);
  });

  test("tell of a cancel", async () => {
    const seen: string[] = [];
    const bench = await aBench({ jobs: [aJob(() => new Promise(() => undefined))] });
    const id = await bench.add();
    bench.runtime.events.on({}, (event) => seen.push(event.type));

    await bench.store.desk.cancel([id]);
    await turns();

    expect(seen).toEqual(["run.canceled"]);
  });

  test("tell of what applications do in this process, through the runtime's store or the one that it was given", async () => {
    const seen: unknown[] = [];
    const bench = await aBench({ jobs: [aJob(() => null)] });
    bench.runtime.events.on({}, ({ type, at }) => seen.push([type, at.getTime()]));
    const now = bench.clock.nowMs();

    const [id] = [await bench.add({ job: "elsewhere" })];
    await bench.runtime.store.desk.cancel([id]);
    await turns();
    await bench.store.desk.pause("mail", true);

    expect(seen).toEqual([
      ["run.scheduled", now],
      ["run.canceled", now],
      ["queue.paused", now],
    ]);
  });

  test("tell what a sweep did to the runs of a dead node, and to those that expired", async () => {
    const seen: unknown[] = [];
    const bench = await aBench({ jobs: [aJob(() => null, { id: "other" })], crashes: 1 });
    bench.runtime.events.on(
      {},
      (event) => "run" in event && seen.push([event.type, event.run, "reason" in event && event.reason]),
    );
    const ids = [await addOne(bench.store), await addOne(bench.store), await addOne(bench.store)];
    const node = await bench.store.nodes.join(aNode(), 1000);
    const leases = await lease(bench.store, node, { ttlMs: 1000, limit: 2 });
    await bench.store.runs.hold(
      node,
      leases.map(({ id, token }, i) => ({ id, token, startedMs: i === 0 ? null : bench.clock.nowMs() })),
    );
    const late = await addOne(bench.store, { ttlMs: 1000 });
    await turns();
    seen.length = 0;

    await bench.pass(30_000);

    expect(seen.toSorted()).toEqual(
      [
        ["run.failed", formatId(late), "expired"],
        ["run.failed", formatId(ids[1]!), "crashed"],
        ["run.retrying", formatId(ids[0]!), "crashed"],
      ].toSorted(),
    );
  });

  test("tell of a schedule's tick and of the run that it made", async () => {
    const seen: unknown[] = [];
    const job = aJob(() => null, { schedule: { every: "1m" } });
    const bench = await aBench({ jobs: [job] });
    bench.runtime.events.on({ types: ["run.scheduled", "schedule.ticked"] }, (event) => seen.push(event));

    await bench.pass(60_000);

    const about = { job: "job", run: "run_1" };
    expect(seen).toMatchObject([
      { type: "schedule.ticked", schedule: "job", ...about },
      { type: "run.scheduled", queue: "default", tags: [], attempt: 0, ...about },
    ]);
  });
});

describe("the log", () => {
  test("has a line for each step of a run, with what it took", async () => {
    const bench = await aBench({
      jobs: [
        aJob((_payload, ctx) => {
          if (ctx.attempt === 1) throw new Error("boom");
        }),
      ],
    });
    bench.lines.length = 0;

    await bench.add();
    await bench.pass(1000);

    expect(bench.lines).toMatchObject([
      { level: "debug", message: "Run started", fields: { run: "run_1", job: "job", attempt: 1 } },
      {
        level: "warn",
        message: "Run failed, retrying in 1s",
        fields: { err: { type: "Error", message: "boom", stack: expect.stringContaining("Error: boom\n") as string } },
      },
      { level: "debug", message: "Run started", fields: { attempt: 2 } },
      { level: "info", message: "Run completed", fields: { run: "run_1", attempt: 2, duration: "0ms" } },
    ]);
  });
});

describe("rates", () => {
  test("are reported with the beat", async () => {
    const bench = await aBench({
      jobs: [
        aJob((payload) => (payload === null ? undefined : Promise.reject(new Error("no"))), { retry: { attempts: 1 } }),
      ],
    });
    await bench.add({ input: { json: "null", meta: null } });
    await bench.add();

    await bench.pass(6000);

    expect((await bench.store.find.stats()).rates).toMatchObject([
      { queue: "default", job: "job", completed: 1, failed: 1 },
    ]);
  });

  test("over time have how long runs waited and ran, of all that ended", async () => {
    const end = deferred();
    let first = true;
    const bench = await aBench({ jobs: [aJob(() => (first ? ((first = false), end.promise) : null))], slots: 1 });
    for (let i = 0; i < 10; i++) await bench.add();
    await bench.pass(4000);
    end.resolve();
    await turns();
    await bench.pass(6000);

    const from = new Date(bench.clock.nowMs() - 60_000);
    const { total } = await statsOf(async () => bench.store).series({ from, to: bench.clock.now(), step: "1m" });

    expect(total).toMatchObject({ completed: 10, failed: 0 });
    expect(total.run!.p50).toBeLessThanOrEqual(1);
    expect(total.run!.p99).toBeGreaterThan(3300);
    expect(total.run!.p99).toBeLessThan(4800);
    expect(total.wait!.p50).toBeGreaterThan(3300);
    expect(total.wait!.p50).toBeLessThan(4800);
  });
});
