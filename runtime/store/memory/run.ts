import { homeOf, pinOf } from "../../../sdk/port/pin.ts";
import type { NewRun } from "../../../sdk/port/target.ts";
import type {
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
import { write } from "./flow.ts";
import { type Lane, laneOf } from "./lane.ts";
import type { NodeRow, Row } from "./row.ts";
import {
  cancel,
  finish,
  frozen,
  isHeld,
  isPaused,
  makePending,
  next,
  ours,
  patch,
  putAside,
  recordAttempt,
  type State,
  wake,
} from "./state.ts";

/** The runs of the memory store. */
export function runs(state: State): Runs {
  const { step } = state;
  return {
    lease: step((claim) => ({ leases: take(state, claim).map((row) => leaseOf(row)), nowMs: state.now() })),
    add: step((batch, { lease } = {}) =>
      lease ? batch.map((run) => addLeased(state, run, lease)) : addAll(state, batch),
    ),
    settle: step((batch) => batch.map((settlement) => settle(state, settlement))),
    hold: step((node, batch) => lost(batch, (each) => hold(state, node, each))),
    sweep: step((options) => sweep(state, options)),
    listen: step((node, hear) => {
      const ear = { node, hear };
      state.ears.add(ear);
      return step(() => void state.ears.delete(ear));
    }),
    note: step((batch) => lost(batch, (each) => note(state, each))),
  };
}

function lost<F extends Fence>(batch: readonly F[], keep: (each: F) => boolean): readonly Fence[] {
  return batch.filter((each) => !keep(each)).map(({ id, token }) => ({ id, token }));
}

function note(state: State, { lines = [], progress, ...fence }: Note): boolean {
  const row = ours(state, fence);
  if (!row) return false;
  if (progress) patch(state, row, { progress: frozen(progress) });
  for (const line of lines) state.logs.set(next(state, "record"), { run: row.id, ...line, at: new Date(line.at) });
  return true;
}

/** Deletes history past its retention, and returns how many runs. */
function prune(state: State, { completedMs, otherMs }: Keep): number {
  const endOf = ({ end }: Row): number => state.now() - (end!.status === "completed" ? completedMs : otherMs);
  const rows = [...state.lanes.ended.upTo(state.now() - Math.min(completedMs, otherMs))];
  const over = rows.filter((row) => row.end!.finishedMs < endOf(row));
  return deleteRuns(state, over, true);
}

function take(state: State, claim: Claim): readonly Row[] {
  const [nowMs, { node, queues, known }] = [state.now(), claim];
  const isUnheard = (row: Row): boolean => row.node === node && !known!.includes(row.id);
  if (known) for (const row of [...state.lanes.leases.upTo(Infinity)].filter(isUnheard)) patch(state, row, freed);
  const endMs = nowMs + claim.aheadMs;
  const selects = (queue: string): boolean =>
    "only" in queues ? queues.only.includes(queue) : !queues.not.includes(queue);
  const lanes = [...state.lanes.all.values()].filter(
    ({ queue, job, free }) =>
      free.count(endMs) > 0 &&
      claim.jobs.includes(job) &&
      selects(homeOf(queue)) &&
      mayTake(state, node, queue) &&
      !isPaused(state, homeOf(queue)),
  );
  const inOrder = (): readonly Row[] => [nowMs, endMs].flatMap((end) => inTurns(state, lanes, end, claim));
  const free = claim.order === "oldest" ? [...shared(lanes, nowMs, claim), ...inOrder()] : inOrder();
  const taken = [...new Set(free)].slice(0, claim.limit);
  const turn = next(state, "claim");
  for (const row of taken) {
    const [crashes, token, leaseUntil] = [crashesOf(row, node), row.token + 1, nowMs + claim.ttlMs];
    if (isLapsed(row, node)) {
      recordAttempt(state, row, { outcome: "crashed", error: null, retryMs: nowMs });
      patch(state, row, { attempt: row.attempt + 1 });
    }
    patch(state, row, { crashes, token, node, leaseUntil, startedMs: null, back: false });
    state.turns.set(laneOf(row), turn);
  }
  return taken;
}

/** Whether a node takes runs from a queue: those that are pinned to a version only with that. */
export function mayTake({ names }: State, node: number, queue: string): boolean {
  const version = pinOf(queue);
  return version === null || version === names.get(node)?.version;
}

const freed = { node: null, leaseUntil: null } as const;
const byReady = (a: Row, b: Row): number => a.readyMs - b.readyMs || a.id - b.id;

/** Due runs, an equal share of each lane: the lowest priority first, then the lane whose first run has waited longest. */
function shared(lanes: readonly Lane[], nowMs: number, claim: Claim): readonly Row[] {
  const due = lanes.map((lane) => freeIn(lane, nowMs, claim)).filter((rows) => rows.length > 0);
  const inOrder = due.toSorted(([a], [b]) => a!.priority - b!.priority || byReady(a!, b!));
  return inOrder.flatMap((rows) => rows.slice(0, Math.ceil(claim.limit / due.length)));
}

/** Claimable runs by priority; lanes of equal priority take turns. May return more than the limit. */
function inTurns(state: State, lanes: readonly Lane[], endMs: number, claim: Claim): readonly Row[] {
  const turnOf = ({ name }: Lane): number => state.turns.get(name) ?? 0;
  const inOrder = lanes.toSorted(
    (a, b) => b.priority - a.priority || turnOf(a) - turnOf(b) || byReady(a.free.first()!, b.free.first()!),
  );
  const rows: Row[] = [];
  for (const lane of inOrder) if (rows.length < claim.limit) rows.push(...freeIn(lane, endMs, claim));
  return rows;
}

/** The first runs of a lane that the claim may take. */
function freeIn({ free }: Lane, endMs: number, { node, limit, crashesBelow = Infinity }: Claim): readonly Row[] {
  const rows: Row[] = [];
  for (const row of free.upTo(endMs)) {
    if (rows.length >= limit) break;
    if (crashesOf(row, node) < crashesBelow) rows.push(row);
  }
  return rows;
}

/** How often a free run has crashed. One whose lease ran out: whether the run did it, nobody knows. */
function crashesOf(row: Row, claimer: number): number {
  return isLapsed(row, claimer) ? Math.max(row.crashes, 1) : row.crashes;
}

/** Whether the lease of a free run ran out, and its node is not the one that claims it, which lives. */
function isLapsed({ leaseUntil, node }: Row, claimer: number): boolean {
  return leaseUntil !== null && node !== null && node !== claimer;
}

function addLeased(state: State, run: NewRun, { node, ttlMs }: LeasedFor): Taken | Error {
  const [added, nowMs] = [addOne(state, run, []), state.now()];
  if (added instanceof Error) return added;
  if (isPaused(state, run.queue)) return { ...added, lease: null, nowMs };
  const row = state.runs.get(added.id)!;
  patch(state, row, { token: 1, node, leaseUntil: nowMs + ttlMs });
  return { ...added, lease: leaseOf(row), nowMs };
}

function leaseOf(row: Row): Lease {
  const { id, token, job, queue, priority, dueMs, createdMs, expiresMs, attempt, spent, crashes } = row;
  const { input, tags, key, options } = row;
  return {
    id,
    token,
    job,
    queue: homeOf(queue),
    priority,
    dueMs,
    createdMs,
    expiresMs: crashes === 0 ? expiresMs : null, // it may have started before
    attempt,
    spent,
    crashes,
    input,
    tags,
    key,
    options,
    canceling: row.ask !== null,
  };
}

function settle(state: State, settlement: Settlement): Settled {
  const known = state.runs.get(settlement.id);
  if (known?.answered?.token === settlement.token) return known.answered.answer;
  const row = ours(state, settlement);
  const { outcome } = settlement;
  if (!row) return missed(state, known, settlement);
  const answer: Settled = row.ask === null ? "settled" : "canceled";
  if (outcome.to === "released") patch(state, row, { startedMs: null });
  else patch(state, row, { answered: { token: row.token, answer }, startedMs: settlement.startedMs });
  const error = "error" in outcome ? outcome.error : null;
  if (row.ask !== null) end(state, row, { to: "canceled", reason: row.ask, error }, settlement);
  else if (outcome.to === "released" && row.back) putAside(state, row);
  else if (outcome.to === "released") makePending(state, row, Math.max(state.now(), row.dueMs));
  else if (outcome.to === "pending") retry(state, row, outcome);
  else if (outcome.to === "waiting") suspend(state, row, outcome, settlement);
  else end(state, row, outcome, settlement);
  return answer;
}

/** The answer to a settlement without a lease: a repeat, a run that was canceled meanwhile, or a lost lease. */
function missed(state: State, row: Row | undefined, { id, token, outcome }: Settlement): Settled {
  const tried = [...state.attempts.values()].find((each) => each.run === id && each.token === token);
  if (tried && tried.outcome !== "crashed")
    return tried.outcome === "canceled" && outcome.to !== "canceled" ? "canceled" : "settled";
  if (row?.token !== token) return "lost";
  if (row.end?.status === "canceled") return outcome.to === "canceled" ? "settled" : "canceled";
  return outcome.to === "released" && row.end === null ? "settled" : "lost";
}

function retry(state: State, row: Row, { delayMs, spent, outcome, error }: Extract<Outcome, { to: "pending" }>): void {
  const retryMs = Math.ceil(state.now() + delayMs);
  recordAttempt(state, row, { outcome, error, retryMs });
  const counts = { attempt: row.attempt + 1, spent: row.spent + (spent ? 1 : 0) };
  makePending(state, row, retryMs, { ...counts, dueMs: retryMs, expiresMs: null, waits: null });
}

type Waiting = Extract<Outcome, { to: "waiting" }>;
/** When a wait ends that has no end. */
const neverMs = Date.UTC(9999, 0);

function suspend(state: State, row: Row, outcome: Waiting, { entries = [] }: Settlement): void {
  const { reason, untilMs, seen, wants, error } = outcome;
  write(state, row, entries);
  const dueMs = Math.max(untilMs ?? 0, state.now());
  const [readyMs, retryMs] = untilMs === null ? [neverMs, null] : [dueMs, dueMs];
  if (error) recordAttempt(state, row, { outcome: "parked", error, retryMs });
  const attempt = row.attempt + (error ? 1 : 0);
  const waits = { reason, seen, wants };
  const options = frozen({ ...row.options, dueMs: row.options?.dueMs ?? row.dueMs });
  makePending(state, row, readyMs, { attempt, waits, options, dueMs, crashes: 0, startedMs: null, expiresMs: null });
  wake(state, row);
}

function end(
  state: State,
  row: Row,
  outcome: Exclude<Outcome, { to: "pending" | "waiting" }>,
  { hooks }: Settlement,
): void {
  const { to: status, reason } = outcome;
  const error = status === "completed" ? null : outcome.error;
  const isStarted = row.startedMs !== null;
  if (status === "canceled" && isStarted) recordAttempt(state, row, { outcome: "canceled", error, retryMs: null });
  if (status === "failed" && reason !== "expired") recordAttempt(state, row, { outcome: reason, error, retryMs: null });
  if (isStarted) patch(state, row, { attempt: row.attempt + 1, spent: row.spent + 1 });
  const [result, note] =
    status === "completed" ? [outcome.result && frozen(outcome.result), outcome.note] : [null, null];
  finish(state, row, { status, reason, result, error, note }, hooks);
}

function hold(state: State, node: number, each: Fence & { readonly startedMs: number | null }): boolean {
  const row = ours(state, each);
  if (!row) return false;
  const startedMs = each.startedMs ?? row.startedMs;
  patch(state, row, { held: true, node, startedMs, expiresMs: startedMs === null ? row.expiresMs : null });
  return true;
}

/** A node is forgotten this long after its lease ended. */
const forgetMs = 3_600_000;

function sweep(state: State, { maxCrashes, node: self = 0, keep }: Sweep): Swept {
  type Kind = "recovered" | "crashed" | "canceled" | "expired";
  const swept: Record<Kind, number[]> = { recovered: [], crashed: [], canceled: [], expired: [] };
  for (const row of orphans(state, self)) swept[recover(state, row, maxCrashes)].push(row.id);
  for (const row of deserted(state)) {
    patch(state, row, { token: row.token + 1 }); // fences off its last holder
    cancel(state, row, row.ask!);
    swept.canceled.push(row.id);
  }
  for (const row of [...state.lanes.expiring.upTo(state.now())]) swept[expire(state, row)].push(row.id);
  const over = [...state.nodes.values()].filter((node) => isOver(state, node));
  for (const node of over) forget(state, node);
  return { ...swept, nodes: over.length, pruned: keep ? prune(state, keep) : 0, more: false };
}

/** Deletes a node. Its jobs keep that it had them last. */
function forget(state: State, { id, jobs, seenAt }: NodeRow): void {
  state.nodes.delete(id);
  for (const name of jobs) {
    const job = state.jobs.get(name);
    if (job && job.seenAt < seenAt) state.jobs.set(name, { ...job, node: id, seenAt });
  }
}

/** Whether a sweep by this node would find work. */
export function isToSweep(state: State, self: number): boolean {
  return (
    orphans(state, self).length + deserted(state).length > 0 ||
    state.lanes.expiring.count(state.now()) > 0 ||
    [...state.nodes.values()].some((node) => isOver(state, node))
  );
}

/** Runs that dead nodes hold. */
function orphans(state: State, self: number): readonly Row[] {
  const isDead = (node: number): boolean => node !== self && (state.nodes.get(node)?.leaseUntil ?? 0) < state.now();
  const rows = [...state.lanes.held].flatMap(([node, held]) => (isDead(node) ? [...held] : []));
  return rows.sort((a, b) => a.id - b.id);
}

/** Runs whose lease lapsed while a cancel waited for their node. */
function deserted(state: State): readonly Row[] {
  return [...state.lanes.asked].filter((row) => row.ask !== null && !isHeld(state, row)).sort((a, b) => a.id - b.id);
}

/** Whether a node ended long ago and holds nothing. */
function isOver(state: State, { id, leaseUntil }: NodeRow): boolean {
  return leaseUntil < state.now() - forgetMs && !state.lanes.held.has(id);
}

/** Takes a run from a dead node. Its token moves on, so that the node's writes are refused. */
function recover(state: State, row: Row, maxCrashes: number): "recovered" | "crashed" | "canceled" {
  const isStarted = row.startedMs !== null;
  const crashes = isStarted ? row.crashes + 1 : Math.max(row.crashes, 1); // only a recorded start says who did it
  const [token, readyMs] = [row.token + 1, Math.max(state.now(), row.dueMs)];
  if (row.ask !== null) {
    if (isStarted) recordAttempt(state, row, { outcome: "canceled", error: null, retryMs: null });
    patch(state, row, { crashes, token, attempt: row.attempt + (isStarted ? 1 : 0) });
    cancel(state, row, row.ask);
    return "canceled";
  }
  const isOver = isStarted && crashes >= maxCrashes;
  const error = isOver ? crashed(crashes) : null;
  recordAttempt(state, row, { outcome: "crashed", error, retryMs: isOver ? null : readyMs });
  patch(state, row, { crashes, token, attempt: row.attempt + 1 });
  if (isOver) finish(state, row, { status: "failed", reason: "crashed", result: null, error, note: null });
  else makePending(state, row, readyMs);
  return isOver ? "crashed" : "recovered";
}

function expire(state: State, row: Row): "expired" {
  patch(state, row, { token: row.token + 1 }); // fences off whoever gave it back
  finish(state, row, { status: "failed", reason: "expired", result: null, error: expired, note: null });
  return "expired";
}
