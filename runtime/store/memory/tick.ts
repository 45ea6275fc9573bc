import { scheduleId, tickKey } from "../../../sdk/port/id.ts";
import { tickKeepMs } from "../../../sdk/define/rule.ts";
import type { NewSchedule } from "../../../sdk/port/target.ts";
import type { Due, DueList, Published, Tick, TickRun, Ticks } from "../port.ts";
import { claimOf, instantOf } from "./add.ts";
import { byName, change, find, save, servedJobs } from "./schedule.ts";
import type { Row, ScheduleRow } from "./row.ts";
import { frozen, insert, isAlive, keyName, type State, tell, tellDue, withJobs } from "./state.ts";

/** The ticks of the memory store. */
export function ticks(state: State): Ticks {
  const { step } = state;
  return {
    due: step((query) => due(state, query)),
    tick: step((batch) => {
      const made: Row[] = [];
      const answers = batch.map((tick) => move(state, tick, made));
      tellDue(state, made);
      return answers;
    }),
  };
}

interface Declaration {
  readonly job: string;
  readonly schedules: readonly NewSchedule[];
}

/** Stores which schedules a node's jobs declare. A forgotten node is skipped: its next beat asks it to publish again. */
export function declare(state: State, node: number, jobs: readonly Published[]): void {
  const row = state.nodes.get(node);
  if (!row) return;
  const list = jobs.flatMap(({ id: job, schedules }) => (schedules ? [{ job, schedules }] : []));
  for (const each of list) note(state, each);
  const ids = jobs.map(({ id }) => id);
  state.nodes.set(node, withJobs(row, ids, state.now()));
  state.declared.set(node, new Map(list.map((each) => [each.job, versionOf(state, each)])));
  const news = list.filter((each) => isNews(state, each.job, versionOf(state, each)));
  for (const each of news) apply(state, each);
  if (news.length > 0) tell(state, "tick");
}

function note(state: State, declaration: Declaration): void {
  const { job, schedules } = declaration;
  if (versionOf(state, declaration) >= 0) return;
  state.versions.set(job, [...(state.versions.get(job) ?? []), textOf(schedules)]);
}

/** The index of a version among those of its job, or -1. */
function versionOf(state: State, { job, schedules }: Declaration): number {
  return state.versions.get(job)?.indexOf(textOf(schedules)) ?? -1;
}

function textOf(schedules: readonly NewSchedule[]): string {
  return JSON.stringify(schedules.toSorted(byName));
}

/** Whether this version of a job's schedules is to be applied: the newest that a live node has which is not draining. */
function isNews(state: State, job: string, version: number): boolean {
  const voters = [...state.nodes.values()].filter((node) => isAlive(state, node) && !node.draining);
  const newest = Math.max(...voters.map(({ id }) => state.declared.get(id)?.get(job) ?? -1));
  return version === newest && state.applied.get(job) !== version;
}

/** Whether a node never published, or one of its versions is to be applied. */
export function isToPublish(state: State, node: number): boolean {
  const own = state.declared.get(node);
  return !own || [...own].some(([job, version]) => isNews(state, job, version));
}

function apply(state: State, declaration: Declaration): void {
  const { job, schedules } = declaration;
  const kept = new Set(schedules.map(({ key }) => key));
  for (const row of state.schedules.values())
    if (row.job === job && row.declared && !row.removed && !kept.has(row.key))
      change(state, row, { removed: true, nextMs: null, fresh: false, updatedMs: state.now() });
  for (const schedule of schedules) save(state, schedule, true);
  state.applied.set(job, versionOf(state, declaration));
}

type Coming = ScheduleRow & { readonly nextMs: number };

/** Schedules that will tick, the earliest first. Declared ones tick only while a live node has their job. */
export function ticking(state: State): readonly Coming[] {
  const served = servedJobs(state);
  return [...state.schedules.values()]
    .filter((row): row is Coming => row.nextMs !== null && (!row.declared || served.has(row.job)))
    .sort((a, b) => a.nextMs - b.nextMs);
}

function due(state: State, { node, aheadMs, limit, except = [] }: Parameters<Ticks["due"]>[0]): DueList {
  const left = new Set(except.map(scheduleId));
  const nowMs = state.now();
  const isDue = ({ nextMs, rule }: Coming): boolean => nextMs <= nowMs + (rule.overlap === "allow" ? aheadMs : 0);
  const coming = ticking(state).filter((row) => !left.has(scheduleId(row)));
  const taken = new Set(coming.filter(isDue).slice(0, limit));
  const next = coming.find((row) => !taken.has(row));
  return {
    due: [...taken].map((row) => dueOf(state, row)),
    nowMs,
    next: next ? { atMs: next.nextMs, dot: next.rule.overlap !== "allow" } : null,
    others: [...state.nodes.values()].some((other) => other.id !== node && isAlive(state, other)),
  };
}

/** Since when a live node has the job, epoch ms. */
function servedSince(state: State, job: string): number {
  const nodes = [...state.nodes.values()].filter((node) => isAlive(state, node) && node.jobs.includes(job));
  return Math.min(...nodes.map(({ jobsMs }) => jobsMs));
}

function dueOf(state: State, row: Coming): Due {
  const { job, key, rule, input, rev, nextMs, fresh, lastMs, count } = row;
  const own = state.jobs.get(job);
  return {
    ...{ job, key, rule, input, rev, nextMs, fresh, lastMs, count },
    servedMs: row.declared ? servedSince(state, job) : null,
    live: rule.overlap === "allow" ? [] : liveOf(state, row),
    queue: row.queue ?? own?.queue ?? "default",
    priority: row.priority ?? own?.priority ?? 0,
    tags: [...new Set([...(own?.tags ?? []), ...row.tags])],
    ttlMs: own?.ttlMs ?? null,
  };
}

function liveOf(state: State, { live }: ScheduleRow): readonly number[] {
  return live.filter((id) => state.runs.get(id)?.end === null);
}

/** Advances a schedule and adds its runs, also to `all`. Null: its revision has changed, or it is paused. */
function move(
  state: State,
  { rev, nextMs, lastMs, runs, ...name }: Tick,
  all: Row[],
): readonly (number | null)[] | null {
  const row = find(state, name);
  if (row?.rev !== rev || row.paused) return null;
  const places = runs.map((run) => makeRun(state, row, run));
  const made = places.filter((run) => run !== null);
  all.push(...made);
  const { limit = Infinity } = row.rule;
  change(state, row, {
    nextMs: row.count + made.length >= limit ? null : nextMs,
    fresh: false,
    lastMs: lastMs ?? row.lastMs,
    count: row.count + made.length,
    lastRun: made.at(-1)?.id ?? row.lastRun,
    live: [...liveOf(state, row), ...made.map(({ id }) => id)],
  });
  return places.map((run) => run?.id ?? null);
}

/** Adds the run of a tick; null if the tick already made one. */
function makeRun(state: State, { job, input, ...schedule }: ScheduleRow, run: TickRun): Row | null {
  const key = tickKey(schedule.key, run.tickMs);
  if (state.keys.has(keyName(job, key))) return null;
  const { queue, priority, tags, options } = frozen(run);
  const dueMs = instantOf(state, new Date(run.dueMs), 0);
  const expiresMs = run.ttlMs === null ? null : dueMs + run.ttlMs;
  const row = insert(state, { job, key, input, queue, priority, tags, options, dueMs, readyMs: dueMs, expiresMs });
  state.keys.set(keyName(job, key), claimOf(row, { keepMs: tickKeepMs, hash: "" }));
  return row;
}
