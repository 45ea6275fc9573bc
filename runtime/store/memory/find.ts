import type { Find, Page, Paging, QueueStat, RateStat, RunFilter, RunRecord, Stats } from "../../../sdk/port/target.ts";
import { strangeCursor } from "../guard.ts";
import { holderOf } from "./add.ts";
import { isHeld, recordOf, type Row, type State, step } from "./state.ts";

/** Reading, in memory. Everything is looked at, so a page is always complete. */
export function find(state: State): Find {
  const rowOf = (id: number): Row | undefined => state.live.get(id) ?? state.history.get(id);
  const get = (id: number): RunRecord | null => {
    const row = rowOf(id);
    return row ? recordOf(state, row) : null;
  };
  return {
    get: step(get),
    list: step((filter, page) => {
      if (filter.holds) return holding(state, filter);
      const records = [...state.live.values(), ...state.history.values()].map((row) => recordOf(state, row));
      return pageOf(
        records.filter(matcher(filter)).map((run) => [run.id, run]),
        page,
      );
    }),
    attempts: step(({ run, job }, page) => {
      const found = [...state.attempts].filter(
        ([, it]) => (run ?? it.run) === it.run && (job?.includes(it.job) ?? true),
      );
      return pageOf(
        found.map(([n, it]) => [n, copy(it)]),
        page,
      );
    }),
    logs: step((run, page) => {
      const found = [...state.logs].filter(([, line]) => line.run === run);
      return pageOf(
        found.map(([n, line]) => [-n, copy(line)]),
        page,
      ); // oldest first
    }),
    stats: step((options) => stats(state, options?.lanes ?? true)),
    jobs: step(() => [...state.jobs.values()].map(copy).sort((a, b) => (a.id < b.id ? -1 : 1))),
    awaited: (id, waitMs, signal) =>
      awaited(state, id, waitMs, signal).then(() => (state.history.has(id) ? get(id) : null)),
  };
}

/** The run that holds a key, if it is still there. */
function holding(state: State, { job = [], key = "" }: RunFilter): Page<RunRecord> {
  const row = holderOf(state, job[0] ?? "", key)?.row;
  return { items: row ? [recordOf(state, row)] : [], next: null, complete: true };
}

/** With Dates of its own. */
function copy<T extends object>(record: T): T {
  return structuredClone(record);
}

/** Items by falling number, from the cursor on. */
function pageOf<T>(items: readonly (readonly [n: number, item: T])[], { cursor, limit = 50 }: Paging = {}): Page<T> {
  if (cursor !== undefined && !/^-?\d{1,15}$/.test(cursor)) throw strangeCursor(cursor);
  const left = items.filter(([n]) => cursor === undefined || n < Number(cursor)).sort(([a], [b]) => b - a);
  const next = left.length > limit ? String(left[limit - 1]![0]) : null;
  return { items: left.slice(0, limit).map(([, item]) => item), next, complete: true };
}

function matcher(filter: RunFilter): (run: RunRecord) => boolean {
  const { ids, status, reason, job, queue, tags, key, payload, error } = filter;
  const among = <T>(list: readonly T[] | undefined, value: T | null): boolean =>
    list === undefined || (value !== null && list.includes(value));
  return (run) =>
    among(ids, run.id) &&
    among(status, run.status) &&
    among(reason, run.reason) &&
    among(job, run.job) &&
    among(queue, run.queue) &&
    among(key === undefined ? undefined : [key], run.key) &&
    isWithin(run.createdAt, filter.createdAfter, filter.createdBefore) &&
    isWithin(run.finishedAt, filter.finishedAfter, filter.finishedBefore) &&
    (filter.hooks === true || !run.options?.hook) &&
    (tags?.every((tag) => run.tags.includes(tag)) ?? true) &&
    (error === undefined || hasText(run, error)) &&
    (payload?.every(({ path, value }) => textAt(run.input.json, path) === value) ?? true);
}

function isWithin(at: Date | null, after: Date | undefined, before: Date | undefined): boolean {
  if (at === null) return !after && !before;
  return (!after || at >= after) && (!before || at < before);
}

function hasText({ error }: RunRecord, text: string): boolean {
  return error !== null && [error.name, error.message].some((each) => each.toLowerCase().includes(text.toLowerCase()));
}

/** The value at a path of a JSON text, as text; null where there is none. */
function textAt(json: string, path: readonly string[]): string | null {
  let value: unknown = JSON.parse(json);
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return null;
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  return typeof value === "string" || value === null ? value : JSON.stringify(value);
}

const windowMs = 300_000;

function stats(state: State, withLanes: boolean): Stats {
  const nowMs = state.now();
  const nodes = [...state.nodes.values()].map(({ leaseUntil, jobsMs: _, ...node }) => ({
    ...copy(node),
    alive: leaseUntil >= nowMs,
  }));
  const queues = [...state.queues].map(([name, paused]) => ({ name, paused }));
  queues.sort((a, b) => (a.name < b.name ? -1 : 1));
  const lanes = withLanes ? lanesOf(state) : [];
  return { at: new Date(nowMs), queues, lanes, rates: ratesOf(state), windowMs, nodes };
}

const deepest = 10_000;

function lanesOf(state: State): readonly QueueStat[] {
  const nowMs = state.now();
  const lanes = new Map<string, QueueStat>();
  for (const row of state.live.values()) {
    const { queue, job, priority } = row;
    const name = JSON.stringify([queue, job, priority]);
    const lane = lanes.get(name) ?? { queue, job, priority, ready: 0, delayed: 0, leased: 0 };
    const kind = isHeld(state, row) ? "leased" : row.readyMs <= nowMs ? "ready" : "delayed";
    lanes.set(name, { ...lane, [kind]: Math.min(deepest, lane[kind] + 1) });
  }
  return [...lanes.values()];
}

function ratesOf(state: State): readonly RateStat[] {
  const rates = new Map<string, RateStat>();
  for (const { atMs, tally } of state.tallies) {
    if (atMs < state.now() - windowMs) continue;
    const { queue, job, ...counts } = tally;
    const name = JSON.stringify([queue, job]);
    const sum = rates.get(name);
    rates.set(name, sum ? { ...sum, ...mapValues(counts, (count, field) => count + sum[field]) } : tally);
  }
  return [...rates.values()];
}

function mapValues<K extends string>(
  record: Readonly<Record<K, number>>,
  change: (value: number, key: K) => number,
): Record<K, number> {
  const entries = Object.entries(record) as [K, number][];
  return Object.fromEntries(entries.map(([key, value]) => [key, change(value, key)])) as Record<K, number>;
}

/** Resolves when the run has ended, the wait is over, or the signal aborts. */
function awaited(state: State, id: number, waitMs: number, signal?: AbortSignal): Promise<void> {
  if (!state.live.has(id) || waitMs <= 0 || signal?.aborted) return Promise.resolve();
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
