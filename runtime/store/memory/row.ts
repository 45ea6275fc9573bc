/** Rows of the memory store. Their instants are epoch ms. */
import type { Final, Reason } from "../../../sdk/port/status.ts";
import type { NewSchedule, NodeStat, RunRecord, ScheduleRecord } from "../../../sdk/port/target.ts";
import type { Settled } from "../port.ts";

/** How a run ended. */
export type Ending = Pick<RunRecord, "reason" | "result" | "error" | "note"> & { readonly status: Final };

type Same =
  | ("id" | "job" | "key" | "replayOf" | "queue" | "priority" | "tags" | "input" | "options")
  | ("attempt" | "crashes" | "token" | "progress");

/** A run, live or ended. Changed by `patch` alone. */
export interface Row extends Pick<RunRecord, Same> {
  readonly createdMs: number;
  readonly dueMs: number;
  /** When it became, or will become, claimable: what a lane is ordered by. */
  readonly readyMs: number;
  /** Null without a ttl, and once the run has started. */
  readonly expiresMs: number | null;
  readonly node: number | null;
  /** End of the row's own lease; null while nobody has one. */
  readonly leaseUntil: number | null;
  /** True: it lives by the lease of its node instead. */
  readonly held: boolean;
  /** Start of the latest attempt, where it was told. */
  readonly startedMs: number | null;
  /** Why a cancel waits for the node that has the run. */
  readonly ask: Reason | null;
  /** An act waits for the node to give the run back. */
  readonly back: boolean;
  /** What the latest settled token was answered. */
  readonly answered: { readonly token: number; readonly answer: Settled } | null;
  readonly end: (Ending & { readonly finishedMs: number }) | null;
}

/** A claim of a run on its key, replaced at each change. Whether it still stands is read from the run. */
export interface KeyRow {
  readonly run: number;
  readonly keepMs: number;
  /** A completed run that was pruned before that holds its key till then. */
  readonly untilMs: number;
  readonly hash: string;
}
/** `jobsMs`: since when it has had just these jobs. */
export type NodeRow = Omit<NodeStat, "alive"> & {
  readonly leaseUntil: number;
  readonly jobsMs: number;
};
/** A schedule, replaced at each change. */
export interface ScheduleRow extends NewSchedule, Pick<ScheduleRecord, "declared" | "paused" | "fresh" | "count"> {
  readonly rev: number;
  /** Code took it out: nobody sees it, until code brings it back. */
  readonly removed: boolean;
  /** Null while it is paused or removed, and after its end. */
  readonly nextMs: number | null;
  readonly lastMs: number | null;
  readonly lastRun: number | null;
  /** Runs that may be live. */
  readonly live: readonly number[];
  readonly createdMs: number;
  readonly updatedMs: number;
}
