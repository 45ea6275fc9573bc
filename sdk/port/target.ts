/** What application code needs of a store: adding runs, reading them, and acting on them. A store implements it directly;
 *  so can anything that forwards to one. Nothing here opens a connection. */
import type { Wire } from "./codec.ts";
import type { Feed, FeedView } from "./feed.ts";
import type { Entry, Mail, Sent } from "./flow.ts";
import type { Bucket, NodeFact, SeriesFilter, Stats } from "./stat.ts";
import type { Final, Reason, Status } from "./status.ts";
import type { ErrorRecord } from "./text.ts";
import type { Tx } from "./tx.ts";
export type { Tx };
export type * from "./stat.ts";

/** Overrides given at trigger, stored with the run only where there are any. Milliseconds. */
export interface RunOptions {
  readonly retry?: {
    readonly attempts?: number;
    readonly backoff?: "fixed" | "exponential";
    readonly delayMs?: number;
    readonly maxDelayMs?: number;
    readonly jitter?: boolean;
  };
  readonly timeoutMs?: number;
  /** Set on the run that executes a hook of another run; `of` is that run's number. */
  readonly hook?: { readonly kind: HookKind; readonly of: number };
  /** Set on a run that a schedule made. */
  readonly schedule?: TickInfo;
  /** Set on a workflow that has waited, whose instant has moved by that: when it was due before its first wait, epoch ms. */
  readonly dueMs?: number;
  /** The context of the trigger's span, as propagators write it, where triggers are traced; `batch`: of one for many runs. */
  readonly trace?: Readonly<Record<string, string>>;
  /** Set on a run that a workflow made and waits for: its end is sent to that run, under the key of the entry that made it. */
  readonly parent?: { readonly run: number; readonly key: string };
}
export type HookKind = "success" | "failure" | "cancel";

/** The tick that a run was made for: instants of the rule, epoch ms, before any spread. */
export interface TickInfo {
  readonly key: string;
  readonly tick: number;
  /** The ticks of the rule before and after this one. */
  readonly previous: number | null;
  readonly next: number | null;
}

/** An idempotency key, scoped to the job. `hash` is of the input, to tell a repeat from a conflict. */
export interface NewKey {
  readonly key: string;
  /** How long a completed run still holds its key, after its end. */
  readonly keepMs: number;
  /** A run that failed or was canceled holds it as long as a completed one: the key stands for something that is done once, however it ends. */
  readonly always?: boolean;
  readonly onConflict: "return" | "replace" | "error";
  readonly hash: string;
}

/** A run to be added, checked and encoded. Exactly one of `dueAt` and `delayMs` decides the instant. */
export interface NewRun {
  readonly job: string;
  readonly queue: string;
  /** 0–9, higher first. */
  readonly priority: number;
  /** An absolute instant; one in the past means now. Null: now + `delayMs`, by the store's clock. */
  readonly dueAt: Date | null;
  readonly delayMs: number;
  readonly input: Wire;
  readonly tags: readonly string[];
  readonly key: NewKey | null;
  /** The run fails as `expired` if it has not started this long after it fell due. */
  readonly ttlMs: number | null;
  readonly options: RunOptions | null;
  /** The run whose input this one repeats. */
  readonly replayOf: number | null;
  /** What its handler is given as its journal from the start, numbered by place. Only of a run that replays another, and without a key. */
  readonly journal?: readonly Entry[] | undefined;
  /** The schedule that `options.schedule` names counts it as its own: it is its last run, and overlap goes by it. Not within a transaction. */
  readonly attach?: boolean;
}

/** Answer to one added run. `created: false`: the key already had a run, and `id` is that one;
 *  `conflict`: with another input. */
export interface Added {
  readonly id: number;
  readonly created: boolean;
  readonly conflict: boolean;
  /** It was to be replaced, but a node has it leased, and was asked to give it back if it has not started: repeat the call. */
  readonly asked?: true;
}

