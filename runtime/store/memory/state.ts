/** The state of the memory store, and steps that its ports share. */
import { isDeepStrictEqual } from "node:util";
import type { Reason, Status } from "../../../sdk/port/status.ts";
import type { Act, AttemptRecord, HookKind, JobRecord, LogRecord, RunRecord } from "../../../sdk/port/target.ts";
import type { Entry, Mail } from "../../../sdk/port/flow.ts";
import { hookQueue } from "../../../sdk/port/option.ts";
import type { Fence, Heard, NodeInfo } from "../port.ts";
import { Lanes, places } from "./lane.ts";
import type { Row as FeedRow } from "../place.ts";
import type { Ending, Figures, KeyRow, NodeRow, Row, ScheduleRow } from "./row.ts";

interface Ear {
  readonly node: number;
  readonly hear: (what: Heard, runs?: readonly number[]) => void;
}
type Numbered = "run" | "node" | "record" | "claim";

export type State = ReturnType<typeof makeState>;

/** An empty state, whose clock stood at `nowMs` before. */
export function makeState(clock: () => number, nowMs = 0) {
  const lanes = new Lanes();
  return {
    /** Whole epoch ms. Constant during a step; never goes back. */
    now: () => nowMs,
    /** Makes a synchronous function a method of the store. It reads the clock once. */
    step:
      <A extends readonly unknown[], T>(act: (...args: A) => T) =>
      (...args: A) =>
        new Promise<T>((resolve) => {
          nowMs = Math.max(nowMs, Math.floor(clock()));
          lanes.lapse(nowMs);
          resolve(act(...args));
        }),
    lanes,
    runs: new Map<number, Row>(),
    keys: new Map<string, KeyRow>(),
    /** By an ascending number. */
    attempts: new Map<number, AttemptRecord>(),
    logs: new Map<number, LogRecord>(),
    /** Run → its journal, in order. */
    journals: new Map<number, Entry[]>(),
    /** Run → what it has not taken in, in order. */
    mail: new Map<number, (Omit<Mail, "to"> & { readonly atMs: number })[]>(),
    /** What ended, by minute and by hour: a row a part, queue and job, oldest first. */
    minutes: new Map<string, Figures>(),
    hours: new Map<string, Figures>(),
    nodes: new Map<number, NodeRow>(),
    /** All nodes that ever joined. */
    names: new Map<number, Omit<NodeInfo, "app">>(),
    /** With the node that had it last. */
    jobs: new Map<string, JobRecord & { readonly node: number }>(),
    /** Queue → since when it is paused; null: it is not. */
    queues: new Map<string, number | null>(),
    /** By `keyName`. */
    schedules: new Map<string, ScheduleRow>(),
    /** Job → versions of its declared schedules, oldest first. */
    versions: new Map<string, readonly string[]>(),
    /** Job → the index of the version in force. */
    applied: new Map<string, number>(),
    /** Node → job → the index of its version. */
    declared: new Map<number, ReadonlyMap<string, number>>(),
    /** Lane → the number of the last claim that took from it. */
    turns: new Map<string, number>(),
    /** The last number of each sequence. */
    last: new Map<Numbered, number>(),
    ears: new Set<Ear>(),
    /** Node → when it was last asked to record starts. */
    looks: new Map<number, number>(),
    /** Run → callbacks at its end. */
    waiters: new Map<number, Set<() => void>>(),
    /** Run → the live runs that it made as a workflow. */
    children: new Map<number, Set<number>>(),
    /** What is told to those who watch, until `untilMs`, and who waits for more. */
    feed: {
      epoch: 0,
      n: 0,
      untilMs: 0,

      rows: new Array<FeedRow>(),
      readers: new Set<() => void>(),
    },
  };
}

export function keyName(job: string, key: string): string {
  return JSON.stringify([job, key]);
}

/** The next number of a sequence. */
export function next(state: State, of: Numbered): number {
  const number = (state.last.get(of) ?? 0) + 1;
  state.last.set(of, number);
  return number;
}

/** Changes a run, and moves it between indexes. */
export function patch(state: State, row: Row, changes: Partial<Row>): void {
  const isMoved = Object.keys(changes).some((field) => places.has(field));
  if (isMoved) state.lanes.leave(row);
  Object.assign(row, changes);
  if (isMoved) state.lanes.enter(row);
}

/** A deep, frozen copy. */
export function frozen<T>(value: T): T {
  return freeze(structuredClone(value));
}
function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) Object.values(Object.freeze(value)).forEach(freeze);
  return value;
}

/** A copy of a journal, numbered by place. */
export function numbered(entries: readonly Entry[]): Entry[] {
  return entries.map((entry, i) => frozen({ ...entry, n: i + 1 }));
}

export function isPaused({ queues }: Pick<State, "queues">, queue: string): boolean {
  return (queues.get(queue) ?? null) !== null;
}

/** Whether a lease on the run was taken and not settled; it may have lapsed. */
export function isLeased(row: Row): boolean {
  return row.held || row.leaseUntil !== null;
}

