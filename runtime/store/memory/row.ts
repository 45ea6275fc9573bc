/** What the memory store holds: rows, and the tables that they are in. */
import type { Wire } from "../../../sdk/port/codec.ts";
import type { Final, Reason } from "../../../sdk/port/status.ts";
import type {
  AttemptRecord,
  JobRecord,
  LogRecord,
  NewSchedule,
  NodeStat,
  Progress,
  RunOptions,
} from "../../../sdk/port/target.ts";
import type { ErrorRecord } from "../../../sdk/port/text.ts";
import type { Settled, Tally } from "../port.ts";

/** How a run ended. */
export interface Ending {
  readonly status: Final;
  readonly reason: Reason | null;
  readonly result: Wire | null;
  readonly error: ErrorRecord | null;
  readonly note: string | null;
}

/** A run, live or ended. Instants are epoch ms. Changed by `patch` alone. */
export interface Row {
  readonly id: number;
  readonly job: string;
  readonly createdMs: number;
  readonly key: string | null;
  readonly replayOf: number | null;
  readonly queue: string;
  readonly priority: number;
  readonly tags: readonly string[];
  readonly input: Wire;
  readonly options: RunOptions | null;
  readonly dueMs: number;
  /** When it became, or will become, claimable: what a lane is ordered by. */
  readonly readyMs: number;
  /** Null without a ttl, and once the run has started. */
  readonly expiresMs: number | null;
  readonly attempt: number;
  readonly crashes: number;
  readonly token: number;
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
  readonly progress: Progress | null;
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
/** A schedule, replaced at each change. Instants are epoch ms. */
export interface ScheduleRow extends NewSchedule {
  readonly rev: number;
  readonly declared: boolean;
  readonly paused: boolean;
  /** Code took it out: nobody sees it, until code brings it back. */
  readonly removed: boolean;
  /** Null while it is paused or removed, and after its end. */
  readonly nextMs: number | null;
  readonly fresh: boolean;
  readonly lastMs: number | null;
  readonly lastRun: number | null;
  readonly count: number;
  /** Runs that may be live. */
  readonly live: readonly number[];
  readonly createdMs: number;
  readonly updatedMs: number;
}

/** What the store holds: all of it, in tables. */
export interface Tables {
  readonly runs: Map<number, Row>;
  readonly keys: Map<string, KeyRow>;
  /** By a number that grows; newest last. */
  readonly attempts: Map<number, AttemptRecord>;
  readonly logs: Map<number, LogRecord>;
  readonly tallies: Map<number, { readonly atMs: number; readonly tally: Tally }>;
  readonly nodes: Map<number, NodeRow>;
  /** Names, and versions of the code, of all nodes that ever joined. */
  readonly names: Map<number, { readonly name: string; readonly version: string }>;
  readonly jobs: Map<string, JobRecord>;
  /** Queue → paused. */
  readonly queues: Map<string, boolean>;
  /** By name, as keys are. */
  readonly schedules: Map<string, ScheduleRow>;
  /** Job → the versions of its declared schedules, in the order in which they were first seen. */
  readonly versions: Map<string, readonly string[]>;
  /** Job → the place of the version that its schedules are of. */
  readonly applied: Map<string, number>;
  /** Node → job → the place of the version that the node has. */
  readonly declared: Map<number, ReadonlyMap<string, number>>;
  /** Lane → the claim that took from it last. */
  readonly turns: Map<string, number>;
  /** The last numbers that `next` gave. */
  readonly last: Map<Numbered, number>;
}
export type Numbered = "run" | "node" | "record" | "claim";
