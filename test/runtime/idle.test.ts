import { expect, test, vi } from "vitest";
import type { Guarded } from "../../runtime/store/port.ts";
import { addOne, aNode, aRule, aRun, aState, putOne } from "../kit/build.ts";
import { aBench, aJob, deferred, turns, withRuns, type Bench } from "./kit.ts";

const minute = 60_000;
/** After this a silent node has swept, pruned, and fallen asleep for sure. */
const settledMs = 40_000;

/** The store, with each call of the runtime noted by name. */
function counted(store: Guarded, calls: string[]): Guarded {
  const noted = <P extends object>(port: P): P =>
    new Proxy(port, {
      get(target, name) {
        const method = Reflect.get(target, name) as unknown;
        if (typeof method !== "function" || name === "listen") return method;
        return (...args: unknown[]) => (calls.push(String(name)), Reflect.apply(method, target, args) as unknown);
      },
    });
  const { runs, nodes, ticks, find, desk, schedules } = store;
  return {
    ...store,
    ...{ runs: noted(runs), nodes: noted(nodes), ticks: noted(ticks), find: noted(find) },
    ...{ desk: noted(desk), schedules: noted(schedules) },
    add: (...args) => (calls.push("add"), store.add(...args)),
  };
}

type Options = Parameters<typeof aBench>[0];

async function aQuiet(options: Options, deaf = false): Promise<Bench & { readonly calls: string[] }> {
  const calls: string[] = [];
  const bench = await aBench(options, (store) => {
    const heard = deaf ? withRuns(store, () => ({ listen: async () => async () => undefined })) : store;
    return counted(heard, calls);
  });
  return { ...bench, calls };
}

/** A silent runtime that sleeps, with job `job`. `ran` has the instants of its runs. */
async function aSleeper(options: Partial<Options> = {}) {
  const ran: number[] = [];
  const job = aJob(() => void ran.push(bench.clock.nowMs()));
  const bench = await aQuiet({ jobs: [job], poll: "silent", ...options });
  await bench.pass(settledMs);
  bench.calls.length = 0;
  return { ...bench, ran };
}

const limited = { a: { concurrency: 1 }, b: { concurrency: 1 } };

test.each([
  ["by default", 60, {}],
  ["with queues that have limits", 60, { queues: limited }],
  ["with a long poll", 20, { poll: "3s" }],
  ["with a short poll", 300, { poll: "200ms" }],
] as const)("an idle node asks once a poll at most, %s", async (_, polls, options) => {
  const bench = await aQuiet({ jobs: [aJob(vi.fn())], ...options });
  await bench.pass(settledMs);
  bench.calls.length = 0;

  for (let i = 0; i < 600; i++) await bench.pass(100);

  expect(bench.calls.length).toBeLessThanOrEqual(polls);
  expect(bench.calls.length).toBeGreaterThanOrEqual(polls * 0.9); // it is not asleep
});

test("an idle node does not sweep, until a beat says that there is something", async () => {
  const bench = await aQuiet({ jobs: [aJob(vi.fn())] });
  await bench.pass(minute);
  const before = bench.calls.filter((call) => call === "sweep").length;
  const id = await bench.add({ job: "other", ttlMs: 1000 });

  await bench.pass(8000);

  expect(before).toBe(2); // what others left behind, and for the first pruning
  expect(bench.calls.filter((call) => call === "sweep")).toHaveLength(3);
  expect(await bench.get(id)).toMatchObject({ status: "failed", reason: "expired" });
});

test.each([{}, { queues: limited }, { poll: "3s" }] as const)(
  "a run that nobody told of starts within a poll, with %j",
  async (options) => {
    const ran: number[] = [];
    const bench = await aQuiet({ jobs: [aJob(() => void ran.push(bench.clock.nowMs()))], ...options }, true);
    await bench.pass(settledMs);

    for (let i = 0; i < 10; i++) {
      await bench.add();
      const added = bench.clock.nowMs();
      await bench.pass("poll" in options ? 3000 : 1000);
      expect(ran).toHaveLength(i + 1);
      expect(ran.at(-1)! - added).toBeLessThanOrEqual(3000);
    }
  },
);

test("a run that nobody told of starts at its instant, though a beat took the place of polls", async () => {
  const ran: number[] = [];
  const bench = await aQuiet({ jobs: [aJob(() => void ran.push(bench.clock.nowMs()))], poll: "3s" }, true);
  await bench.pass(settledMs);
  const dueMs = bench.clock.nowMs() + 20_123;
  await bench.add({ dueAt: new Date(dueMs) });

  await bench.pass(25_000);

  expect(ran).toEqual([dueMs]);
});

test("a silent node that is alone asks for nothing", async () => {
  const { calls, pass } = await aSleeper();

  await pass(50 * minute);

  expect(calls).toEqual([]);
});

test("a silent node looks after the store once an hour", async () => {
  const { calls, pass } = await aSleeper();

  await pass(60 * minute);
  const woken = calls.splice(0);
  await pass(50 * minute);

  expect(woken).toContain("sweep");
  expect(woken.length).toBeLessThan(20);
  expect(calls).toEqual([]);
});