/** The run, if its lease still has this token. */
export function ours(state: State, { id, token }: Fence): Row | null {
  const row = state.runs.get(id);
  return row?.token === token && isLeased(row) ? row : null;
}

/** Whether a node's lease on the run stands by the clock. */
export function isHeld(state: Pick<State, "now">, row: Row): boolean {
  return row.held || (row.node !== null && row.leaseUntil !== null && row.leaseUntil >= state.now());
}

/** How long a run that was given back is reserved for the act. */
const asideMs = 1000;

/** Ends a lease, and reserves the run for the act that asked for it. */
export function putAside(state: State, row: Row): void {
  const [leaseUntil, readyMs] = [state.now() + asideMs, Math.max(state.now(), row.dueMs)];
  patch(state, row, { node: null, held: false, back: false, token: row.token + 1, leaseUntil, readyMs });
}

/** Ends a reservation, which is a lease without a node. */
export function takenBack({ node, leaseUntil }: Row): Partial<Row> {
  return { leaseUntil: node === null ? null : leaseUntil };
}

/** Asks the node of a leased run to give it back. False if it is not leased, has started, or is being canceled. */
export function askBack(state: State, row: Row): boolean {
  if (!isHeld(state, row) || row.startedMs !== null || row.ask !== null) return false;
  patch(state, row, { back: true });
  tell(state, "command", row.node!);
  return true;
}

/** A node is asked to record starts once in this time at most. */
const lookMs = 1000;

/** Asks nodes that are awake to record which runs have started. */
export function look(state: State, nodes: Iterable<number>): void {
  for (const id of nodes) {
    const node = state.nodes.get(id);
    if (!node || node.asleep || !isAlive(state, node) || isLooked(state, id)) continue;
    state.looks.set(id, state.now());
    tell(state, "command", id);
  }
}

/** Whether the node was asked within `lookMs`. */
export function isLooked(state: State, node: number): boolean {
  return (state.looks.get(node) ?? -Infinity) > state.now() - lookMs;
}

export function statusOf(state: Pick<State, "now">, row: Row): Status {
  if (row.end) return row.end.status;
  if (!isHeld(state, row)) return row.waits && row.readyMs > state.now() ? "waiting" : "pending";
  return row.held && row.startedMs !== null ? "running" : "leased";
}

/** Why it ended, or what it waits for. */
export function reasonOf(state: Pick<State, "now">, row: Row): Reason | null {
  return row.end?.reason ?? (statusOf(state, row) === "waiting" ? row.waits!.reason : null);
}

export function insert(state: State, run: Pick<Row, "job" | "queue" | "priority" | "input"> & Partial<Row>): Row {
  const nowMs = state.now();
  const row: Row = {
    id: next(state, "run"),
    createdMs: nowMs,
    tags: [],
    key: null,
    replayOf: null,
    options: null,
    dueMs: nowMs,
    readyMs: run.dueMs ?? nowMs,
    expiresMs: null,
    attempt: 0,
    spent: 0,
    crashes: 0,
    token: 0,
    node: null,
    leaseUntil: null,
    held: false,
    startedMs: null,
    ask: null,
    back: false,
    progress: null,
    waits: null,
    inbox: 0,
    urgent: 0,
    parent: null,
    answered: null,
    end: null,
    ...run,
  };
  state.runs.set(row.id, row);
  state.lanes.enter(row);
  if (!state.queues.has(row.queue) && row.queue !== hookQueue) state.queues.set(row.queue, null);
  return row;
}

/** Ends the lease; the run is claimable from `readyMs` on. */
export function makePending(state: State, row: Row, readyMs: number, changes: Partial<Row> = {}): void {
  patch(state, row, { ...changes, leaseUntil: null, held: false, readyMs });
  tellDue(state, [row]);
}

const hookOf = { completed: "success", failed: "failure", canceled: "cancel" } as const;

/** Writes a final state, adds the hook's run if `hooks` has one for it, cancels what a canceled run made, and tells its parent and who waits. */
export function finish(state: State, row: Row, end: Ending, hooks = state.jobs.get(row.job)?.hooks ?? []): void {
  const over = { leaseUntil: null, held: false, ask: null, expiresMs: null };
  const { parent } = row;
  patch(state, row, {
    ...over,
    ...{ waits: null, inbox: 0, urgent: 0, parent: null },
    end: { ...end, error: end.error && frozen(end.error), finishedMs: state.now() },
  });
  state.mail.delete(row.id);
  addHook(state, row, hookOf[end.status], hooks);
  if (end.status === "canceled") stopChildren(state, row);
  if (parent) tellParent(state, row, parent, end);
  for (const wake of state.waiters.get(row.id) ?? []) wake();
}

function addHook(state: State, row: Row, kind: HookKind, hooks: readonly HookKind[]): void {
  if (row.options?.hook || !hooks.includes(kind)) return;
  const { id, job, input } = row;
  tellDue(state, [
    insert(state, { job, queue: hookQueue, priority: 5, input, options: frozen({ hook: { kind, of: id } }) }),
  ]);
}

