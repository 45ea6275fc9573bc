/** The ports of a store. The engine calls `Runs`, `Nodes` and `Ticks`; people and application code call `Find`, `Desk` and `Schedules`.
 *  `test/store/suite.ts` specifies each method. */
import type { Wire } from "../../sdk/port/codec.ts";
import type { Feed } from "../../sdk/port/feed.ts";
import type { Entry } from "../../sdk/port/flow.ts";
import type { Histogram } from "../../sdk/port/histogram.ts";
import type { Reason } from "../../sdk/port/status.ts";
import type {
  Added,
  Bare,
  Desk,
  Find,
  HookKind,
  JobRecord,
  LogRecord,
  Mailbox,
  NewRun,
  NewSchedule,
  NodeStat,
  Paging,
  Progress,
  RateStat,
  RunOptions,
  RunRecord,
  ScheduleName,
  Some,
  Target,
  Tx,
} from "../../sdk/port/target.ts";
import type { ErrorRecord } from "../../sdk/port/text.ts";
import type { Outlet } from "./outlet.ts";

/** A write about a lease is accepted only if id and token still match. */
export interface Fence {
  readonly id: number;
  /** Grows with each lease of the run. */
  readonly token: number;
}
/** A run that a node has leased. */
export interface Lease
  extends Fence, Pick<RunRecord, "job" | "queue" | "priority" | "input" | "tags" | "key" | "options"> {
  /** Epoch ms of the store's clock, rounded up. */
  readonly dueMs: number;
  readonly createdMs: number;
  readonly expiresMs: number | null;
  /** Attempts that have ended, however they did; the coming one is number `attempt + 1`. */
  readonly attempt: number;
  /** Attempts of these that count towards `retry.attempts`: failures since the last retry by hand. */
  readonly spent: number;
  /** How often a node died, or did not renew its lease in time, while it held this run. If not 0, its start is recorded before its handler is
   *  called. */
  readonly crashes: number;
  /** A cancel was requested before the claim: settle it as canceled. */
  readonly canceling: boolean;
}

/** Which runs a node claims. Paused queues are skipped, and runs that are pinned to another version than the node joined with. */
export interface Claim {
  readonly node: number;
  readonly jobs: readonly string[];
  /** Only these queues, or all but these. */
  readonly queues: { readonly only: readonly string[] } | { readonly not: readonly string[] };
  readonly limit: number;
  /** Also claims runs that fall due within this time. */
  readonly aheadMs: number;
  readonly ttlMs: number;
  /** `priority`: higher lanes first; equal ones take turns. `oldest`: all lanes with due runs get an equal share, so that no lane starves. */
  readonly order: "priority" | "oldest";
  /** Skips runs that crashed this often or more. */
  readonly crashesBelow?: number | undefined;
  /** Runs that this node has, after a claim that was not answered: what else is leased to it and not held is claimed anew. */
  readonly known?: readonly number[] | undefined;
  /** True: polls must find every due run within a bounded time. False: `listen` or a full claim announced runs; the store may look only where
   *  it expects them. */
  readonly poll: boolean;
}
export interface Claimed {
  readonly leases: readonly Lease[];
  /** The store's clock at the answer, epoch ms. NaN if the store did not look. */
  readonly nowMs: number;
}

/** How an attempt ended. */
export type Outcome =
  | {
      readonly to: "completed";
      readonly result: Wire | null;
      readonly reason: "skipped" | null;
      readonly note: string | null;
    }
  /** A workflow that waits: it holds no slot, and spends no attempt. It is due again at `untilMs` (epoch ms; null: when it is woken), and at once
   *  if more was sent to it than the `seen` that it knows of: by anybody, or as many ends of children as it `wants`.  `error`: why it is parked;
   *  only then an attempt is recorded. Its count of crashes begins anew. */
  | {
      readonly to: "waiting";
      readonly reason: "sleep" | "signal" | "child" | "parked";
      readonly untilMs: number | null;
      readonly seen: number;
      readonly wants: number;
      readonly error: ErrorRecord | null;
    }
  | { readonly to: "failed"; readonly reason: "error" | "timeout" | "crashed" | "expired"; readonly error: ErrorRecord }
  | { readonly to: "canceled"; readonly reason: Reason; readonly error: ErrorRecord | null }
  /** Another attempt follows after `delayMs`. `spent: false`: it was snoozed or released, and does not count. */
  | {
      readonly to: "pending";
      readonly delayMs: number;
      readonly spent: boolean;
      readonly outcome: "error" | "timeout" | "snoozed" | "released";
      readonly error: ErrorRecord | null;
    };