test("a silent node wakes for a run that was there before it slept, and it starts at its instant", async () => {
  const ran: number[] = [];
  const bench = await aQuiet({ jobs: [aJob(() => void ran.push(bench.clock.nowMs()))], poll: "silent" });
  const dueMs = bench.clock.nowMs() + 10 * minute;
  await bench.add({ dueAt: new Date(dueMs) });
  await bench.pass(settledMs);
  bench.calls.length = 0;

  await bench.pass(9 * minute);
  const asleep = bench.calls.splice(0);
  await bench.pass(minute);

  expect(asleep).toEqual([]);
  expect(ran).toEqual([dueMs]);
  expect(bench.calls.indexOf("beat")).toBe(0); // before it claims
});

test("a silent node wakes for a run that another process adds, and sleeps again", async () => {
  const { calls, ran, add, clock, pass } = await aSleeper();
  const addedMs = clock.nowMs();

  await add();
  const woken = calls.splice(0);
  await pass(settledMs);
  calls.length = 0;
  await pass(30 * minute);

  expect(ran).toEqual([addedMs]);
  expect(woken.indexOf("beat")).toBe(0);
  expect(calls).toEqual([]);
});

test("a silent node wakes for a run that is triggered in its own process", async () => {
  const { ran, runtime, clock } = await aSleeper();
  const nowMs = clock.nowMs();

  await runtime.store.add([aRun()]);
  await turns();

  expect(ran).toEqual([nowMs]);
});

test("a silent node hears of a run that is due much later, and starts it at its instant", async () => {
  const { calls, ran, add, clock, pass } = await aSleeper();
  const dueMs = clock.nowMs() + 20 * minute;

  await add({ delayMs: 20 * minute });
  await pass(settledMs);
  calls.length = 0;
  await pass(18 * minute);
  const asleep = calls.splice(0);
  await pass(2 * minute);

  expect(asleep).toEqual([]);
  expect(ran).toEqual([dueMs]);
});

test("a silent node wakes for its schedules, and starts each run on the dot", async () => {
  const ran: number[] = [];
  const job = aJob(() => void ran.push(bench.clock.nowMs()), { schedule: { cron: "*/10 * * * *" } });
  const bench = await aQuiet({ jobs: [job], poll: "silent" });
  const startMs = bench.clock.nowMs();

  await bench.pass(minute);
  bench.calls.length = 0;
  await bench.pass(8 * minute);
  const asleep = bench.calls.splice(0);
  await bench.pass(22 * minute);

  expect(asleep).toEqual([]);
  expect(ran).toEqual([10, 20, 30].map((minutes) => startMs + minutes * minute));
});

test("a silent node wakes for a schedule that is made meanwhile", async () => {
  const { ran, store, clock, pass } = await aSleeper();
  await putOne(store, { rule: aRule({ everyMs: 15 * minute }) });

  await pass(40 * minute);

  expect(ran.length).toBeGreaterThanOrEqual(2);
  expect(ran[1]! - ran[0]!).toBe(15 * minute);
  expect(ran[0]! % (15 * minute)).toBe(0);
  expect(clock.nowMs()).toBeGreaterThan(ran[1]!);
});

test("a silent node wakes when a run expires that nobody can run", async () => {
  const { calls, add, get, pass } = await aSleeper();
  const id = await add({ job: "other", ttlMs: 10 * minute });
  await pass(settledMs);
  calls.length = 0;

  await pass(9 * minute);
  const asleep = calls.splice(0);
  await pass(minute);

  expect(asleep).toEqual([]);
  expect(await get(id)).toMatchObject({ status: "failed", reason: "expired" });
});

test("a silent node does not sleep beside another one, nor before what that left is taken back", async () => {
  const { calls, ran, store, add, pass } = await aSleeper();
  const other = await store.nodes.join(aNode(), 15_000);
  await store.nodes.beat(other, 15_000, aState({ jobs: [] }), []);
  const id = await add({ queue: "q" });
  await pass(5000);

  const beats = calls.filter((call) => call === "beat").length;
  calls.length = 0;
  await pass(10_000);
  const beside = calls.splice(0);
  await pass(minute);
  calls.length = 0;
  await pass(30 * minute);

  expect(beats).toBeGreaterThan(0);
  expect(ran).toHaveLength(1);
  expect(id).toBeGreaterThan(0);
  expect(beside.length).toBeGreaterThanOrEqual(8);
  expect(calls).toEqual([]); // its lease has ended
});