/** Finishes an unleased run as canceled. */
export function cancel(state: State, row: Row, reason: Reason): void {
  finish(state, row, { status: "canceled", reason, result: null, error: null, note: null });
}

/** Cancels a run, or asks its node to, with all that it made. */
export function stop(state: State, row: Row, reason: Reason): Act["done"] {
  if (row.end) return "refused";
  if (!isHeld(state, row)) {
    cancel(state, row, reason);
    return "done";
  }
  patch(state, row, { ask: row.ask ?? reason });
  tell(state, "command", row.node!);
  stopChildren(state, row);
  return "asked";
}

function stopChildren(state: State, { id }: Row): void {
  for (const child of [...childrenOf(state, id)]) stop(state, state.runs.get(child)!, "parent");
}

/** The live runs that a workflow made. */
export function childrenOf(state: State, id: number): Set<number> {
  const children = state.children.get(id) ?? new Set();
  state.children.set(id, children);
  return children;
}

function tellParent(state: State, { id }: Row, parent: NonNullable<Row["parent"]>, end: Ending): void {
  const siblings = childrenOf(state, parent.run);
  siblings.delete(id);
  if (siblings.size === 0) state.children.delete(parent.run);
  const row = state.runs.get(parent.run);
  const { status, reason, error, result: value } = end;
  const data = JSON.stringify({ run: id, status, reason, error });
  if (row && !row.end) post(state, row, { name: parent.key, value, data }, status !== "completed");
}

/** Puts something into the mailbox of a live run, and wakes it if that is what it waits for. */
export function post(state: State, row: Row, mail: Omit<Mail, "to">, isUrgent: boolean): void {
  const inbox = row.inbox + 1;
  state.mail.set(row.id, state.mail.get(row.id) ?? []);
  state.mail.get(row.id)!.push(frozen({ ...mail, atMs: state.now() }));
  patch(state, row, { inbox, urgent: isUrgent ? inbox : row.urgent });
  const isWoken = wake(state, row);
  if (isHeld(state, row)) tell(state, isWoken ? "woken" : "sent", row.node!, [row.id]);
}

/** Makes a run due whose wait is over, and answers whether it is: more was sent to it than it knows of, and that is urgent, or as much as it wants. */
export function wake(state: State, row: Row): boolean {
  const { waits, urgent, inbox, readyMs } = row;
  const nowMs = state.now();
  if (!waits || waits.reason === "parked" || readyMs <= nowMs) return false;
  if (urgent <= waits.seen && inbox < waits.seen + Math.max(1, waits.wants)) return false;
  patch(state, row, { dueMs: nowMs, readyMs: nowMs });
  tellDue(state, [row]);
  return true;
}

/** Records the ended attempt of a leased run. */
export function recordAttempt(
  state: State,
  row: Row,
  ended: Pick<AttemptRecord, "outcome" | "error"> & { readonly retryMs: number | null },
): void {
  state.attempts.set(next(state, "record"), {
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

/** Nodes hear of runs that are due this soon. Later runs are found by polling, unless a node sleeps. */
const soonMs = 60_000;

/** Calls listeners if one of the runs is due soon. */
export function tellDue(state: State, rows: readonly Row[]): void {
  const sleeps = [...state.nodes.values()].some((node) => node.asleep && isAlive(state, node));
  const until = sleeps ? Infinity : state.now() + soonMs;
  if (rows.some((row) => row.readyMs < until)) tell(state, "due");
}

/** Calls all listeners, or those of one node, in a microtask. */
export function tell(state: State, what: Heard, node?: number, runs?: readonly number[]): void {
  for (const ear of state.ears)
    if (node === undefined || ear.node === node)
      queueMicrotask(() => {
        if (state.ears.has(ear)) ear.hear(what, runs);
      });
}

export function isAlive(state: State, { leaseUntil }: NodeRow): boolean {
  return leaseUntil >= state.now();
}

export function dateOf(ms: number | null): Date | null {
  return ms === null ? null : new Date(ms);
}

/** The name of the run's latest node. */
function nodeOf(state: State, { node }: Row): string | null {
  return node === null ? null : (state.names.get(node)?.name ?? null);
}

export function recordOf(state: State, row: Row): RunRecord {
  const { id, job, queue, priority, attempt, crashes, token, tags, key, input, progress, options, replayOf, end } = row;
  return {
    ...{ id, job, queue, priority, attempt, crashes, token, tags, key, input, progress, options, replayOf },
    node: nodeOf(state, row),
    status: statusOf(state, row),
    reason: reasonOf(state, row),
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

/** The node with these jobs; `jobsMs` changes with them. */
export function withJobs(row: NodeRow, jobs: readonly string[], nowMs: number): NodeRow {
  return { ...row, jobs: [...jobs], jobsMs: isDeepStrictEqual(row.jobs, jobs) ? row.jobsMs : nowMs };
}
