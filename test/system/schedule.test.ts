/** What schedules promise when processes die and clocks are wrong: with real processes, on a real database. */
import { setTimeout as pause } from "node:timers/promises";
import { beforeEach, expect, test } from "vitest";
import type { Guarded } from "../../runtime/store/port.ts";
import type { RunRecord } from "../../sdk/port/target.ts";
import { until } from "../kit/until.ts";
import { startWorker, type Entry, type Worker } from "../kit/worker.ts";
import { allEnded, everything, freshStore } from "./kit.ts";

/** For a long run: SOAK_PROCESSES=8 SOAK_SECONDS=1800. */
const processes = Number(process.env["SOAK_PROCESSES"] ?? 4);
const seconds = Number(process.env["SOAK_SECONDS"] ?? 10);
const schedules = 50;

let url: string;
let store: Guarded;
beforeEach(async () => {
  ({ url, store } = await freshStore());
});

/** So many schedules that tick every second. */
async function perSecond(count: number): Promise<void> {
  const rule = { everyMs: 1000, overlap: "allow", catchUp: { max: 0, withinMs: 0 } } as const;
  const base = { job: "tick", queue: null, priority: null, tags: [], rule, input: { json: "null", meta: null } };
  const made = await store.schedules.put(Array.from({ length: count }, (_, i) => ({ ...base, key: `s${i}` })));
  expect(made.filter((one) => one instanceof Error)).toEqual([]);
}

/** No more ticks, and all runs have ended: the runs. */
async function finished(): Promise<readonly RunRecord[]> {
  const { items } = await store.schedules.list({}, { limit: 200 });
  await Promise.all(items.map((name) => store.schedules.pause(name, true)));
  await allEnded(store);
  return everything(store);
}

/** Ticks of each schedule, in order. */
function ticksOf(runs: readonly RunRecord[]): ReadonlyMap<string, readonly number[]> {
  const all = new Map<string, number[]>();
  for (const { options } of runs) {
    const { key, tick } = options!.schedule!;
    all.set(key, [...(all.get(key) ?? []), tick]);
  }
  for (const ticks of all.values()) ticks.sort((a, b) => a - b);
  return all;
}

/** Each schedule has every second from its first to its last tick, once. */
function expectEachOnce(runs: readonly RunRecord[], count: number, least: number): void {
  const all = ticksOf(runs);
  expect(all.size).toBe(count);
  for (const [key, ticks] of all) {
    const whole = Array.from({ length: ticks.length }, (_, i) => ticks[0]! + i * 1000);
    expect({ key, ticks }).toEqual({ key, ticks: whole });
    expect(ticks.length).toBeGreaterThanOrEqual(least);
  }
}

function quantile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) * share)]!;
}

const startsOf = (workers: readonly Worker[]): readonly Entry[] => workers.flatMap((worker) => worker.ledger());

test(
  `${schedules} schedules that tick every second, ${processes} processes, kills: no tick is doubled, none lost`,
  { timeout: (seconds + 120) * 1000 },
  async () => {
    const start = (): Promise<Worker> => startWorker(url, [], { jobs: "ticks" });
    const workers = await Promise.all(Array.from({ length: processes }, start));
    const all = [...workers];
    await perSecond(schedules);

    const end = performance.now() + seconds * 1000;
    for (let kills = 0; performance.now() < end; kills++) {
      await pause(700 + ((kills * 1103) % 1300)); // kills fall all over the second
      const victim = workers.shift()!;
      victim.kill("SIGKILL");
      await victim.exited;
      const next = await start();
      workers.push(next);
      all.push(next);
    }
    const runs = await finished();

    expectEachOnce(runs, schedules, seconds - 2);
    expect(runs.filter(({ status }) => status !== "completed")).toEqual([]);
    const late = startsOf(all)
      .filter(({ token }) => token === 1) // a run whose process was killed starts again later
      .map(({ at, tick }) => at - tick!);
    expect(Math.min(...late)).toBeGreaterThanOrEqual(0);
    const [p50, p99] = [quantile(late, 0.5), quantile(late, 0.99)].map((ms) => `${ms.toFixed(1)} ms`);
    console.info(`${runs.length} runs, ${all.length - processes} kills, lateness p50 ${p50}, p99 ${p99}`);
  },
);

test("processes whose clocks are hours off, and one whose clock jumps: no tick is early, doubled or lost", async () => {
  const hour = 3_600_000;
  const workers = await Promise.all([
    startWorker(url, [], { jobs: "ticks", skewMs: -hour }),
    startWorker(url, [], { jobs: "ticks", skewMs: hour }),
    startWorker(url, [], { jobs: "ticks", skewMs: 24 * hour }),
    startWorker(url, [], { jobs: "ticks", skewMs: 0, stepsMs: [0, 2 * hour, -2 * hour] }),
  ]);
  await perSecond(10);

  await until(() => startsOf(workers).length >= 80, { what: "eight seconds of ticks", timeoutMs: 30_000 });
  const runs = await finished();

  expectEachOnce(runs, 10, 7);
  const starts = startsOf(workers);
  expect(Math.min(...starts.map(({ at, tick }) => at - tick!))).toBeGreaterThanOrEqual(0);
  expect(new Set(starts.map(({ pid }) => pid)).size).toBeGreaterThan(1); // else one clock made them all
});