test("what a node claimed before it died starts once its lease ends, though the other one is silent and alone", async () => {
  const { ran, store, add, clock, pass } = await aSleeper();
  const dead = await store.nodes.join(aNode(), 15_000);
  await store.nodes.beat(dead, 15_000, aState(), []);
  await store.desk.pause("q", true);
  await add({ queue: "q" });
  const { leases } = await store.runs.lease({
    ...{
      node: dead,
      jobs: ["job"],
      queues: { not: [] },
      limit: 1,
      aheadMs: 0,
      ttlMs: 15 * minute,
      order: "oldest",
      poll: true,
    },
  });
  await store.desk.pause("q", false);
  const { leases: taken } = await store.runs.lease({
    ...{
      node: dead,
      jobs: ["job"],
      queues: { not: [] },
      limit: 1,
      aheadMs: 0,
      ttlMs: 15 * minute,
      order: "oldest",
      poll: true,
    },
  });
  const endMs = clock.nowMs() + 15 * minute;
  await store.nodes.leave(dead);

  await pass(20 * minute);

  expect([leases.length, taken.length]).toEqual([0, 1]);
  expect(ran).toHaveLength(1);
  expect(ran[0]! - endMs).toBeLessThanOrEqual(5000);
});

test("a run that nobody told of, for it was being added while the node fell asleep, starts at its instant", async () => {
  const ran: number[] = [];
  let dueMs = 0;
  const bench = await aBench({ jobs: [aJob(() => void ran.push(bench.clock.nowMs()))], poll: "silent" }, (store) => ({
    ...withRuns(store, () => ({ listen: async () => async () => undefined })),
    nodes: {
      ...store.nodes,
      async beat(...args) {
        const answer = await store.nodes.beat(...args);
        if (args[1] < 30 * minute || dueMs > 0) return answer; // it is to sleep for long
        dueMs = answer.nowMs + 10 * minute;
        await addOne(store, { dueAt: new Date(dueMs) });
        return answer;
      },
    },
  }));

  await bench.pass(12 * minute);

  expect(ran).toEqual([dueMs]);
});

test("a run that is triggered in the process as it falls asleep wakes it, and is held like any other", async () => {
  const [landing, end] = [deferred(), deferred()];
  const slept: boolean[] = [];
  const jobs = [aJob(() => end.promise), aJob(() => undefined, { id: "first" })];
  const bench = await aBench({ jobs, poll: "silent" }, (store) => ({
    ...withRuns(store, (runs) => ({
      add: async (...args) => {
        const answers = await runs.add(...args);
        await landing.promise;
        return answers;
      },
    })),
    nodes: { ...store.nodes, beat: (...args) => (slept.push(args[2].asleep ?? false), store.nodes.beat(...args)) },
  }));
  await bench.add({ job: "first" }); // which wakes it, should it be asleep by now
  const adding = bench.runtime.store.add([aRun()]);
  await bench.pass(6000);
  const before = slept.at(-1);

  landing.resolve();
  const [added] = await adding;
  await turns();
  const after = slept.at(-1);
  await bench.pass(10 * minute);

  expect([before, after]).toEqual([true, false]);
  expect(await bench.get((added as { id: number }).id)).toMatchObject({ status: "running", crashes: 0 });
  end.resolve();
});

test("a silent node that holds a run beats on", async () => {
  const end = deferred();
  const bench = await aQuiet({ jobs: [aJob(() => end.promise)], poll: "silent" });
  await bench.pass(settledMs);
  const id = await bench.add();

  await bench.pass(10 * minute);
  const during = await bench.get(id);
  bench.calls.length = 0;
  await bench.pass(minute);
  end.resolve();

  expect(during).toMatchObject({ status: "running", crashes: 0 });
  expect(bench.calls.filter((call) => call === "beat").length).toBeGreaterThanOrEqual(10);
});

test("a silent node whose store does not wake it polls as others do", async () => {
  const calls: string[] = [];
  const bench = await aBench({ jobs: [aJob(vi.fn())], poll: "silent" }, (store) =>
    counted(
      withRuns(store, () => ({ listen: () => Promise.reject(new Error("deaf")) })),
      calls,
    ),
  );
  await bench.pass(settledMs);
  calls.length = 0;

  await bench.pass(minute);

  expect(calls.length).toBeGreaterThanOrEqual(50);
});

test("a silent node that can't reach the store as it falls asleep, or wakes, goes on once it can", async () => {
  let away = false;
  const ran: number[] = [];
  const bench = await aBench({ jobs: [aJob(() => void ran.push(bench.clock.nowMs()))], poll: "silent" }, (store) => ({
    ...store,
    nodes: {
      ...store.nodes,
      beat: (...args) => (away ? Promise.reject(new Error("away")) : store.nodes.beat(...args)),
    },
  }));
  await bench.pass(settledMs);

  away = true;
  await bench.add();
  await bench.pass(minute);
  const before = ran.length;
  away = false;
  await bench.pass(10_000);

  expect(before).toBe(0);
  expect(ran).toHaveLength(1);
});

test("a runtime that sleeps can be stopped, and is gone", async () => {
  const { runtime, store, stop } = await aSleeper();

  await stop();

  expect(runtime.state).toBe("stopped");
  expect((await store.find.stats()).nodes.filter(({ alive }) => alive)).toEqual([]);
});