/** Adding runs. */
export interface Adds {
  /** Adds runs; answers are in order. The runs are durable when the promise resolves, or when `tx` commits.
   *  A bad item rejects alone: its place holds the error. Calls in flight together share a write, except keyed ones. */
  add(batch: readonly NewRun[], tx?: Tx): Promise<readonly (Added | Error)[]>;
}

/** A run as it is stored, live or finished. Instants are the store's. */
export interface RunRecord {
  readonly id: number;
  /** The job's id. */
  readonly job: string;
  /** `$queue@version` of one that is pinned to a version of the code. */
  readonly queue: string;
  readonly priority: number;
  readonly status: Status;
  /** Why it has its status, such as `timeout` of a failed one; null where the status says it all. */
  readonly reason: Reason | null;
  /** True while a cancel waits for the node that runs it. */
  readonly canceling: boolean;
  /** When it is to start, or was. */
  readonly dueAt: Date;
  readonly createdAt: Date;
  /** When it fails as `expired` unless it has started; null: never. */
  readonly expiresAt: Date | null;
  /** Start and end of the latest attempt, where known. */
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
  /** The name of the node that has it, or had it last; null before. */
  readonly node: string | null;
  /** Attempts that have ended, however they did: the number of the latest. The running one counts once it has ended. */
  readonly attempt: number;
  /** How often a node died, or did not renew its lease in time, while it held the run. */
  readonly crashes: number;
  /** That of the latest lease; before the first 0, or 1 if it was added with a journal. */
  readonly token: number;
  /** The job's own and those of the trigger. */
  readonly tags: readonly string[];
  /** The idempotency key that it was triggered with. */
  readonly key: string | null;
  readonly input: Wire;
  readonly result: Wire | null;
  /** The error that it ended with; null while it is live. Those of earlier attempts are records of their own. */
  readonly error: ErrorRecord | null;
  /** The latest that the handler reported. */
  readonly progress: Progress | null;
  readonly options: RunOptions | null;
  /** The run whose input this one repeats. */
  readonly replayOf: number | null;
  /** What `ctx.skip` was given. */
  readonly note: string | null;
  /** Version of the code that its latest attempt ran on: `defineConfig({ version })`; under `tasker dev` that of the save. */
  readonly version: string | null;
}
/** How far a run is. */
export interface Progress {
  /** 0–100 by convention; stored as given. */
  readonly value: number;
  readonly detail: string | null;
}

/** One ended attempt that did not complete the run. `n` counts the run's attempts from 1, also over a retry by hand. */
export interface AttemptRecord {
  readonly run: number;
  readonly token: number;
  readonly n: number;
  readonly job: string;
  readonly node: string | null;
  readonly startedAt: Date | null;
  readonly endedAt: Date;
  readonly outcome: "error" | "timeout" | "crashed" | "snoozed" | "released" | "canceled" | "parked";
  readonly error: ErrorRecord | null;
  /** When the next attempt was planned; null after the last. */
  readonly retryAt: Date | null;
}
export interface LogRecord {
  readonly run: number;
  readonly attempt: number;
  readonly at: Date;
  readonly level: "debug" | "info" | "warn" | "error";
  readonly message: string;
  readonly data: string | null; // JSON
}

