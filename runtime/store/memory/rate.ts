/** Figures over time. */
import { homeOf } from "../../../sdk/port/pin.ts";
import { merge } from "../../../sdk/port/histogram.ts";
import type { Bucket, RateStat, SeriesFilter } from "../../../sdk/port/target.ts";
import type { Tally } from "../port.ts";
import { hourMs, keptMs, minuteMs, windowFrom } from "../series.ts";
import type { Figures } from "./row.ts";
import { frozen, type State } from "./state.ts";

const fields = ["completed", "failed", "canceled", "retried", "waitMs", "runMs"] as const;

/** Counts what a node reports in its minute and hour. */
export function count(state: State, tallies: readonly Tally[]): void {
  for (const [table, partMs, keepMs] of [
    [state.minutes, minuteMs, keptMs.minutes],
    [state.hours, hourMs, keptMs.hours],
  ] as const) {
    const atMs = Math.floor(state.now() / partMs) * partMs;
    for (const [key, figures] of table) {
      if (figures.atMs >= atMs - keepMs) break;
      table.delete(key);
    }
    for (const tally of tallies) {
      const key = JSON.stringify([atMs, tally.queue, tally.job]);
      table.set(key, frozen({ atMs, tally: sum(table.get(key)?.tally, tally) }));
    }
  }
}

function sum(before: Tally | undefined, tally: Tally): Tally {
  if (!before) return tally;
  const [waits, runs] = [[...before.waits], [...before.runs]];
  merge(waits, tally.waits);
  merge(runs, tally.runs);
  const sums = fields.map((field) => [field, before[field] + tally[field]] as const);
  return { ...tally, ...Object.fromEntries(sums), waits, runs };
}

export function seriesOf(state: State, filter: SeriesFilter): readonly Bucket[] {
  const { from, to, stepMs, queue, job } = filter;
  const isWanted = ({ atMs, tally }: Figures): boolean =>
    atMs >= from.getTime() &&
    atMs < to.getTime() &&
    (queue?.includes(homeOf(tally.queue)) ?? true) &&
    (job?.includes(tally.job) ?? true);
  const table = stepMs % hourMs === 0 ? state.hours : state.minutes;
  const found = [...table.values()].filter(isWanted);
  return steps(
    filter,
    found.map(({ atMs, tally }) => ({ ...tally, at: new Date(atMs) })),
  );
}

export function ratesOf(state: State): readonly RateStat[] {
  const rates = new Map<string, Tally>();
  for (const { atMs, tally } of state.minutes.values()) {
    if (atMs < windowFrom(state.now())) continue;
    const name = JSON.stringify([tally.queue, tally.job]);
    rates.set(name, sum(rates.get(name), tally));
  }
  return [...rates.values()].map(({ waits: _, runs: __, ...rate }) => rate);
}

const counts = ["completed", "failed", "canceled", "retried"] as const;

/** Adds up figures by step, in order. */
function steps({ from, stepMs }: SeriesFilter, found: Iterable<Bucket>): readonly Bucket[] {
  const sums = new Map<number, { -readonly [K in keyof Bucket]: Bucket[K] } & Record<"waits" | "runs", number[]>>();
  for (const row of found) {
    const n = Math.floor((row.at.getTime() - from.getTime()) / stepMs);
    const at = new Date(from.getTime() + n * stepMs);
    const sum = sums.get(n) ?? { at, completed: 0, failed: 0, canceled: 0, retried: 0, waits: [], runs: [] };
    sums.set(n, sum);
    for (const count of counts) sum[count] += row[count];
    merge(sum.waits, row.waits);
    merge(sum.runs, row.runs);
  }
  return [...sums.entries()].sort(([a], [b]) => a - b).map(([, sum]) => sum);
}