/** The lease is given back, as if the run had not been leased. */
export interface Released {
  readonly to: "released";
}

export interface Settlement extends Fence {
  readonly job: string;
  readonly outcome: Outcome | Released;
  /** When the handler was called, by the store's clock; null if it was not. */
  readonly startedMs: number | null;
  /** The job's hooks. The store adds the run of a hook in the same step. */
  readonly hooks: readonly HookKind[];
  /** Whether the run may have a journal, or a parent that waits for its end: then both are seen to in the same step. */
  readonly flow?: boolean | undefined;
  /** Entries that are written in the same step; only of a run that waits, and without runs to add. */
  readonly entries?: readonly NewEntry[] | undefined;
}
/** `canceled`: a cancel came first, and was recorded instead. `lost`: the lease was lost, and nothing was written. */
export type Settled = "settled" | "canceled" | "lost";

/** Retention of history. */
export interface Keep {
  readonly completedMs: number;
  readonly otherMs: number;
}
export interface Sweep {
  readonly maxCrashes: number;
  /** The node that sweeps; its own runs are skipped. */
  readonly node?: number | undefined;
  /** Also deletes older history, and creates partitions for the coming days. */
  readonly keep?: Keep | undefined;
}
/** What a sweep did, by ids of runs. */
export interface Swept {
  /** Taken from dead nodes, and pending again. */
  readonly recovered: readonly number[];
  /** Failed after too many crashes. */
  readonly crashed: readonly number[];
  readonly canceled: readonly number[];
  readonly expired: readonly number[];
  /** Numbers of forgotten nodes, and of runs deleted from history. */
  readonly nodes: number;
  readonly pruned: number;
  /** It stopped at its limit; there may be more work. */
  readonly more: boolean;
}

export interface LeasedFor {
  readonly node: number;
  readonly ttlMs: number;
}
export interface Adding {
  /** The transaction to add the runs in; nodes are notified when it commits. */
  readonly tx?: Tx | undefined;
  /** Adds the runs under a lease of this node; no node is notified. For at most 1000 runs that are due now, without keys and replays; not
   *  together with `tx`. */
  readonly lease?: LeasedFor | undefined;
}
/** The answer to an added run. Where a lease was requested: the lease, or null if the run is unleased, and the store's clock at the write. */
export interface Taken extends Added {
  readonly lease?: Lease | null;
  readonly nowMs?: number;
}

/** What a listening node is told. */
export type Heard = "due" | "command" | "tick" | "deaf" | "sent" | "woken";

/** Runs, as the engine uses them. Each method is one atomic step. */
export interface Runs {
  /** Adds runs; answers are in order. Runs are durable when the promise resolves, or when `tx` commits. An invalid item is answered by an
   *  error in its place. */
  add(batch: readonly NewRun[], how?: Adding): Promise<readonly (Taken | Error)[]>;
  /** Leases at most `limit` due runs for `ttlMs`, in any order. */
  lease(claim: Claim): Promise<Claimed>;
  /** Ends leases, each with its outcome. A repeated call is answered as the first was. A run that an act asked back is reserved for acts for a
   *  second after its release, or until an act has changed it. */
  settle(batch: readonly Settlement[]): Promise<readonly Settled[]>;
  /** Puts runs under their node's lease, and records their starts. May be repeated. Answers the lost leases. */
  hold(node: number, batch: readonly (Fence & { readonly startedMs: number | null })[]): Promise<readonly Fence[]>;
  /** Recovers runs of dead nodes, or fails those that crashed `maxCrashes` times; fails expired runs; deletes dead nodes and old history.
   *  Work a call is bounded; rows that another node has locked are skipped. */
  sweep(options: Sweep): Promise<Swept>;
  /** Calls back when runs may be due, a command for `node` waits, or a schedule has changed. Best effort: nodes also poll. `deaf`: no
   *  notifications until the next one. `sent`: something came for these runs, which nodes have; `woken`: they wait for it no longer, so that those
   *  that are leased ahead of their instant may start. */
  listen(node: number, hear: (what: Heard, runs?: readonly number[]) => void): Promise<() => Promise<void>>;
  /** Stores progress and log lines. Answers the lost leases, of which nothing is stored. */
  note(batch: readonly Note[]): Promise<readonly Fence[]>;
}

