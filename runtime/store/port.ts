/** The ports of a store, cut by who calls: `Runs`, `Nodes` and `Ticks` by the engine, `Find`, `Desk` and `Schedules` by people and
 *  application code. `test/store/suite.ts` says what each method means; every store passes it. */
import type { Wire } from "../../sdk/port/codec.ts";
import type { Reason } from "../../sdk/port/status.ts";
import type {
  Added,
  Bare,
  Desk,
  Find,
  HookKind,
  JobRecord,
  LogRecord,
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

/** What each write about a lease is checked by: where id and token still match, the lease stands. */
export interface Fence {
  readonly id: number;
  /** Grows with each lease of the run. */
  readonly token: number;
}
/** A claim on a run. */
export interface Lease
  extends Fence, Pick<RunRecord, "job" | "queue" | "priority" | "input" | "tags" | "key" | "options"> {
  /** Epoch ms of the store's clock, rounded up. */
  readonly dueMs: number;
  readonly createdMs: number;
  readonly expiresMs: number | null;
  /** Attempts already spent; the coming one is `attempt + 1`. */
  readonly attempt: number;
  /** How often a node died while it held this run. From 1 on, its start is recorded before its handler is called. */
  readonly crashes: number;
  /** A cancel had been asked for when the run was leased: end it as canceled. */
  readonly canceling: boolean;
}

/** Which runs a node wants. Runs of other jobs are left alone; so are paused queues. */
export interface Claim {
  readonly node: number;
  /** Jobs that this node has. */
  readonly jobs: readonly string[];
  /** Only these queues, or all but these. */
  readonly queues: { readonly only: readonly string[] } | { readonly not: readonly string[] };
  readonly limit: number;
  /** Claims what falls due within this from now. */
  readonly aheadMs: number;
  readonly ttlMs: number;
  /** `priority`: higher lanes first, equal ones by turns. `oldest`: the lanes that have something due share the places evenly, the lowest priority
   *  first, each by its longest waiting, so that nothing starves. */
  readonly order: "priority" | "oldest";
  /** Passes by runs that crashed this often, or more; none if it is left out. */
  readonly crashesBelow?: number | undefined;
  /** True: a poll, which finds every run that is due within a bounded time. False: something was said to be due, by `listen` or by a claim that
   *  came back full; the store may look only where it knows that, and where that is cheap. */
  readonly poll: boolean;
}
export interface Claimed {
  readonly leases: readonly Lease[];
  /** The store's clock when the claim was answered, epoch ms: a lower bound of its time at receipt. NaN if the store knew that nothing is due
   *  without looking. */
  readonly nowMs: number;
}

/** How an attempt ended. All of it is written in one step with the end of the lease. */
export type Outcome =
  | {
      readonly to: "completed";
      readonly result: Wire | null;
      readonly reason: "skipped" | null;
      readonly note: string | null;
    }
  | { readonly to: "failed"; readonly reason: "error" | "timeout" | "crashed" | "expired"; readonly error: ErrorRecord }
  | { readonly to: "canceled"; readonly reason: Reason; readonly error: ErrorRecord | null }
  /** Another attempt after `delayMs`. `spent: false`: it costs no attempt, for it was put off, or given back as its process stopped. */
  | {
      readonly to: "pending";
      readonly delayMs: number;
      readonly spent: boolean;
      readonly outcome: "error" | "timeout" | "snoozed" | "released";
      readonly error: ErrorRecord | null;
    };
/** A lease that goes back: the run waits again as if it had not been leased, and no attempt is spent. */
export interface Released {
  readonly to: "released";
}

export interface Settlement extends Fence {
  readonly job: string;
  readonly outcome: Outcome | Released;
  /** When the handler was called, by the store's clock; null if it never was, or the lease goes back. */
  readonly startedMs: number | null;
  /** Hooks of the job: the store adds a hook's run in the same step, for the state that it wrote. */
  readonly hooks: readonly HookKind[];
}
/** `settled`: as asked. `canceled`: a cancel came first, and was recorded instead. `lost`: the lease was lost, nothing was written. */
export type Settled = "settled" | "canceled" | "lost";

/** How long history is kept; ms. */
export interface Keep {
  readonly completedMs: number;
  readonly otherMs: number;
}
export interface Sweep {
  readonly maxCrashes: number;
  /** The node that sweeps: what it holds itself is left alone, however late it is. */
  readonly node?: number | undefined;
  /** Also deletes history that is older, and makes room for the coming days. */
  readonly keep?: Keep | undefined;
}
/** What a sweep did: numbers of runs. */
export interface Swept {
  /** Of dead nodes, and pending again. */
  readonly recovered: readonly number[];
  /** Failed, for nodes died too often while they held them; canceled, as had been asked for; failed, for they did not start in time. */
  readonly crashed: readonly number[];
  readonly canceled: readonly number[];
  readonly expired: readonly number[];
  /** How many nodes were forgotten, and how many runs of history deleted. */
  readonly nodes: number;
  readonly pruned: number;
  /** It stopped at its bound: there may be more to take back or to expire. */
  readonly more: boolean;
}

/** For whom runs are leased as they are added. */
export interface LeasedFor {
  readonly node: number;
  readonly ttlMs: number;
}
export interface Adding {
  /** The runs are there once this commits, and nobody is told before. */
  readonly tx?: Tx | undefined;
  /** Adds the runs under a lease of this node, so that they need no claim, and nobody is told. For at most 1000 runs that are due now, have no key
   *  and repeat none; not together with `tx`. */
  readonly lease?: LeasedFor | undefined;
}
/** Answer to one added run. Where a lease was asked for, the lease, or null if the run is anybody's: its queue is paused, or the first write
 *  was not answered; and the store's clock at the write. */
export interface Taken extends Added {
  readonly lease?: Lease | null;
  readonly nowMs?: number;
}

/** The way of a run. Every method is one atomic step; none keeps a transaction open for its caller. */
export interface Runs {
  /** Adds runs; answers are in order. They are durable when the promise resolves, or when `tx` commits. A bad item rejects alone: its
   *  place holds the error. A call that the store repeats inside adds nothing twice. */
  add(batch: readonly NewRun[], how?: Adding): Promise<readonly (Taken | Error)[]>;
  /** Claims due runs, in any order. Nobody else gets them for `ttlMs`. Never more than `limit`. */
  lease(claim: Claim): Promise<Claimed>;
  /** Ends leases, each with its outcome. Repeating a call whose answer was lost is answered as the first was. A run that an act asked back is
   *  free for acts when it is released, and for claims a second later, or once an act has changed it. */
  settle(batch: readonly Settlement[]): Promise<readonly Settled[]>;
  /** Puts runs under their node's own lease: from then on they live as long as the node beats. Also records a start. May be repeated.
   *  Answers those that were lost. */
  hold(node: number, batch: readonly (Fence & { readonly startedMs: number | null })[]): Promise<readonly Fence[]>;
  /** Makes the runs of dead nodes pending again (or fails those that crashed `maxCrashes` times), fails expired ones, forgets
   *  dead nodes, deletes old history. Bounded work a call; skips what another node is doing. */
  sweep(options: Sweep): Promise<Swept>;
  /** Calls back when runs may have become due, a command for `node` waits, or a schedule was changed. Best effort: polling must be
   *  enough alone. `deaf`: nothing is told from now on, until anything else is. */
  listen(node: number, hear: (what: "due" | "command" | "tick" | "deaf") => void): Promise<() => Promise<void>>;
  /** Keeps what attempts tell of themselves. Answers those whose lease was lost: nothing of them is kept. */
  note(batch: readonly Note[]): Promise<readonly Fence[]>;
}

/** What an attempt tells of itself: how far it is, which replaces what it told before, and lines of its log, in order. */
export interface Note extends Fence {
  readonly progress?: Progress | undefined;
  readonly lines?: readonly Line[] | undefined;
}
export type Line = Omit<LogRecord, "run">;

export interface NodeInfo {
  readonly name: string;
  readonly app: string;
  readonly version: string;
}
export interface NodeState extends Pick<NodeStat, "slots" | "busy" | "heap" | "draining" | "jobs"> {
  /** It will not beat before its lease ends, unless it is told that runs may be due. */
  readonly asleep?: boolean | undefined;
}
/** What a node adds to the rates since its last report. */
export type Tally = RateStat;
/** What an act asks of a lease: `cancel` it, or give it `back` for the act to go on, unless its handler was called. */
export interface Ask extends Fence {
  readonly kind: "cancel" | "back";
}
export interface Beat {
  /** False: the node's lease had ended before this beat; hold again what it held. It is alive again from now. */
  readonly alive: boolean;
  /** What is asked of runs that this node has leased; answered again until their leases end, or the start of one that was to go back is told. */
  readonly asks: readonly Ask[];
  /** Queues that are paused: what has not started of them goes back, and the start of what has is recorded. */
  readonly paused: readonly string[];
  /** Somebody looks at what runs: hold all that has started, for what a reader is told of starts is what was held. */
  readonly looked: boolean;
  readonly nowMs: number;
  /** When the next schedule is due, epoch ms; null if none is. */
  readonly tickMs: number | null;
  /** True if the node is to publish its jobs again: a version that their schedules replaced has no live node any more, or the node was
   *  forgotten. */
  readonly publish: boolean;
  /** Whether a sweep by this node would find something to do. */
  readonly sweep: boolean;
  /** Whether other nodes live. */
  readonly others: boolean;
  /** What this node's jobs have to do next; null where it was not looked for: the node has runs, or too many lanes. */
  readonly coming: Coming | null;
}
/** Epoch ms, each null if there is none. `dueMs`: before it no run of these jobs can be leased, paused queues aside; it may be
 *  too early, never too late. `expiresMs`: before it no run expires. */
export interface Coming {
  readonly dueMs: number | null;
  readonly expiresMs: number | null;
}
/** What a node publishes of a job. `schedules`: all that its code declares; null where that can't be read, and then they stay as they are. */
export interface Published extends Omit<JobRecord, "seenAt"> {
  readonly schedules: readonly NewSchedule[] | null;
}
export interface Nodes {
  join(info: NodeInfo, ttlMs: number): Promise<number>;
  /** Renews the node's lease. A node that is awake wakes those that sleep, and ends their leases within `ttlMs`: alone they hold nothing,
   *  but they see to nobody either, and one that died asleep would pass for a live one. */
  beat(node: number, ttlMs: number, state: NodeState, tallies: readonly Tally[]): Promise<Beat>;
  leave(node: number): Promise<void>;
  /** Says which jobs the node has now, and which schedules they declare; what is known of other jobs stays. Of different schedules of a
   *  job, those that were seen last win while a live, undraining node has them; the others become of force when no such node is
   *  left. Paused ones stay paused, run-time ones of the same name are taken over. */
  publish(node: number, jobs: readonly Published[]): Promise<void>;
}

/** A schedule that is due, as read: `rev` fences what is made of it. */
export interface Due extends NewSchedule {
  readonly rev: number;
  /** Epoch ms. Fresh: the instant from which ticks count; else that of the coming run, spread included. */
  readonly nextMs: number;
  readonly fresh: boolean;
  readonly lastMs: number | null;
  readonly count: number;
  /** Since when a live node has its job, at the latest; null for one made at run time, which needs none to tick. */
  readonly servedMs: number | null;
  /** Runs of it that are live; read only where the rule's overlap asks. */
  readonly live: readonly number[];
  /** Where its runs go, the job's own values filled in. */
  readonly queue: string;
  readonly priority: number;
  readonly tags: readonly string[];
  readonly ttlMs: number | null;
}
export interface DueList {
  readonly due: readonly Due[];
  readonly nowMs: number;
  /** When the next schedule is due that is not in the list, and whether its overlap wants it on the dot; null if none is. */
  readonly next: { readonly atMs: number; readonly dot: boolean } | null;
  /** Whether other nodes live. */
  readonly others: boolean;
}
/** What becomes of one due schedule. */
export interface Tick extends ScheduleName {
  readonly rev: number;
  /** The coming instant, spread included; null: none comes. None does either once the runs that were made reach the rule's limit. */
  readonly nextMs: number | null;
  /** The last tick that is done with, whether or not it made a run; null: none yet. */
  readonly lastMs: number | null;
  readonly runs: readonly TickRun[];
}
export interface TickRun extends Pick<NewRun, "queue" | "priority" | "tags" | "ttlMs"> {
  readonly tickMs: number;
  /** Tick and spread; an instant in the past means now. */
  readonly dueMs: number;
  readonly options: RunOptions;
}

/** The way of a schedule. Each method is one atomic step. */
export interface Ticks {
  /** Schedules that are fresh, or due within `aheadMs` (on the dot where overlap is not allowed), the earliest first. Nothing is changed. */
  due(query: {
    readonly node: number;
    readonly aheadMs: number;
    readonly limit: number;
    /** Leaves these out, also as what comes next. */
    readonly except?: readonly ScheduleName[] | undefined;
  }): Promise<DueList>;
  /** Moves schedules on and adds their runs, in one step: each only if its revision is the one that was read and it is not paused. At most
   *  one run for a (schedule, tick), ever: it has the tick for its idempotency key. Answers, in order, the runs that were made, by
   *  place; null: somebody else was faster. */
  tick(batch: readonly Tick[]): Promise<readonly (readonly (number | null)[] | null)[]>;
}

/** Which part of a list a store answers, as the guard bounds it. */
export type Bounds = Paging & { readonly limit: number };

/** What a store may lack: transactions of its callers, optional methods by their names, and whole ports. */
export type Feature =
  | "tx"
  | keyof Pick<Runs, "note" | "listen">
  | keyof Pick<Desk, "revive" | "edit" | "pause" | "purge">
  | keyof Pick<Find, "jobs" | "attempts" | "logs" | "stats" | "awaited">
  | "ticks"
  | "schedules";
/** Each with the reason, as a clause: "it has no transactions". */
export type Lacks = Readonly<Partial<Record<Feature, string>>>;

/** A store, as it is written. What is optional has a fallback, or is absent and says so: `guard.ts`. */
export interface Store extends Bare {
  /** Why it has not what it lacks. */
  readonly lacks?: Lacks;
  readonly runs: Some<Runs, "add" | "lease" | "settle" | "hold" | "sweep">;
  readonly nodes: Nodes;
  readonly ticks?: Ticks;
}

/** A store, complete, as the engine and application code use it. */
export interface Guarded extends Target {
  /** For logs and errors, without secrets: `postgres 127.0.0.1:5432/app schema tasker`. */
  readonly name: string;
  /** All that it lacks. The engine leaves out what goes without; anything else throws NotSupported. */
  readonly lacks: Lacks;
  readonly runs: Runs;
  readonly nodes: Nodes;
  readonly ticks: Ticks;
  open(signal?: AbortSignal): Promise<void>;
}
