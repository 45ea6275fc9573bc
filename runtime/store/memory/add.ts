import { KeyConflict } from "../../../sdk/port/error.ts";
import { formatId } from "../../../sdk/port/id.ts";
import type { Added, NewKey, NewRun } from "../../../sdk/port/target.ts";
import type { KeyRow, Row } from "./row.ts";
import { attach } from "./schedule.ts";
import {
  askBack,
  frozen,
  insert,
  keyName,
  numbered,
  patch,
  takenBack,
  type State,
  statusOf,
  tellDue,
} from "./state.ts";

export function addAll(state: State, batch: readonly NewRun[]): readonly (Added | Error)[] {
  const rows: Row[] = [];
  const answers = batch.map((run) => addOne(state, run, rows));
  tellDue(state, rows);
  return answers;
}

/** Adds a run, or returns the one that holds its key. New and moved rows are appended to `rows`. */
export function addOne(state: State, run: NewRun, rows: Row[]): Added | Error {
  const holder = run.key && holderOf(state, run.job, run.key.key);
  if (holder) return addAgain(state, run, { ...holder, key: run.key }, rows);
  const { job, replayOf } = run;
  const token = run.journal ? 1 : 0;
  const row = insert(state, { job, replayOf, token, key: run.key?.key ?? null, ...contentOf(state, run) });
  if (run.journal) state.journals.set(row.id, numbered(run.journal));
  if (run.key) state.keys.set(keyName(job, run.key.key), claimOf(row, run.key));
  if (run.attach) attach(state, row);
  rows.push(row);
  return { id: row.id, created: true, conflict: false };
}

/** A run's claim on its key. */
export function claimOf(
  { id, dueMs }: Row,
  { keepMs, hash, always = false }: Omit<NewKey, "key" | "onConflict">,
): KeyRow {
  return { run: id, keepMs, always, untilMs: dueMs + keepMs, hash };
}

interface Holder {
  readonly row: Row | null;
  readonly claim: KeyRow;
  readonly key: NewKey;
}

function addAgain(state: State, run: NewRun, { row, claim, key }: Holder, rows: Row[]): Added | Error {
  if (key.onConflict === "error") return new KeyConflict(run.job, key.key, formatId(claim.run));
  const isWanted = key.onConflict === "replace" && row !== null && isUnstarted(state, row);
  const asked = isWanted && askBack(state, row) ? { asked: true as const } : {};
  if (isWanted && statusOf(state, row) === "pending") {
    patch(state, row, { ...takenBack(row), ...contentOf(state, run) });
    state.keys.set(keyName(run.job, key.key), { ...claim, hash: key.hash });
    rows.push(row);
    return { id: claim.run, created: false, conflict: false };
  }
  return { id: claim.run, created: false, conflict: claim.hash !== "" && claim.hash !== key.hash, ...asked };
}

function isUnstarted({ journals }: State, { id, attempt, crashes, startedMs }: Row): boolean {
  return attempt === 0 && crashes === 0 && startedMs === null && !journals.has(id);
}

/** The fields of a run that `onConflict: "replace"` replaces: all but its id, job and key. */
function contentOf(state: State, run: NewRun) {
  const { queue, priority, ttlMs } = run;
  const dueMs = instantOf(state, run.dueAt, run.delayMs);
  const instants = { dueMs, readyMs: dueMs, expiresMs: ttlMs === null ? null : dueMs + ttlMs };
  return {
    queue,
    priority,
    input: frozen(run.input),
    tags: frozen(run.tags),
    options: frozen(run.options),
    ...instants,
  };
}

/** The instant `at`, or now plus the delay, as epoch ms; never in the past. */
export function instantOf(state: State, at: Date | null, delayMs: number): number {
  const nowMs = state.now();
  return at ? Math.max(nowMs, at.getTime()) : Math.ceil(nowMs + delayMs);
}

/** The claim that holds a key now. `row` is null if its run was pruned. */
export function holderOf(
  state: State,
  job: string,
  key: string,
): { readonly row: Row | null; readonly claim: KeyRow } | null {
  const claim = state.keys.get(keyName(job, key));
  if (!claim) return null;
  const row = state.runs.get(claim.run) ?? null;
  return isKept(state, row, claim) ? { row, claim } : null;
}

function isKept(state: State, row: Row | null, claim: KeyRow): boolean {
  if (!row) return claim.untilMs > state.now();
  if (row.end === null) return true;
  return (claim.always || row.end.status === "completed") && row.end.finishedMs + claim.keepMs > state.now();
}