/** Which runs. Fields are combined with AND; lists with OR, except `tags`, which must all be there. */
export interface RunFilter {
  readonly ids?: readonly number[] | undefined;
  readonly status?: readonly Status[] | undefined;
  readonly reason?: readonly Reason[] | undefined;
  readonly job?: readonly string[] | undefined;
  readonly queue?: readonly string[] | undefined;
  /** All of them must be there. */
  readonly tags?: readonly string[] | undefined;
  /** The idempotency key; with any job, live or not. */
  readonly key?: string | undefined;
  /** Only the run that holds `key` of the one `job` now: live, or completed less than its keep ago. No other field is given then. */
  readonly holds?: boolean | undefined;
  readonly createdAfter?: Date | undefined;
  readonly createdBefore?: Date | undefined;
  readonly finishedAfter?: Date | undefined;
  readonly finishedBefore?: Date | undefined;
  /** `["user","id"]` equals `value`, compared as text: `42` and `"42"` are alike. */
  readonly payload?: readonly { readonly path: readonly string[]; readonly value: string }[] | undefined;
  /** Case-insensitive part of the error's name or message. */
  readonly error?: string | undefined;
  /** With the runs that execute hooks; left out by default. */
  readonly hooks?: boolean | undefined;
}
export interface Page<T> {
  readonly items: readonly T[];
  /** Give it back to go on; null at the end. */
  readonly next: string | null;
  /** False if a search stopped at its bound (100,000 newest runs) before it had looked at everything. */
  readonly complete: boolean;
}
export interface Paging {
  readonly cursor?: string | undefined;
  /** 1–200, 50 by default. */
  readonly limit?: number | undefined;
}

/** What nodes published of a job, so that others can trigger and describe it without its code. */
export interface JobRecord {
  readonly id: string;
  readonly description: string | null;
  readonly queue: string;
  readonly priority: number;
  /** JSON Schema of the wire form of the input; null where the schema can't tell. */
  readonly schema: string | null;
  readonly tags: readonly string[];
  readonly ttlMs: number | null;
  /** Final states that add a run for a hook. */
  readonly hooks: readonly HookKind[];
  /** How many attempts may fail; null where a function decides, or nobody said. */
  readonly attempts: number | null;
  /** When a node last had it: that of its publishing, or later. */
  readonly seenAt: Date;
}
/** What decides where a run stands. Of a finished one only the record is known. */
export interface Facts {
  /** The store's clock. */
  readonly at: Date;
  readonly run: RunRecord;
  /** How many of its attempts have failed since the last retry by hand, and how many its job lets fail: null where a function decides, or nobody said. */
  readonly spent: number;
  readonly attempts: number | null;
  /** When its lease ends, its own or its node's. It may have ended. */
  readonly leaseUntil: Date | null;
  /** Since when its queue has been paused. */
  readonly pausedAt: Date | null;
  /** Which node had its job last, and when; null: none ever had. */
  readonly seen: { readonly node: string | null; readonly version: string | null; readonly at: Date } | null;
  /** Those that live, and the one that has the run. */
  readonly nodes: readonly NodeFact[];
  /** How many due runs of its queue, whose jobs such nodes have, too, are claimed before it: at most 10,001. 0 unless it waits for its turn. */
  readonly ahead: number;
}

/** Reading. Nothing here changes a run; `get` of a leased run, `list` with one or of running ones, and `stats` ask the nodes, at most once a
 *  second each, to record which of their runs have started. */
export interface Find {
  get(id: number): Promise<RunRecord | null>;
  /** Newest first (by id). */
  list(filter: RunFilter, page?: Paging): Promise<Page<RunRecord>>;
  attempts(
    filter: { readonly run?: number; readonly job?: readonly string[] },
    page?: Paging,
  ): Promise<Page<AttemptRecord>>;
  logs(run: number, page?: Paging): Promise<Page<LogRecord>>;
  /** `lanes: false`: without the counts of lanes, which take longest. `look: false`: nodes are not asked to record starts. */
  stats(options?: { readonly lanes?: boolean; readonly look?: boolean }): Promise<Stats>;
  jobs(): Promise<readonly JobRecord[]>;
  /** Buckets in which something ended, in order. */
  series(filter: SeriesFilter): Promise<readonly Bucket[]>;
  /** What decides where a run stands; null: there is none. Of a leased run the node is asked as by `get`. */
  facts(id: number): Promise<Facts | null>;
  /** Resolves with the finished run, or null if it is still live when `signal` aborts or the store's wait ends (≥ 0 s: poll again). */
  awaited(id: number, waitMs: number, signal?: AbortSignal): Promise<RunRecord | null>;
}