/** An attempt's progress, which replaces the earlier one, and lines of its log, in order. */
export interface Note extends Fence {
  readonly progress?: Progress | undefined;
  readonly lines?: readonly Line[] | undefined;
}
export type Line = Omit<LogRecord, "run">;

/** A journal to be read past place `after`. What is taken in is dated as it was sent, but `floorMs` at the earliest. */
export interface Loading extends Fence {
  readonly after: number;
  readonly floorMs?: number | undefined;
}
/** A journal as it is read: entries, how much was ever sent to the run, and what it waited for when it was last suspended, unless an attempt has
 *  ended since. */
export interface Journal {
  readonly entries: readonly Entry[];
  readonly inbox: number;
  readonly waited: Reason | null;
}
/** An entry to be written. */
export interface NewEntry extends Omit<Entry, "atMs" | "runs"> {
  /** Runs that are added in the same step; their `options.parent` names this run. Unkeyed. */
  readonly adds?: readonly NewRun[];
}

/** Entries that a run wants written. They are dated `floorMs` at the earliest. */
export interface Recording extends Fence {
  readonly entries: readonly NewEntry[];
  readonly floorMs: number;
}
export interface Recorded {
  /** As stored, but for value and data. */
  readonly entries: readonly Pick<Entry, "n" | "atMs" | "runs">[];
  readonly inbox: number;
}

/** Workflows. Every method is one atomic step a run; a lease that was lost answers null, and nothing of it is written. */
export interface Flow extends Mailbox {
  /** The journals of leased runs past place `after`. What was sent to them is taken in first: it gets entries, in the order in which it was sent,
   *  and the dates at which it was, but none before that of the entry before it. */
  load(batch: readonly Loading[]): Promise<readonly (Journal | null)[]>;
  /** Writes entries, and adds their runs. May be repeated: what is there already stays, and is answered. An error: a run of it can't be added,
   *  and nothing of this recording is written. With `tx`, of one run: entries exist once that commits. */
  record(batch: readonly Recording[], tx?: Tx): Promise<readonly (Recorded | Error | null)[]>;
}

export interface NodeInfo {
  readonly name: string;
  readonly app: string;
  readonly version: string;
  /** How many runs of a queue it runs at once, by queue. */
  readonly limits?: Readonly<Record<string, number>> | undefined;
}
export interface NodeState extends Pick<NodeStat, "slots" | "busy" | "heap" | "draining" | "jobs"> {
  /** It does not beat before its lease ends, unless it is notified. */
  readonly asleep?: boolean | undefined;
}
/** Counts since the node's last beat, of a queue and job. The histograms are of waits and runs of those that completed or failed. */
export interface Tally extends RateStat {
  readonly waits: Histogram;
  readonly runs: Histogram;
}
/** What an act asks of a lease's node: to `cancel` the run, or to give it `back` unless it has started. */
export interface Ask extends Fence {
  readonly kind: "cancel" | "back";
}
export interface Beat {
  /** False: the node's lease had lapsed before this beat, so its runs must be held again. */
  readonly alive: boolean;
  /** Repeated until the lease ends, or, for `back`, the start is recorded. */
  readonly asks: readonly Ask[];
  /** Paused queues: the node releases their runs that have not started, and records the starts of the others. */
  readonly paused: readonly string[];
  /** Somebody reads what runs: the node records all starts. */
  readonly looked: boolean;
  readonly nowMs: number;
  /** When the next schedule is due, epoch ms. */
  readonly tickMs: number | null;
  /** The node is to publish its jobs again: its version of the schedules came into force, or the node was forgotten. */
  readonly publish: boolean;
  /** Whether a sweep would find work. */
  readonly sweep: boolean;
  /** Whether other nodes live. */
  readonly others: boolean;
  /** When this node's jobs have runs next; null if the store did not look. */
  readonly coming: Coming | null;
}
/** Lower bounds, epoch ms: of when a run of these jobs can be leased, and of when a run expires. Null: there is none. */
export interface Coming {
  readonly dueMs: number | null;
  readonly expiresMs: number | null;
}
/** What a node publishes of a job. `schedules`: all that its code declares; null leaves them as they are. */
export interface Published extends Omit<JobRecord, "seenAt"> {
  readonly schedules: readonly NewSchedule[] | null;
}
export interface Nodes {
  join(info: NodeInfo, ttlMs: number): Promise<number>;
  /** Renews the node's lease. A node that is awake wakes sleeping ones, and shortens their leases to `ttlMs`. */
  beat(node: number, ttlMs: number, state: NodeState, tallies: readonly Tally[]): Promise<Beat>;
  leave(node: number): Promise<void>;
  /** Stores the node's jobs, and the schedules that they declare; other jobs are left as they are. The newest version of a job's schedules is in
   *  force while a live node has it that is not draining; then the newest of the others. Paused schedules stay paused; a run-time schedule of
   *  the same name becomes a declared one. */
  publish(node: number, jobs: readonly Published[]): Promise<void>;
}

