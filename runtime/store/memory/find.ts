import type { Find, Page, QueueStat, RunFilter, RunRecord, Stats } from "../../../sdk/port/target.ts";
import { strangeCursor } from "../guard.ts";
import type { Bounds } from "../port.ts";
import { windowFrom } from "../series.ts";
import { holderOf } from "./add.ts";
import type { Row } from "./row.ts";
import { isHeld, look, reasonOf, recordOf, type State, statusOf } from "./state.ts";
import { factsOf } from "./why.ts";
import { ratesOf, seriesOf } from "./rate.ts";

/** Reads of the memory store. They scan all runs, so a page is always complete. */
export function find(state: State): Find {
  const { step } = state;
  const get = (id: number): RunRecord | null => {
    const row = state.runs.get(id);
    return row ? recordOf(state, row) : null;
  };
  return {
    get: step((id) => {
      const row = state.runs.get(id);
      if (row && !row.end && isHeld(state, row)) look(state, [row.node!]);
      return get(id);
    }),
    list: step((filter, page: Bounds) => {
      if (filter.holds) return holding(state, filter);
      const found = pageOf(matching(state, filter), page);
      const items = found.items.map((row) => recordOf(state, row));
      if (filter.status?.includes("running") || items.some(({ status }) => status === "leased"))
        look(state, state.nodes.keys());
      return { ...found, items };
    }),
    attempts: step(({ run, job }, page: Bounds) => {
      const found = [...state.attempts].filter(
        ([, it]) => (run ?? it.run) === it.run && (job?.includes(it.job) ?? true),
      );
      return structuredClone(pageOf(found.reverse(), page));
    }),
    logs: step((run, page: Bounds) => {
      const found = [...state.logs].filter(([, line]) => line.run === run);
      const oldestFirst = found.map(([n, line]) => [-n, line] as const);
      return structuredClone(pageOf(oldestFirst, page));
    }),
    stats: step((options) => {
      if (options?.look ?? true) look(state, state.nodes.keys());
      return stats(state, options?.lanes ?? true);
    }),
    jobs: step(() => {
      const jobs = structuredClone([...state.jobs.values()]).map(({ node: _, ...job }) => job);
      return jobs.sort((a, b) => (a.id < b.id ? -1 : 1));
    }),
    series: step((filter) => seriesOf(state, filter)),
    facts: step((id) => factsOf(state, id)),
    awaited: (id, waitMs, signal) =>
      awaited(state, id, waitMs, signal).then(() => (state.runs.get(id)?.end ? get(id) : null)),
  };
}

function holding(state: State, { job = [], key = "" }: RunFilter): Page<RunRecord> {
  const row = holderOf(state, job[0] ?? "", key)?.row;
  return { items: row ? [recordOf(state, row)] : [], next: null, complete: true };
}

/** The page of items with lower numbers than the cursor; items come in descending order. */
function pageOf<T>(items: Iterable<readonly [n: number, item: T]>, { cursor, limit }: Bounds): Page<T> {
  if (cursor !== undefined && !/^-?\d{1,15}$/.test(cursor)) throw strangeCursor(cursor);
  const shown: T[] = [];
  let last = 0;
  for (const [n, item] of items) {
    if (cursor !== undefined && n >= Number(cursor)) continue;
    if (shown.length === limit) return { items: shown, next: String(last), complete: true };
    shown.push(item);
    last = n;
  }
  return { items: shown, next: null, complete: true };
}

/** Matching runs, newest first. */
function* matching(state: State, filter: RunFilter): Generator<readonly [id: number, row: Row]> {
  const isMeant = matcher(state, filter);
  const newest = state.last.get("run") ?? 0;
  for (let id = newest, left = state.runs.size; left > 0; id--) {
    const row = state.runs.get(id);
    if (row) left--;
    if (row && isMeant(row)) yield [id, row];
  }
}

function matcher(state: State, filter: RunFilter): (row: Row) => boolean {
  const { ids, status, reason, job, queue, tags, key, payload, error } = filter;
  const among = <T>(list: readonly T[] | undefined, value: T | null): boolean =>
    list === undefined || (value !== null && list.includes(value));
  return (row) =>
    among(ids, row.id) &&
    (status === undefined || status.includes(statusOf(state, row))) &&
    among(reason, reasonOf(state, row)) &&
    among(job, row.job) &&
    among(queue, row.queue) &&
    among(key === undefined ? undefined : [key], row.key) &&
    isWithin(row.createdMs, filter.createdAfter, filter.createdBefore) &&
    isWithin(row.end?.finishedMs ?? null, filter.finishedAfter, filter.finishedBefore) &&
    (filter.hooks === true || !row.options?.hook) &&
    (tags?.every((tag) => row.tags.includes(tag)) ?? true) &&
    (error === undefined || hasText(row, error)) &&
    (payload?.every(({ path, value }) => textAt(row.input.json, path) === value) ?? true);
}

function isWithin(ms: number | null, after: Date | undefined, before: Date | undefined): boolean {
  if (ms === null) return !after && !before;
  return (!after || ms >= after.getTime()) && (!before || ms < before.getTime());
}

function hasText({ end }: Row, text: string): boolean {
  const texts = end?.error ? [end.error.name, end.error.message] : [];
  return texts.some((each) => each.toLowerCase().includes(text.toLowerCase()));
}

/** The value at a path of a JSON text, as text, or null. */
function textAt(json: string, path: readonly string[]): string | null {
  let value: unknown = JSON.parse(json);
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return null;
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  return typeof value === "string" || value === null ? value : JSON.stringify(value);
}

function stats(state: State, withLanes: boolean): Stats {
  const nowMs = state.now();
  const nodes = [...state.nodes.values()].map(({ leaseUntil, jobsMs: _, ...node }) => ({
    ...structuredClone(node),
    alive: leaseUntil >= nowMs,
  }));
  const queues = [...state.queues].map(([name, since]) => ({ name, paused: since !== null }));
  queues.sort((a, b) => (a.name < b.name ? -1 : 1));
  const lanes = withLanes ? lanesOf(state) : [];
  return { at: new Date(nowMs), queues, lanes, rates: ratesOf(state), windowMs: nowMs - windowFrom(nowMs), nodes };
}

const deepest = 10_000;

function lanesOf(state: State): readonly QueueStat[] {
  const lanes = [...state.lanes.all.values()].map(({ queue, job, priority, free, leased }) => {
    const [all, ready] = [free.count(), free.count(state.now())];
    const [now, later, held] = [ready, all - ready, leased].map((count) => Math.min(deepest, count));
    const readyAt = ready > 0 ? new Date(free.first()!.readyMs) : null;
    return { queue, job, priority, ready: now!, delayed: later!, leased: held!, readyAt };
  });
  return lanes.filter(({ ready, delayed, leased }) => ready + delayed + leased > 0);
}

/** Resolves when the run ends, after `waitMs`, or when the signal aborts. */
function awaited(state: State, id: number, waitMs: number, signal?: AbortSignal): Promise<void> {
  if (state.runs.get(id)?.end !== null || waitMs <= 0 || signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const waiters = state.waiters.get(id) ?? new Set();
    const wake = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", wake);
      waiters.delete(wake);
      if (waiters.size === 0) state.waiters.delete(id);
      resolve();
    };
    const timer = setTimeout(wake, Math.min(waitMs, 2 ** 31 - 1));
    signal?.addEventListener("abort", wake);
    state.waiters.set(id, waiters.add(wake));
  });
}
