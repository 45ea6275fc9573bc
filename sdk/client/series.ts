/** Figures over time. */
import type { DurationText } from "../port/duration.ts";
import { invalid } from "../port/error.ts";
import { merge, percentile, type Histogram } from "../port/histogram.ts";
import { checkInstant, checkKeys, checkSpan, present } from "../port/option.ts";
import type { Bucket, Counts, SeriesFilter } from "../port/target.ts";
import type { Open } from "./config.ts";

/** Which figures, and in which steps. */
export interface SeriesQuery {
  readonly from: Date;
  /** Now by default. */
  readonly to?: Date | undefined;
  /** Whole minutes, `"5m"`, or whole hours, `"6h"`. Minutes are kept for a day, hours for 90 days. 2500 steps at most. */
  readonly step: DurationText;
  readonly queue?: string | readonly string[] | undefined;
  /** Ids of jobs. */
  readonly job?: string | readonly string[] | undefined;
}

/** What half, 95 % and 99 % of durations do not exceed, ms; at most 19 % off, for they are counted in classes. */
export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** What ended in a step. */
export interface Point extends Counts {
  /** When the step began. */
  readonly at: Date;
  /** Of those that completed or failed: from due to the start of the last attempt, and from there to its end. Null where there are none. */
  readonly wait: Percentiles | null;
  readonly run: Percentiles | null;
}

/** Figures by step, from the first to the last, also where nothing ended. Steps begin at multiples of their length, by UTC. */
export interface Series {
  readonly from: Date;
  readonly to: Date;
  readonly stepMs: number;
  readonly points: readonly Point[];
  /** Of all steps. */
  readonly total: Omit<Point, "at">;
}

const minuteMs = 60_000;
const hourMs = 3_600_000;
/** Minutes are kept for a day; an hour more is let pass, for a step may begin before it. */
const minutesKeptMs = 25 * hourMs;
const mostSteps = 2500;
const keys = new Set(["from", "to", "step", "queue", "job"]);

/** `stats.series`, bound to a given target.
 *  @throws {InvalidInput} {NotSupported} */
export function seriesOf(open: Open): (query: SeriesQuery) => Promise<Series> {
  return async (query) => {
    const filter = filterOf(query);
    const found = await (await open()).find.series(filter);
    return toSeries(filter, found);
  };
}

/** @throws {InvalidInput} */
function filterOf(query: SeriesQuery): SeriesFilter {
  checkKeys("a query of figures", query, keys);
  const { step, queue, job } = query;
  const nowMs = Date.now();
  const stepMs = checkSpan("step", step);
  if (stepMs % minuteMs !== 0) throw invalid("step", `step "${step}" is not whole minutes; write it like "5m" or "1h"`);
  const fromMs = Math.floor(checkInstant("from", query.from).getTime() / stepMs) * stepMs;
  const endMs = query.to === undefined ? nowMs : checkInstant("to", query.to).getTime();
  const toMs = Math.ceil(endMs / stepMs) * stepMs;
  if (toMs <= fromMs) throw invalid("to", "to is not after from");
  const count = (toMs - fromMs) / stepMs;
  if (count > mostSteps)
    throw invalid("step", `step "${step}" makes ${count} steps of that time; ${mostSteps} at most: give a longer one`);
  if (stepMs % hourMs !== 0 && fromMs < nowMs - minutesKeptMs)
    throw invalid(
      "step",
      `step "${step}" is made of minutes, which are kept for a day; give whole hours, or a later from`,
    );
  return { from: new Date(fromMs), to: new Date(toMs), stepMs, ...present({ queue: listOf(queue), job: listOf(job) }) };
}

function listOf(value: string | readonly string[] | undefined): readonly string[] | undefined {
  return typeof value === "string" ? [value] : value;
}

function toSeries({ from, to, stepMs }: SeriesFilter, found: readonly Bucket[]): Series {
  const known = new Map(found.map((bucket) => [bucket.at.getTime(), bucket]));
  const count = (to.getTime() - from.getTime()) / stepMs;
  const points = Array.from({ length: count }, (_, n): Point => {
    const at = new Date(from.getTime() + n * stepMs);
    return { at, ...figuresOf(known.get(at.getTime()) ?? none) };
  });
  const [waits, runs]: [number[], number[]] = [[], []];
  for (const bucket of found) {
    merge(waits, bucket.waits);
    merge(runs, bucket.runs);
  }
  const sum = (of: keyof Counts): number => found.reduce((total, bucket) => total + bucket[of], 0);
  const counts = {
    completed: sum("completed"),
    failed: sum("failed"),
    canceled: sum("canceled"),
    retried: sum("retried"),
  };
  return { from, to, stepMs, points, total: figuresOf({ ...counts, waits, runs }) };
}

const none = { completed: 0, failed: 0, canceled: 0, retried: 0, waits: [], runs: [] };

function figuresOf({ completed, failed, canceled, retried, waits, runs }: Omit<Bucket, "at">): Omit<Point, "at"> {
  return { completed, failed, canceled, retried, wait: percentilesOf(waits), run: percentilesOf(runs) };
}

function percentilesOf(histogram: Histogram): Percentiles | null {
  const [p50, p95, p99] = [0.5, 0.95, 0.99].map((share) => percentile(histogram, share));
  return p50 == null || p95 == null || p99 == null ? null : { p50: tenth(p50), p95: tenth(p95), p99: tenth(p99) };
}

function tenth(ms: number): number {
  return Math.round(ms * 10) / 10;
}