/** A due schedule. A tick is accepted only if `rev` still matches. */
export interface Due extends NewSchedule {
  readonly rev: number;
  /** Epoch ms. Fresh: the instant from which ticks count; else when the next run is due, spread included. */
  readonly nextMs: number;
  readonly fresh: boolean;
  readonly lastMs: number | null;
  readonly count: number;
  /** Since when a live node has its job; null for a run-time schedule, which ticks without one. */
  readonly servedMs: number | null;
  /** Its live runs; empty if overlap is allowed. */
  readonly live: readonly number[];
  /** Options of its runs, with the job's defaults. */
  readonly queue: string;
  readonly priority: number;
  readonly tags: readonly string[];
  readonly ttlMs: number | null;
}
export interface DueList {
  readonly due: readonly Due[];
  readonly nowMs: number;
  /** When the next schedule after those in the list is due. `dot`: not ahead of time, because of its overlap. */
  readonly next: { readonly atMs: number; readonly dot: boolean } | null;
  /** Whether other nodes live. */
  readonly others: boolean;
}
/** How a due schedule advances. */
export interface Tick extends ScheduleName {
  readonly rev: number;
  /** When its next run is due, spread included. Null: it has ended; it also ends at the rule's limit of runs. */
  readonly nextMs: number | null;
  /** The last tick, whether or not it made a run. */
  readonly lastMs: number | null;
  readonly runs: readonly TickRun[];
}
export interface TickRun extends Pick<NewRun, "queue" | "priority" | "tags" | "ttlMs"> {
  readonly tickMs: number;
  /** The tick plus its spread. */
  readonly dueMs: number;
  readonly options: RunOptions;
}

/** Schedules, as the engine uses them. Each method is one atomic step. */
export interface Ticks {
  /** Schedules that are fresh or due, the earliest first. Those that allow overlap are due `aheadMs` before. */
  due(query: {
    readonly node: number;
    readonly aheadMs: number;
    readonly limit: number;
    /** Schedules to leave out, also of `next`. */
    readonly except?: readonly ScheduleName[] | undefined;
  }): Promise<DueList>;
  /** Advances schedules and adds their runs, each if its revision still matches and it is not paused. A tick makes at most one run, whose
   *  idempotency key is the tick. Answers the ids of each schedule's runs, in order; null: another node was faster. */
  tick(batch: readonly Tick[]): Promise<readonly (readonly (number | null)[] | null)[]>;
}

/** A page as the guard passes it to a store. */
export type Bounds = Paging & { readonly limit: number };

/** What a store may lack: transactions, optional methods, and whole ports. */
export type Feature =
  | "tx"
  | keyof Pick<Runs, "note" | "listen">
  | keyof Pick<Desk, "revive" | "edit" | "pause" | "purge">
  | keyof Pick<Find, "jobs" | "attempts" | "logs" | "stats" | "series" | "facts" | "awaited">
  | "ticks"
  | "schedules"
  | "flow"
  | "feed";
/** The reason of each, as a clause: "it has no transactions". */
export type Lacks = Readonly<Partial<Record<Feature, string>>>;

/** A store, as its author writes it; `guard.ts` wraps it. */
export interface Store extends Bare {
  readonly lacks?: Lacks;
  readonly runs: Some<Runs, "add" | "lease" | "settle" | "hold" | "sweep">;
  readonly nodes: Nodes;
  readonly ticks?: Ticks;
  readonly flow?: Flow;
}

/** A guarded store, as the engine and application code use it. */
export interface Guarded extends Target {
  /** For logs and errors, without secrets: `postgres 127.0.0.1:5432/app schema tasker`. */
  readonly name: string;
  /** All that it lacks. */
  readonly lacks: Lacks;
  readonly runs: Runs;
  readonly nodes: Nodes;
  readonly ticks: Ticks;
  readonly flow: Flow;
  readonly feed: Feed;
  /** Where events of this process go, for other processes to read. */
  readonly outlet: Outlet;
  open(signal?: AbortSignal): Promise<void>;
}