export interface Edit {
  readonly dueAt?: Date;
  readonly delayMs?: number;
  readonly input?: Wire;
  readonly priority?: number;
  readonly attempts?: number;
}
/** What became of one act on one run. `asked`: a node holds it, and was asked: to cancel it, or to give it back for an edit, which is
 *  repeated then. `refused`: it is in another state. */
export type Act = {
  readonly id: number;
  readonly done: "done" | "asked" | "refused" | "missing";
  readonly status: Status | null;
};

/** Acts of people and application code. Each is one atomic step a run. */
export interface Desk {
  /** Runs that they made as workflows, and so on, are canceled with them, with the reason `parent`. */
  cancel(ids: readonly number[], reason?: Reason): Promise<readonly Act[]>;
  /** Runs that ended so become pending again, with their history. Canceled ones: at their instant or now, with the attempts that they had.
   *  Failed ones: now, with all that their policy allows again; steps that failed are tried again, other entries of the journal stay. */
  revive(ids: readonly number[], from: "failed" | "canceled"): Promise<readonly Act[]>;
  /** Pending runs only. The node of a leased one that is not known to have started is asked to give it back. */
  edit(id: number, edit: Edit): Promise<Act>;
  /** Runs of a paused queue wait; those that started go on. Answers of how many runs that nodes have leased it is not known whether they have
   *  started; the nodes are told, and give back those that have not. 0 for a queue that goes on. */
  pause(queue: string, paused: boolean): Promise<number>;
  /** Deletes finished runs with all that belongs to them, at most `limit`; answers how many. */
  purge(filter: PurgeFilter, limit: number): Promise<number>;
}
export interface PurgeFilter {
  readonly ids?: readonly number[];
  readonly status?: readonly Final[];
  readonly job?: readonly string[];
  /** Those that ended before. */
  readonly before?: Date;
  /** Deletes the record of this attempt instead, and no run. No other field is given then. */
  readonly attempt?: { readonly run: number; readonly token: number };
}

/** When a schedule ticks, and what a tick does: checked, defaults filled in. Exactly one of `cron`, `everyMs` and `atMs`. */
export interface Rule {
  readonly cron?: string;
  /** IANA zone of `cron`. */
  readonly timezone?: string;
  /** What happens at clock changes, where the author chose. */
  readonly dst?: { readonly gap?: "next" | "skip"; readonly overlap?: "first" | "last" | "both" };
  /** Ticks at `anchorMs` + k × `everyMs`; the anchor is the epoch by default. */
  readonly everyMs?: number;
  readonly anchorMs?: number;
  /** Ticks once. */
  readonly atMs?: number;
  /** Runs start up to this long after their tick, by a hash of the schedule: always the same for one schedule. */
  readonly spreadMs?: number;
  /** No ticks before and after these instants. */
  readonly startsMs?: number;
  readonly endsMs?: number;
  /** How many runs it makes in all. */
  readonly limit?: number;
  /** Of its runs: replaces parts of the job's policy. */
  readonly retry?: RunOptions["retry"];
  /** What happens to a tick while a run of the schedule is live. */
  readonly overlap: "allow" | "skip" | "cancel";
  /** Of the ticks that no process was up for, the latest `max` that are at most `withinMs` old; null: of any age. */
  readonly catchUp: { readonly max: number; readonly withinMs: number | null };
}

/** A schedule to be stored. Job and key name it. */
export interface NewSchedule {
  /** The job's id. */
  readonly job: string;
  /** "" where the job has one schedule only. */
  readonly key: string;
  /** When it ticks, with defaults filled in. */
  readonly rule: Rule;
  readonly input: Wire;
  /** Of its runs; null: the job's own. */
  readonly queue: string | null;
  /** Of its runs; null: the job's own. */
  readonly priority: number | null;
  /** Added to the job's own. */
  readonly tags: readonly string[];
}
export type ScheduleName = Pick<NewSchedule, "job" | "key">;

