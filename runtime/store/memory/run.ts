import type { NewRun } from "../../../sdk/port/target.ts";
import type {
  Adding,
  Claim,
  Fence,
  Keep,
  Lease,
  LeasedFor,
  Note,
  Outcome,
  Runs,
  Settled,
  Settlement,
  Sweep,
  Swept,
  Taken,
} from "../port.ts";
import { crashed, expired } from "../guard.ts";
import { addAll, addOne } from "./add.ts";
import { deleteRuns } from "./desk.ts";
import {
  cancel,
  finish,
  frozen,
  isHeld,
  isLeased,
  makePending,
  type NodeRow,
  recordAttempt,
  type Row,
  type State,
  step,
} from "./state.ts";

/** The way of a run, in memory. */
export function runs(state: State): Runs {
  return {
    lease: step((claim) => ({ leases: take(state, claim).map((row) => leaseOf(row)), nowMs: state.now() })),
    add: step((batch, how) => add(state, batch, how)),
    settle: step((batch) => batch.map((settlement) => settle(state, settlement))),
    hold: step((node, started) =>
      started.filter((each) => !hold(state, node, each)).map(({ id, token }) => ({ id, token })),
    ),
    sweep: step((options) => sweep(state, options)),
    listen: step((node, hear) => {
      const ear = { node, hear };
      state.ears.add(ear);
      return step(() => void state.ears.delete(ear));
    }),
    note: step((batch) => batch.filter((each) => !note(state, each)).map(({ id, token }) => ({ id, token }))),
  };
}

function note(state: State, { lines = [], progress, ...fence }: Note): boolean {
  const row = ours(state, fence);
  if (!row) return false;
  if (progress) row.progress = frozen(progress);
  for (const line of lines) {
    state.logs.set(state.next("record"), { run: row.id, ...line, at: new Date(line.at) });
  }
  return true;
}

/** Deletes history that is kept no longer; answers how much. */
function prune(state: State, { completedMs, otherMs }: Keep): number {
  const isOver = ({ end }: Row): boolean =>
    end!.finishedMs < state.now() - (end!.status === "completed" ? completedMs : otherMs);
  return deleteRuns(state, [...state.history.values()].filter(isOver), true);
}

/** The run, if this lease on it was given and not ended: the fence is id and token alone. */
function ours(state: State, { id, token }: Fence): Row | null {
  const row = state.live.get(id);
  return row?.token === token && (row.held || row.leaseUntil !== null) ? row : null;
}

const byReady = (a: Row, b: Row): number => a.readyMs - b.readyMs || a.id - b.id;

function take(state: State, claim: Claim): readonly Row[] {
  const nowMs = state.now();
  const { queues } = claim;
  const selects = (queue: string): boolean =>
    "only" in queues ? queues.only.includes(queue) : !queues.not.includes(queue);
  const isFree = (row: Row): boolean =>
    row.readyMs <= nowMs + claim.aheadMs &&
    !isHeld(state, row) &&
    crashesOf(row) < (claim.crashesBelow ?? Infinity) &&
    claim.jobs.includes(row.job) &&
    selects(row.queue) &&
    !state.queues.get(row.queue);
  const lanes = [...lanesOf(state.live.values(), isFree)];
  const free =
    claim.order === "oldest"
      ? lanes.flatMap(([, rows]) => rows).sort(byReady)
      : [true, false].flatMap((due) =>
          inTurns(
            state,
            only(lanes, (row) => row.readyMs <= nowMs === due),
            claim.limit,
          ),
        );
  const taken = free.slice(0, claim.limit);
  const turn = state.next("claim");
  for (const row of taken) {
    row.crashes = crashesOf(row);
    Object.assign(row, { token: row.token + 1, node: claim.node, leaseUntil: nowMs + claim.ttlMs, startedMs: null });
    state.turns.set(laneOf(row), turn);
  }
  return taken;
}

const laneOf = (row: Row): string => JSON.stringify([row.queue, row.job, row.priority]);

