/** What the memory store holds, and the few steps that several of its ports share. */
import { isDeepStrictEqual } from "node:util";
import type { Wire } from "../../../sdk/port/codec.ts";
import type { Final, Reason, Status } from "../../../sdk/port/status.ts";
import type {
  AttemptRecord,
  HookKind,
  JobRecord,
  LogRecord,
  NewSchedule,
  NodeStat,
  Progress,
  RunOptions,
  RunRecord,
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

/** A run. Instants are epoch ms. */
export interface Row {
  readonly id: number;
  readonly job: string;
  readonly createdMs: number;
  readonly key: string | null;
  readonly replayOf: number | null;
  queue: string;
  priority: number;
  tags: readonly string[];
  input: Wire;
  options: RunOptions | null;
  dueMs: number;
  /** When it became, or will become, claimable: what a lane is ordered by. */
  readyMs: number;
  /** Null without a ttl, and once the run has started. */
  expiresMs: number | null;
  attempt: number;
  crashes: number;
  token: number;
  node: number | null;
  /** End of the row's own lease; null while nobody has one. */
  leaseUntil: number | null;
  /** True: it lives by the lease of its node instead. */
  held: boolean;
  /** Start of the latest attempt, where it was told. */
  startedMs: number | null;
  /** Why a cancel waits for the node that has the run. */
  ask: Reason | null;
  progress: Progress | null;
  /** What the latest settled token was answered. */
  answered: { readonly token: number; readonly answer: Settled } | null;
  end: (Ending & { readonly finishedMs: number }) | null;
}

/** A claim of a run on its key. Whether it still stands is read from the run. */
export interface KeyRow {
  readonly run: number;
  readonly keepMs: number;
  /** A completed run that was pruned before that holds its key till then. */
  readonly untilMs: number;
  hash: string;
}
/** `jobsMs`: since when it has had just these jobs. */
export type NodeRow = Omit<NodeStat, "alive"> & {
  readonly leaseUntil: number;
  readonly jobsMs: number;
};
export interface Ear {
  readonly node: number;
  readonly hear: (what: Heard) => void;
}
type Heard = "due" | "command" | "tick";

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

export interface State {
  /** Epoch ms, whole. */
  readonly now: () => number;
  readonly live: Map<number, Row>;
  readonly history: Map<number, Row>;
  readonly keys: Map<string, KeyRow>;
  /** By a number that grows; newest last. */
  readonly attempts: Map<number, AttemptRecord>;
  readonly logs: Map<number, LogRecord>;
  readonly nodes: Map<number, NodeRow>;
  /** Names, and versions of the code, of all nodes that ever joined. */
  readonly names: Map<number, { readonly name: string; readonly version: string }>;
  readonly tallies: { readonly atMs: number; readonly tally: Tally }[];
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
  readonly ears: Set<Ear>;
  /** Run → those who wait for its end. */
  readonly waiters: Map<number, Set<() => void>>;
  /** The next of one sequence that numbers runs, nodes, records and claims apart. */
  next(of: "run" | "node" | "record" | "claim"): number;
}

/** An empty store that reads time from `now`. */
export function makeState(now: () => number): State {
  const last = { run: 0, node: 0, record: 0, claim: 0 };
  return {
    now: () => Math.floor(now()),
    live: new Map(),
    history: new Map(),
    keys: new Map(),
    attempts: new Map(),
    logs: new Map(),
    nodes: new Map(),
    names: new Map(),
    tallies: [],
    jobs: new Map(),
    queues: new Map(),
    schedules: new Map(),
    versions: new Map(),
    applied: new Map(),
    declared: new Map(),
    turns: new Map(),
    ears: new Set(),
    waiters: new Map(),
    next: (of) => ++last[of],
  };
}

/** A job and a key as one text. */
export function keyName(job: string, key: string): string {
  return JSON.stringify([job, key]);
}

/** A step of the store as its callers see it: what it throws becomes a rejection. */
export function step<A extends readonly unknown[], T>(act: (...args: A) => T): (...args: A) => Promise<T> {
  return (...args) => new Promise((resolve) => resolve(act(...args)));
}

/** A deep, frozen copy: neither side can change what the other has. */
export function frozen<T>(value: T): T {
  return freeze(structuredClone(value));
}
function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) Object.values(Object.freeze(value)).forEach(freeze);
  return value;
}

/** Whether a lease on the run was taken and not ended, be it lapsed. */
export function isLeased(row: Row): boolean {
  return row.held || row.leaseUntil !== null;
}

/** Whether a node's lease on the run stands by the clock. */
export function isHeld(state: State, row: Row): boolean {
  return row.held || (row.leaseUntil !== null && row.leaseUntil >= state.now());
}

export function statusOf(state: State, row: Row): Status {
  if (row.end) return row.end.status;
  if (!isHeld(state, row)) return "pending";
  return row.held && row.startedMs !== null ? "running" : "leased";
}

