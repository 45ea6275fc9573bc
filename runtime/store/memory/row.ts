/** Rows of the memory store. Their instants are epoch ms. */
import type { Final, Reason } from "../../../sdk/port/status.ts";
import type { NewSchedule, NodeStat, RunRecord, ScheduleRecord } from "../../../sdk/port/target.ts";
import type { Outcome, Settled, Tally } from "../port.ts";

/** How a run ended. */
export type Ending = Pick<RunRecord, "reason" | "result" | "error" | "note"> & { readonly status: Final };

type Same =
  | ("id" | "job" | "key" | "replayOf" | "queue" | "priority" | "tags" | "input" | "options")
  | ("attempt" | "crashes" | "token" | "progress");

/** A run, live or finished. Only `patch` changes it. */
export interface Row extends Pick<RunRecord, Same> {
  readonly createdMs: number;
  readonly dueMs: number;
  /** When it becomes claimable; lanes are in this order. */
  readonly readyMs: number;
  /** Null without a ttl, and after a start. */
  readonly expiresMs: number | null;
  /** Of its attempts, those that count towards `retry.attempts`. */
  readonly spent: number;
  readonly node: number | null;
  /** The end of its own lease, or null. */
  readonly leaseUntil: number | null;
  /** It is under the lease of its node instead. */
  readonly held: boolean;
  /** The recorded start of its latest attempt. */
  readonly startedMs: number | null;
  /** The reason of a cancel that waits for the run's node. */
  readonly ask: Reason | null;
  /** An act waits for the run's node to give it back. */
  readonly back: boolean;
  /** What it waited for when it was last suspended. It waits while it is neither ready nor leased. */
  readonly waits: Pick<Extract<Outcome, { to: "waiting" }>, "reason" | "seen" | "wants"> | null;
  /** How much was ever sent to it; and that number at the latest signal, or end of a child that did not complete. */
  readonly inbox: number;
  readonly urgent: number;
  /** The workflow that made it. */
  readonly parent: { readonly run: number; readonly key: string } | null;
  /** The answer to the latest settlement. */
  readonly answered: { readonly token: number; readonly answer: Settled } | null;
  readonly end: (Ending & { readonly finishedMs: number }) | null;
}

/** A run's claim on its key. Whether it still holds the key depends on the run. */
export interface KeyRow {
  readonly run: number;
  readonly keepMs: number;
  /** Whatever the end of its run. */
  readonly always: boolean;
  /** Until when it holds the key if the run is pruned. */
  readonly untilMs: number;
  readonly hash: string;
}
/** What ended of a queue and job in the minute or hour that began at `atMs`. */
export interface Figures {
  readonly atMs: number;
  readonly tally: Tally;
}
/** `jobsMs`: since when it has had exactly these jobs. */
export type NodeRow = Omit<NodeStat, "alive"> & {
  readonly leaseUntil: number;
  readonly jobsMs: number;
};
export interface ScheduleRow extends NewSchedule, Pick<ScheduleRecord, "declared" | "paused" | "fresh" | "count"> {
  readonly rev: number;
  /** Removed from code; hidden until code declares it again. */
  readonly removed: boolean;
  /** Null while paused or removed, and after its end. */
  readonly nextMs: number | null;
  readonly lastMs: number | null;
  readonly lastRun: number | null;
  /** Runs that may be live. */
  readonly live: readonly number[];
  readonly createdMs: number;
  readonly updatedMs: number;
}