/** The free rows by lane. Neighbours are mostly of one lane, so its name is seldom asked for. */
function lanesOf(rows: Iterable<Row>, isFree: (row: Row) => boolean): Map<string, Row[]> {
  const lanes = new Map<string, Row[]>();
  let [last, lane]: [Row | null, Row[]] = [null, []];
  for (const row of rows) {
    if (!isFree(row)) continue;
    if (row.job !== last?.job || row.queue !== last.queue || row.priority !== last.priority) {
      const name = laneOf(row);
      lane = lanes.get(name) ?? [];
      lanes.set(name, lane);
    }
    lane.push(row);
    last = row;
  }
  return lanes;
}

/** Of each lane the rows that are wanted, without lanes that have none. */
function only(
  lanes: readonly (readonly [string, Row[]])[],
  isWanted: (row: Row) => boolean,
): readonly (readonly [string, Row[]])[] {
  return lanes.map(([name, rows]) => [name, rows.filter(isWanted)] as const).filter(([, rows]) => rows.length > 0);
}

/** Higher priorities first; among equal ones, the lane that has waited longest for its turn. As many rows as are wanted. */
function inTurns(state: State, lanes: readonly (readonly [string, Row[]])[], limit: number): readonly Row[] {
  const turnOf = (name: string): number => state.turns.get(name) ?? 0;
  const inOrder = lanes.toSorted(
    ([a, [first]], [b, [second]]) => second!.priority - first!.priority || turnOf(a) - turnOf(b),
  );
  const taken: Row[] = [];
  for (const [, rows] of inOrder) {
    if (taken.length >= limit) break;
    taken.push(...rows.sort(byReady).slice(0, limit));
  }
  return taken;
}

/** How often a free run has crashed. One whose lease ran out: its node is gone; whether the run did it, nobody knows. */
function crashesOf({ crashes, leaseUntil }: Row): number {
  return leaseUntil === null ? crashes : Math.max(crashes, 1);
}

function add(state: State, batch: readonly NewRun[], { lease }: Adding = {}): readonly (Taken | Error)[] {
  if (lease) return batch.map((run) => addLeased(state, run, lease));
  return addAll(state, batch);
}

function addLeased(state: State, run: NewRun, { node, ttlMs }: LeasedFor): Taken | Error {
  const [added, nowMs] = [addOne(state, run, []), state.now()];
  if (added instanceof Error) return added;
  if (state.queues.get(run.queue)) return { ...added, lease: null, nowMs };
  const row = state.live.get(added.id)!;
  Object.assign(row, { token: 1, node, leaseUntil: nowMs + ttlMs });
  return { ...added, lease: leaseOf(row), nowMs };
}

function leaseOf(row: Row): Lease {
  const { id, token, job, queue, priority, dueMs, createdMs, expiresMs, attempt, crashes, input, tags, key, options } =
    row;
  return {
    id,
    token,
    job,
    queue,
    priority,
    dueMs,
    createdMs,
    expiresMs: crashes === 0 ? expiresMs : null, // it may have started before
    attempt,
    crashes,
    input,
    tags,
    key,
    options,
    canceling: row.ask !== null,
  };
}

function settle(state: State, settlement: Settlement): Settled {
  const known = state.live.get(settlement.id) ?? state.history.get(settlement.id);
  if (known?.answered?.token === settlement.token) return known.answered.answer;
  const row = ours(state, settlement);
  const { outcome } = settlement;
  if (!row) return outcome.to === "released" && isFree(known, settlement) ? "settled" : "lost";
  const answer = row.ask === null ? "settled" : "canceled";
  if (outcome.to !== "released") row.answered = { token: row.token, answer };
  row.startedMs = settlement.startedMs;
  if (row.ask !== null) end(state, row, { to: "canceled", reason: row.ask, error: null }, settlement);
  else if (outcome.to === "released") makePending(state, row, Math.max(state.now(), row.dueMs));
  else if (outcome.to === "pending") retry(state, row, outcome);
  else end(state, row, outcome, settlement);
  return answer;
}

/** Whether a run waits again under the token that it was released with. */
function isFree(row: Row | undefined, { token }: Fence): boolean {
  return row?.token === token && row.end === null;
}

