import type { InvalidInput } from "../../../sdk/port/error.ts";
import { timingOf } from "../../../sdk/define/rule.ts";
import type {
  NewSchedule,
  Rule,
  ScheduleFilter,
  ScheduleName,
  SchedulePage,
  ScheduleRecord,
  Schedules,
} from "../../../sdk/port/target.ts";
import { declared, placeAt, served } from "../guard.ts";
import type { Bounds } from "../port.ts";
import type { Row, ScheduleRow } from "./row.ts";
import { dateOf, frozen, isAlive, keyName, type State, statusOf, tell } from "./state.ts";

/** The schedules of the memory store. */
export function schedules(state: State): Schedules {
  const { step } = state;
  const seen = (row: ScheduleRow | null): ScheduleRecord | null => row && recordOf(state, row);
  return {
    put: step((batch) => batch.map((given) => put(state, given))),
    list: step((filter, page: Bounds) => list(state, filter, page)),
    pause: step((name, paused) => seen(paused ? pause(state, name) : resume(state, name))),
    remove: step((name) => remove(state, name)),
  };
}

/** Counts a run that was triggered by hand as a run of its schedule. */
export function attach(state: State, { id, job, options }: Row): void {
  const row = options?.schedule && find(state, { job, key: options.schedule.key });
  if (!row) return;
  const rev = row.rule.overlap === "allow" ? row.rev - 1 : row.rev; // overlap does not depend on runs, so a tick under way stays valid
  change(state, { ...row, rev }, { live: [...row.live, id], lastRun: id });
}

/** The schedule of this name, unless it was removed from code. */
export function find(state: State, { job, key }: ScheduleName): ScheduleRow | null {
  const row = state.schedules.get(keyName(job, key));
  return row && !row.removed ? row : null;
}

/** Changes a schedule; its revision grows. */
export function change(state: State, row: ScheduleRow, changes: Partial<ScheduleRow>): ScheduleRow {
  const changed = { ...row, ...changes, rev: row.rev + 1 };
  state.schedules.set(keyName(row.job, row.key), changed);
  return changed;
}

/** Creates or updates a schedule. A new timing restarts its ticks; a paused one stays paused. */
export function save(state: State, given: NewSchedule, declared: boolean): ScheduleRow {
  const { job, key, rule, input, queue, priority, tags } = frozen(given);
  const found = state.schedules.get(keyName(job, key));
  const old = found?.removed && !declared ? undefined : found; // a removed one begins anew
  const nowMs = state.now();
  return change(state, old ?? { ...newRow(given, nowMs), rev: found?.rev ?? 0 }, {
    ...{ rule, input, queue, priority, tags, declared },
    removed: false,
    updatedMs: nowMs,
    ...(isMoved(old, rule) && { nextMs: nowMs, fresh: true }),
    ...(old && old.rule.atMs !== rule.atMs && { lastMs: null }), // a one-shot with a new instant ticks again
  });
}

function newRow({ job, key, rule, input, queue, priority, tags }: NewSchedule, nowMs: number): ScheduleRow {
  return {
    ...{ job, key, rule, input, queue, priority, tags },
    ...{ rev: 0, declared: false, paused: false, removed: false },
    ...{ nextMs: null, fresh: false, lastMs: null, lastRun: null, count: 0, live: [] },
    ...{ createdMs: nowMs, updatedMs: nowMs },
  };
}

/** Whether its ticks count from now on. */
function isMoved(old: ScheduleRow | undefined, rule: Rule): boolean {
  if (!old) return true;
  if (old.paused) return false;
  const isEnded = old.nextMs === null;
  return old.removed || timingOf(old.rule) !== timingOf(rule) || (isEnded && old.rule.limit !== rule.limit);
}

function put(state: State, given: NewSchedule): ScheduleRecord | InvalidInput {
  if (find(state, given)?.declared) return declared(given);
  tell(state, "tick");
  return recordOf(state, save(state, given, false));
}

function pause(state: State, name: ScheduleName): ScheduleRow | null {
  const row = find(state, name);
  if (!row || row.paused) return row;
  tell(state, "tick");
  return change(state, row, { paused: true, nextMs: null, fresh: false, updatedMs: state.now() });
}

function resume(state: State, name: ScheduleName): ScheduleRow | null {
  const row = find(state, name);
  if (!row?.paused) return row;
  const { lastMs, rule } = row;
  const isOver = lastMs !== null && rule.atMs !== undefined && lastMs >= rule.atMs;
  const nowMs = state.now();
  tell(state, "tick");
  return change(state, row, { paused: false, nextMs: isOver ? null : nowMs, fresh: !isOver, updatedMs: nowMs });
}

function remove(state: State, name: ScheduleName): boolean {
  const row = find(state, name);
  if (!row) return false;
  if (row.declared && servedJobs(state).has(row.job)) throw served(name);
  if (row.declared) state.applied.delete(row.job); // its code may declare it again
  return state.schedules.delete(keyName(row.job, row.key));
}

/** By job, then key, in the order of UTF-16 code units. */
export function byName(a: ScheduleName, b: ScheduleName): number {
  const [left, right] = a.job === b.job ? [a.key, b.key] : [a.job, b.job];
  return left < right ? -1 : left > right ? 1 : 0;
}

function list(
  state: State,
  { job, key, paused, declared: byCode }: ScheduleFilter,
  { cursor, limit }: Bounds,
): SchedulePage {
  const after = cursor === undefined ? null : placeAt(cursor);
  const matches = (row: ScheduleRow): boolean =>
    !row.removed &&
    (job?.includes(row.job) ?? true) &&
    row.key === (key ?? row.key) &&
    row.paused === (paused ?? row.paused) &&
    row.declared === (byCode ?? row.declared) &&
    (after === null || byName(row, after) > 0);
  const rows = [...state.schedules.values()].filter(matches).sort(byName);
  const shown = rows.slice(0, limit);
  const last = shown.length < rows.length ? shown.at(-1) : undefined;
  const next = last ? JSON.stringify([last.job, last.key]) : null;
  return { items: shown.map((row) => recordOf(state, row)), next, complete: true, at: new Date(state.now()) };
}

/** Jobs that live nodes have. */
export function servedJobs(state: State): ReadonlySet<string> {
  return new Set([...state.nodes.values()].filter((node) => isAlive(state, node)).flatMap(({ jobs }) => jobs));
}

function recordOf(state: State, row: ScheduleRow): ScheduleRecord {
  const { job, key, rule, input, queue, priority, tags, declared, paused, fresh, count } = row;
  const run = state.runs.get(row.lastRun ?? 0);
  return {
    ...{ job, key, rule, input, queue, priority, tags, declared, paused, fresh, count },
    nextAt: dateOf(row.nextMs),
    lastTick: dateOf(row.lastMs),
    last: run ? { run: run.id, status: statusOf(state, run), reason: run.end?.reason ?? null } : null,
    served: servedJobs(state).has(job),
    createdAt: new Date(row.createdMs),
    updatedAt: new Date(row.updatedMs),
  };
}
