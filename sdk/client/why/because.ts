/** What `why` answers, and what it is made from. */
import type { Final, Reason, Status } from "../../port/status.ts";
import type { AttemptRecord, Facts, Progress } from "../../port/target.ts";
import type { ErrorRecord } from "../../port/text.ts";
import type { Stage } from "../timeline.ts";

/** All that is known of a run, by which `why` decides. */
export interface Known extends Facts {
  /** Its latest attempt that did not complete it. */
  readonly latest: AttemptRecord | null;
  /** Of a workflow that waits: what is open in its journal. */
  readonly open: readonly Stage[];
}

/** A node that has the run's job, and what it has leased of all that is due: its slots, and its limit of the run's queue, if it has one. */
export interface Place {
  readonly node: string;
  readonly version: string;
  readonly slots: number;
  readonly leased: number;
  readonly limit: number | null;
  readonly ofQueue: number;
}

/** Why a run stands where it does. Runs are ids, `run_…`, some of them where there are many. */
export type Because =
  /** It is due later. `also`: what would keep it waiting then. */
  | { readonly code: "delayed"; readonly dueAt: Date; readonly also: Because | null }
  /** An attempt failed, or its handler put it off: the next one is due later. `failed` of `attempts` have failed; null: not known. */
  | {
      readonly code: "retrying" | "snoozed";
      readonly dueAt: Date;
      readonly attempt: number;
      readonly failed: number;
      readonly attempts: number | null;
      readonly error: ErrorRecord | null;
      readonly also: Because | null;
    }
  | { readonly code: "paused"; readonly queue: string; readonly pausedAt: Date }
  /** No live node has its job, in the version that it is pinned to, if it is. `nodes`: those that live. */
  | {
      readonly code: "unserved";
      readonly job: string;
      readonly version: string | null;
      readonly seen: { readonly node: string | null; readonly version: string | null; readonly at: Date } | null;
      readonly nodes: readonly { readonly node: string; readonly version: string }[];
    }
  /** Only nodes have it that are shutting down. */
  | { readonly code: "draining"; readonly nodes: readonly Place[] }
  /** No node that has its job has room. `ahead`: due runs of its queue that go before it, 10,001 for more. */
  | {
      readonly code: "full";
      readonly nodes: readonly Place[];
      readonly runs: readonly string[];
      readonly ahead: number;
    }
  /** Nodes have room, but others go first. */
  | { readonly code: "behind"; readonly queue: string; readonly ahead: number }
  /** It crashed before, so a node starts it only while it has no other such run. */
  | { readonly code: "alone"; readonly crashes: number; readonly nodes: readonly Place[] }
  /** It is next: a node is about to lease it. */
  | { readonly code: "next"; readonly nodes: readonly Place[] }
  /** A node has it leased: ahead of its instant, without a slot that is free, or about to start it. */
  | { readonly code: "ahead"; readonly node: string; readonly dueAt: Date }
  | { readonly code: "queued"; readonly node: string; readonly slots: number; readonly leased: number }
  | { readonly code: "starting"; readonly node: string }
  | {
      readonly code: "running";
      readonly node: string;
      readonly startedAt: Date;
      readonly attempt: number;
      readonly progress: Progress | null;
    }
  | { readonly code: "canceling"; readonly node: string; readonly startedAt: Date | null }
  /** The node that has it has not beaten when it should have. At `leaseUntil` it goes to another, if one lives. */
  | { readonly code: "silent"; readonly node: string; readonly seenAt: Date; readonly leaseUntil: Date }
  | { readonly code: "sleep"; readonly until: Date; readonly name: string | null }
  /** A step failed and is tried again. */
  | { readonly code: "step"; readonly until: Date; readonly name: string; readonly error: ErrorRecord | null }
  /** `names`: of the signals, one of which will do; `token`: the answer to one. */
  | {
      readonly code: "signal";
      readonly names: readonly string[];
      readonly token: boolean;
      readonly until: Date | null;
    }
  /** `ended` of `count` runs that it made have ended. */
  | {
      readonly code: "child";
      readonly runs: readonly { readonly id: string; readonly status: Status | null }[];
      readonly ended: number;
      readonly count: number;
    }
  | { readonly code: "parked"; readonly error: ErrorRecord | null }
  /** It is over. `attempts`: how many it took. */
  | {
      readonly code: Final;
      readonly reason: Reason | null;
      readonly finishedAt: Date | null;
      readonly attempts: number;
      readonly error: ErrorRecord | null;
      readonly note: string | null;
    };

export interface Said {
  readonly text: string;
  readonly because: Because;
}