function retry(state: State, row: Row, { delayMs, spent, outcome, error }: Extract<Outcome, { to: "pending" }>): void {
  const retryMs = Math.ceil(state.now() + delayMs);
  recordAttempt(state, row, { outcome, error, retryMs });
  if (spent) row.attempt++;
  Object.assign(row, { dueMs: retryMs, expiresMs: null });
  makePending(state, row, retryMs);
}

function end(state: State, row: Row, outcome: Exclude<Outcome, { to: "pending" }>, { hooks }: Settlement): void {
  const { to: status, reason } = outcome;
  const error = status === "completed" ? null : outcome.error;
  const isStarted = row.startedMs !== null;
  if (status === "canceled" && isStarted) recordAttempt(state, row, { outcome: "canceled", error, retryMs: null });
  if (status === "failed" && reason !== "expired") recordAttempt(state, row, { outcome: reason, error, retryMs: null });
  if (isStarted) row.attempt++;
  const [result, note] =
    status === "completed" ? [outcome.result && frozen(outcome.result), outcome.note] : [null, null];
  finish(state, row, { status, reason, result, error, note }, hooks);
}

function hold(state: State, node: number, each: Fence & { readonly startedMs: number | null }): boolean {
  const row = ours(state, each);
  if (!row) return false;
  Object.assign(row, { held: true, node, startedMs: each.startedMs ?? row.startedMs });
  if (row.startedMs !== null) row.expiresMs = null;
  return true;
}

/** How long after its end a node is forgotten. */
const forgetMs = 3_600_000;

/** Does all that there is to do. */
function sweep(state: State, { maxCrashes, node: self = 0, keep }: Sweep): Swept {
  const swept = {
    recovered: [] as number[],
    crashed: [] as number[],
    canceled: [] as number[],
    expired: [] as number[],
  };
  for (const row of [...state.live.values()]) {
    if (isOrphan(state, row, self)) swept[recover(state, row, maxCrashes)].push(row.id);
    else if (isLate(state, row)) swept[expire(state, row)].push(row.id);
  }
  let nodes = 0;
  for (const node of state.nodes.values()) if (isOver(state, node) && state.nodes.delete(node.id)) nodes++;
  return { ...swept, nodes, pruned: keep ? prune(state, keep) : 0, more: false };
}

/** Whether a sweep by this node would find something. */
export function isToSweep(state: State, self: number): boolean {
  const rows = [...state.live.values()];
  return (
    rows.some((row) => isOrphan(state, row, self) || isLate(state, row)) ||
    [...state.nodes.values()].some((node) => isOver(state, node))
  );
}

/** Nobody has the run any more: its node is dead, or its lease ended while a cancel waited for its node. */
function isOrphan(state: State, row: Row, self: number): boolean {
  if (!row.held) return row.ask !== null && !isHeld(state, row);
  return row.node !== self && (state.nodes.get(row.node!)?.leaseUntil ?? 0) < state.now();
}

function isLate(state: State, row: Row): boolean {
  return row.expiresMs !== null && row.expiresMs <= state.now() && !isLeased(row);
}

function isOver(state: State, { leaseUntil }: NodeRow): boolean {
  return leaseUntil < state.now() - forgetMs;
}

/** Takes a run from a dead node. Its token moves on, so that the node's writes are refused. */
function recover(state: State, row: Row, maxCrashes: number): "recovered" | "crashed" | "canceled" {
  const isStarted = row.startedMs !== null;
  const crashes = isStarted ? row.crashes + 1 : Math.max(row.crashes, 1); // only a recorded start says who did it
  const isOver = isStarted && crashes >= maxCrashes;
  const error = isOver ? crashed(crashes) : null;
  const readyMs = Math.max(state.now(), row.dueMs);
  recordAttempt(state, row, { outcome: "crashed", error, retryMs: isOver || row.ask !== null ? null : readyMs });
  Object.assign(row, { crashes, token: row.token + 1 });
  if (row.ask !== null) {
    cancel(state, row, row.ask);
    return "canceled";
  }
  if (isOver) finish(state, row, { status: "failed", reason: "crashed", result: null, error, note: null });
  else makePending(state, row, readyMs);
  return isOver ? "crashed" : "recovered";
}

function expire(state: State, row: Row): "expired" {
  finish(state, row, { status: "failed", reason: "expired", result: null, error: expired, note: null });
  return "expired";
}
