/** How much waits and runs, and who works. */
import type { Histogram } from "./histogram.ts";

export interface QueueStat {
  readonly queue: string;
  readonly job: string;
  readonly priority: number;
  /** Due and waiting, due later, and held by nodes; each capped at 10,000 a lane. */
  readonly ready: number;
  readonly delayed: number;
  readonly leased: number;
  /** Since when the oldest of those that are due waits for a node; null where none is. A retry waits from its own instant on. */
  readonly readyAt: Date | null;
}
/** How many runs ended, and how many attempts are followed by another. */
export interface Counts {
  readonly completed: number;
  readonly failed: number;
  readonly canceled: number;
  readonly retried: number;
}
/** What ended in a part of time, added up from what nodes report; `at`: its beginning. The histograms are of `completed + failed`: from due to start,
 *  and from start to end. */
export interface Bucket extends Counts {
  readonly at: Date;
  readonly waits: Histogram;
  readonly runs: Histogram;
}
/** Which buckets: `stepMs` long, whole minutes, from `from` on, before `to`. Minutes are kept for a day, hours for 90. Steps that are not whole hours
 *  are made of minutes, others of hours that begin with one. */
export interface SeriesFilter {
  readonly from: Date;
  readonly to: Date;
  readonly stepMs: number;
  readonly queue?: readonly string[] | undefined;
  readonly job?: readonly string[] | undefined;
}
/** What ended in the last minutes, by job and queue, added up from what nodes report. */
export interface RateStat extends Counts {
  readonly queue: string;
  readonly job: string;
  /** Sums over `completed + failed`: from due to start, and from start to end. */
  readonly waitMs: number;
  readonly runMs: number;
}
export interface NodeStat {
  readonly id: number;
  readonly name: string;
  readonly startedAt: Date;
  readonly seenAt: Date;
  /** Its lease stands. */
  readonly alive: boolean;
  readonly draining: boolean;
  /** With `poll: "silent"`: it has nothing to do and does not beat until something falls due or it is woken, so nobody knows whether it still
   *  lives; its lease lasts longer meanwhile. */
  readonly asleep: boolean;
  readonly slots: number;
  readonly busy: number;
  readonly heap: number;
  readonly jobs: readonly string[];
}
/** A node, as it matters to a run. What it has leased counts up to some thousand runs. */
export interface NodeFact extends Pick<NodeStat, "name" | "alive" | "draining" | "asleep" | "slots" | "seenAt"> {
  /** That of its code. */
  readonly version: string;
  readonly leaseUntil: Date;
  /** It has the run's job, in the version that the run is pinned to, if it is. */
  readonly serves: boolean;
  /** It has the run, under a lease that may have ended. */
  readonly holds: boolean;
  /** How many runs of the run's queue it runs at once; null: as many as it has slots. */
  readonly limit: number | null;
  /** How many due runs it has leased, of all queues and of the run's; and how many of them have crashed before. 0 for a node that does not serve. */
  readonly leased: number;
  readonly ofQueue: number;
  readonly crashed: number;
  /** Some of these runs: those of the run's queue first, then the oldest. */
  readonly runs: readonly number[];
}
export interface QueueRecord {
  readonly name: string;
  readonly paused: boolean;
}
export interface Stats {
  /** The store's clock. */
  readonly at: Date;
  /** By name. */
  readonly queues: readonly QueueRecord[];
  readonly lanes: readonly QueueStat[];
  readonly rates: readonly RateStat[];
  /** Length of the window of `rates`: five minutes, and the part of a minute before them. */
  readonly windowMs: number;
  readonly nodes: readonly NodeStat[];
}