export interface ScheduleRecord extends NewSchedule {
  /** True: its job's code declares it. False: it was made at run time. */
  readonly declared: boolean;
  /** It does not make runs until it is resumed. */
  readonly paused: boolean;
  /** When its next run starts, spread included; null while paused, and after its end. */
  readonly nextAt: Date | null;
  /** True until a node has worked out the next tick: the first one after `nextAt`. */
  readonly fresh: boolean;
  /** The last tick for which a node made a run, or skipped one by `overlap`. */
  readonly lastTick: Date | null;
  /** The last run that it made, and what became of it; null if it did not make one, and once that was purged. */
  readonly last: { readonly run: number; readonly status: Status; readonly reason: Reason | null } | null;
  /** How many runs it has made. */
  readonly count: number;
  /** Whether a live node has its job. A declared schedule does not make runs while none has. */
  readonly served: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** Schedules as people and application code see them. Each method is one atomic step. */
export interface Schedules {
  /** Makes schedules, or changes them: a paused one stays paused; one whose rule changed takes the next tick of the new one.
   *  A bad item, or one that a job's code declares, answers an error alone. */
  put(batch: readonly NewSchedule[]): Promise<readonly (ScheduleRecord | Error)[]>;
  /** By job, then key. One schedule alone by its job and key. */
  list(filter: ScheduleFilter, page?: Paging): Promise<SchedulePage>;
  /** Pauses it, or lets it go on; null if there is none. One that goes on takes its next tick from now on; a one-shot that has not ticked,
   *  its instant or now. */
  pause(name: ScheduleName, paused: boolean): Promise<ScheduleRecord | null>;
  /** Deletes it; its runs stay. False: it does not exist. A declared one is deleted only while no live node has its job.
   *  @throws {InvalidInput} for a declared one whose job a live node has */
  remove(name: ScheduleName): Promise<boolean>;
}
/** `at`: the store's clock when it was read. */
export interface SchedulePage extends Page<ScheduleRecord> {
  readonly at: Date;
}
export interface ScheduleFilter {
  readonly job?: readonly string[];
  /** Only together with one `job`. */
  readonly key?: string;
  readonly paused?: boolean;
  readonly declared?: boolean;
}

/** What people and application code do with journals. */
export interface Mailbox {
  /** Sends; answers are in order. With `tx` it arrives once that commits: nothing is known of the run before, so the answer is `sent`. */
  send(batch: readonly Mail[], tx?: Tx): Promise<readonly Sent[]>;
  /** The journal of a run, live or ended; empty if it has none. */
  read(run: number): Promise<readonly Entry[]>;
  /** Replaces the journal of a run that waits, and wakes it. `last`: the place of its last entry, 0 for none; refused if it has gone on since.
   *  `pin`: from now on only nodes with this version of the code take the run; null: all nodes do. */
  mend(run: number, entries: readonly Entry[], last: number, pin?: string | null): Promise<Act>;
}

/** What `trigger`, `runs`, `queues`, `schedules` and a run's handle talk to. */
export interface Target extends Adds {
  readonly find: Find;
  readonly desk: Desk;
  readonly schedules: Schedules;
  readonly flow: Mailbox;
  readonly feed: FeedView;
  /** Ends connections. */
  close(): Promise<void>;
}

/** Those of the methods `K`, and any of the others. */
export type Some<T, K extends keyof T> = Pick<T, K> & Partial<T>;

/** The part of a store for application code, as the store is written; the runtime's guard makes a Target of it. */
export interface Bare {
  /** For logs and errors, without secrets: `postgres 127.0.0.1:5432/app schema tasker`. */
  readonly name: string;
  readonly runs: {
    add(batch: readonly NewRun[], how?: { readonly tx?: Tx | undefined }): Promise<readonly (Added | Error)[]>;
  };
  readonly find: Some<Find, "get" | "list">;
  readonly desk: Some<Desk, "cancel">;
  readonly schedules?: Schedules;
  readonly flow?: Mailbox;
  readonly feed?: Feed;
  /** Connects and brings the schema up to date, once; waits for a database that is away until `signal` aborts. */
  open(signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