/** Puts a new run beside the others. */
export function insert(state: State, run: Pick<Row, "job" | "queue" | "priority" | "input"> & Partial<Row>): Row {
  const nowMs = state.now();
  const row: Row = {
    id: state.next("run"),
    createdMs: nowMs,
    tags: [],
    key: null,
    replayOf: null,
    options: null,
    dueMs: nowMs,
    readyMs: run.dueMs ?? nowMs,
    expiresMs: null,
    attempt: 0,
    crashes: 0,
    token: 0,
    node: null,
    leaseUntil: null,
    held: false,
    startedMs: null,
    ask: null,
    progress: null,
    answered: null,
    end: null,
    ...run,
  };
  state.live.set(row.id, row);
  if (!state.queues.has(row.queue)) state.queues.set(row.queue, false);
  return row;
}

/** Gives up the lease; the run is claimable from `readyMs` on. */
export function makePending(state: State, row: Row, readyMs: number): void {
  Object.assign(row, { leaseUntil: null, held: false, readyMs });
  tellDue(state, [row]);
}

const hookOf = { completed: "success", failed: "failure", canceled: "cancel" } as const;

/** Writes a final state, adds the hook's run if `hooks` has one for it, and wakes who waits. */
export function finish(state: State, row: Row, end: Ending, hooks = state.jobs.get(row.job)?.hooks ?? []): void {
  row.end = { ...end, error: end.error && frozen(end.error), finishedMs: state.now() };
  Object.assign(row, { leaseUntil: null, held: false, ask: null, expiresMs: null });
  state.live.delete(row.id);
  state.history.set(row.id, row);
  addHook(state, row, hookOf[end.status], hooks);
  for (const wake of state.waiters.get(row.id) ?? []) wake();
}

function addHook(state: State, row: Row, kind: HookKind, hooks: readonly HookKind[]): void {
  if (row.options?.hook || !hooks.includes(kind)) return;
  const { id, job, input } = row;
  tellDue(state, [
    insert(state, { job, queue: "$hooks", priority: 5, input, options: frozen({ hook: { kind, of: id } }) }),
  ]);
}

/** Ends a run that no node has as canceled. */
export function cancel(state: State, row: Row, reason: Reason): void {
  finish(state, row, { status: "canceled", reason, result: null, error: null, note: null });
}

/** Puts the ended attempt of a leased run on record. */
export function recordAttempt(
  state: State,
  row: Row,
  ended: Pick<AttemptRecord, "outcome" | "error"> & { readonly retryMs: number | null },
): void {
  state.attempts.set(state.next("record"), {
    run: row.id,
    token: row.token,
    n: row.attempt + 1,
    job: row.job,
    node: nodeOf(state, row),
    startedAt: dateOf(row.startedMs),
    endedAt: new Date(state.now()),
    outcome: ended.outcome,
    error: ended.error && frozen(ended.error),
    retryAt: dateOf(ended.retryMs),
  });
}

/** How soon a run must be due for nodes to hear of it; later ones are found by polling, unless a node sleeps. */
const soonMs = 60_000;

/** Tells those who listen, if one of the runs is due soon. */
export function tellDue(state: State, rows: readonly Row[]): void {
  const sleeps = [...state.nodes.values()].some((node) => node.asleep && isAlive(state, node));
  const until = sleeps ? Infinity : state.now() + soonMs;
  if (rows.some((row) => row.readyMs < until)) for (const ear of state.ears) tell(state, ear, "due");
}

/** Calls back in a turn of its own, unless listening ends before. */
export function tell(state: State, ear: Ear, what: Heard): void {
  queueMicrotask(() => {
    if (state.ears.has(ear)) ear.hear(what);
  });
}

/** Whether a node's lease stands. */
export function isAlive(state: State, { leaseUntil }: NodeRow): boolean {
  return leaseUntil >= state.now();
}

export function dateOf(ms: number | null): Date | null {
  return ms === null ? null : new Date(ms);
}

/** The name of the node that has, or last had, the run. */
function nodeOf(state: State, { node }: Row): string | null {
  return node === null ? null : (state.names.get(node)?.name ?? null);
}

/** The run as its readers see it. */
export function recordOf(state: State, row: Row): RunRecord {
  const { id, job, queue, priority, attempt, crashes, token, tags, key, input, progress, options, replayOf, end } = row;
  return {
    ...{ id, job, queue, priority, attempt, crashes, token, tags, key, input, progress, options, replayOf },
    node: nodeOf(state, row),
    status: statusOf(state, row),
    reason: end?.reason ?? null,
    canceling: row.ask !== null,
    dueAt: new Date(row.dueMs),
    createdAt: new Date(row.createdMs),
    expiresAt: dateOf(row.expiresMs),
    startedAt: dateOf(row.startedMs),
    finishedAt: dateOf(end?.finishedMs ?? null),
    result: end?.result ?? null,
    error: end?.error ?? null,
    note: end?.note ?? null,
    version: (row.node !== null && state.names.get(row.node)?.version) || null,
  };
}

/** The node with these jobs; other ones than before count from now on. */
export function withJobs(row: NodeRow, jobs: readonly string[], nowMs: number): NodeRow {
  return { ...row, jobs: [...jobs], jobsMs: isDeepStrictEqual(row.jobs, jobs) ? row.jobsMs : nowMs };
}
