import { homeOf } from "../../../sdk/port/pin.ts";
import type { Reason } from "../../../sdk/port/status.ts";
import type { Act, Desk, Edit, PurgeFilter } from "../../../sdk/port/target.ts";
import { claimOf, holderOf, instantOf } from "./add.ts";
import type { Row } from "./row.ts";
import {
  askBack,
  frozen,
  isHeld,
  isPaused,
  keyName,
  makePending,
  patch,
  type State,
  statusOf,
  stop,
  takenBack,
  tell,
  tellDue,
} from "./state.ts";

/** The desk of the memory store. */
export function desk(state: State): Desk {
  const { step } = state;
  const each = (act: (row: Row) => Act["done"]) => (ids: readonly number[]) => ids.map((id) => actOn(state, id, act));
  return {
    cancel: step((ids: readonly number[], reason: Reason = "user") => each((row) => stop(state, row, reason))(ids)),
    revive: step((ids, from) => each((row) => revive(state, row, from))(ids)),
    edit: step((id, change) => actOn(state, id, (row) => edit(state, row, change))),
    pause: step((queue, paused) => {
      if (!state.queues.has(queue) || isPaused(state, queue) !== paused)
        state.queues.set(queue, paused ? state.now() : null);
      const lanes = [...state.lanes.all.values()].filter((lane) => homeOf(lane.queue) === queue);
      const first = lanes.flatMap(({ free }) => free.first() ?? []);
      if (!paused) {
        tellDue(state, first);
        return 0;
      }
      const recalled = leasedOf(state, queue).filter(({ startedMs }) => startedMs === null);
      for (const node of new Set(recalled.map((row) => row.node!))) tell(state, "command", node);
      return recalled.length;
    }),
    purge: step((filter, limit) => {
      if (filter.attempt) return forget(state, filter.attempt);
      const matches = ({ id, job, end }: Row): boolean =>
        (filter.ids?.includes(id) ?? true) &&
        (filter.status?.includes(end!.status) ?? true) &&
        (filter.job?.includes(job) ?? true) &&
        (filter.before === undefined || end!.finishedMs < filter.before.getTime());
      return deleteRuns(state, [...state.lanes.ended.upTo(Infinity)].filter(matches).slice(0, limit));
    }),
  };
}

/** Runs of a queue that nodes have leased. */
function leasedOf(state: State, queue: string): readonly Row[] {
  const { leases, held } = state.lanes;
  const rows = [...leases.upTo(Infinity), ...[...held.values()].flatMap((rows) => [...rows])];
  return rows.filter((row) => homeOf(row.queue) === queue && isHeld(state, row));
}

function forget(state: State, { run, token }: NonNullable<PurgeFilter["attempt"]>): number {
  const found = [...state.attempts].find(([, record]) => record.run === run && record.token === token);
  return found && state.attempts.delete(found[0]) ? 1 : 0;
}

/** Deletes finished runs with their attempts, logs and keys, and returns how many. `keepKeys`: not the keys that are still held. */
export function deleteRuns(state: State, rows: readonly Row[], keepKeys = false): number {
  const ids = new Set(rows.map(({ id }) => id));
  for (const [n, { run }] of [...state.attempts, ...state.logs])
    if (ids.has(run) && !state.attempts.delete(n)) state.logs.delete(n);
  for (const { id, job, key } of rows) {
    state.lanes.leave(state.runs.get(id)!);
    state.runs.delete(id);
    state.journals.delete(id);
    const claim = key === null ? undefined : state.keys.get(keyName(job, key));
    if (claim?.run === id && !(keepKeys && claim.untilMs > state.now())) state.keys.delete(keyName(job, key!));
  }
  return rows.length;
}

export function actOn(state: State, id: number, act: (row: Row) => Act["done"]): Act {
  const row = state.runs.get(id);
  if (!row) return { id, done: "missing", status: null };
  return { id, done: act(row), status: statusOf(state, row) };
}

function revive(state: State, row: Row, from: "canceled" | "failed"): Act["done"] {
  if (row.end?.status !== from || !retakeKey(state, row)) return "refused";
  const nowMs = state.now();
  const afresh = from === "failed" && { dueMs: nowMs, spent: 0, crashes: 0 };
  if (from === "failed") retrySteps(state, row);
  makePending(state, row, Math.max(nowMs, row.dueMs), { ...afresh, end: null });
  return "done";
}

/** Forgets the failures of steps. */
function retrySteps({ journals }: State, { id }: Row): void {
  const kept = journals.get(id)?.filter(({ kind }) => kind !== "failed" && kind !== "retry");
  if (kept) journals.set(id, kept);
}

/** Gives a revived run its key again. False if another run holds it now. */
function retakeKey(state: State, row: Row): boolean {
  if (row.key === null) return true;
  const name = keyName(row.job, row.key);
  const holder = holderOf(state, row.job, row.key);
  if (holder && holder.claim.run !== row.id) return false;
  const claim = state.keys.get(name);
  state.keys.set(name, claimOf(row, claim?.run === row.id ? claim : { keepMs: claim?.keepMs ?? dayMs, hash: "" }));
  return true;
}
const dayMs = 86_400_000;

function edit(state: State, row: Row, change: Edit): Act["done"] {
  if (askBack(state, row)) return "asked";
  if (statusOf(state, row) !== "pending") return "refused";
  const { input, priority, attempts, dueAt = null, delayMs } = change;
  const dueMs = dueAt || delayMs !== undefined ? instantOf(state, dueAt, delayMs ?? 0) : null;
  patch(state, row, {
    ...takenBack(row),
    ...(input && { input: frozen(input) }),
    ...(priority !== undefined && { priority }),
    ...(attempts !== undefined && {
      options: frozen({ ...row.options, retry: { ...row.options?.retry, attempts } }),
    }),
    ...(dueMs !== null && { dueMs }),
    readyMs: Math.max(state.now(), dueMs ?? row.dueMs),
    ...(dueMs !== null && row.expiresMs !== null && { expiresMs: row.expiresMs + dueMs - row.dueMs }),
  });
  tellDue(state, [row]);
  return "done";
}
