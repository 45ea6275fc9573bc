/** What all stores share: checks of bounds, clean texts, error messages, and fallbacks for what a store lacks. */
import { setTimeout as pause } from "node:timers/promises";
import { InvalidInput, NotSupported } from "../../sdk/port/error.ts";
import { scheduleId } from "../../sdk/port/id.ts";
import { checkPriority, checkText, isRecord, shown } from "../../sdk/port/option.ts";
import type { Feed } from "../../sdk/port/feed.ts";
import type { Entry } from "../../sdk/port/flow.ts";
import { isFinal } from "../../sdk/port/status.ts";
import type {
  Bare,
  Desk,
  Find,
  Mailbox,
  NewRun,
  NewSchedule,
  Paging,
  RunFilter,
  RunRecord,
  ScheduleName,
  SeriesFilter,
  Schedules,
  Target,
  Tx,
} from "../../sdk/port/target.ts";
import { clean, type ErrorRecord, isClean } from "../../sdk/port/text.ts";
import { announced } from "./announce.ts";
import { Outlet } from "./outlet.ts";
import type {
  Bounds,
  Feature,
  Flow,
  Guarded,
  Lacks,
  Line,
  NewEntry,
  Note,
  Recording,
  Runs,
  Settlement,
  Store,
  Taken,
  Ticks,
} from "./port.ts";

/** Longer texts are cut to these numbers of bytes. */
const most = { name: 256, message: 4096, stack: 16_384, note: 4096, line: 8192, detail: 1024 } as const;

/** Wraps a store; a guarded store is returned as it is. A store without `listen` is polled, one without `note` drops notes, and one without
 *  `awaited` is polled for the end of a run. Any other method that a store lacks throws NotSupported. */
export function guard(store: Store | Guarded): Guarded {
  if (!isRecord(store) || !("runs" in store))
    throw new InvalidInput(`store "${shown(store)}" is not a store; write store: postgres({ url })`, { path: "store" });
  if ("add" in store) return store;
  const { runs, nodes, ticks } = store;
  const lacks = lacksOf(store);
  const feed = feedOf(store);
  const outlet = new Outlet(feed);
  const target = announced(plain(store, feed), outlet);
  return {
    ...target,
    ...{ feed, outlet },
    name: store.name,
    lacks,
    runs: {
      add: adding(store, lacks),
      lease: (claim) => runs.lease(claim),
      settle: (batch) => runs.settle(batch.map(cleaned)),
      hold: (node, batch) => runs.hold(node, batch),
      sweep: (options) => runs.sweep(options),
      note: async (batch) => (runs.note ? runs.note(batch.map(cleanNote)) : []),
      listen: async (node, hear) => (runs.listen ? runs.listen(node, hear) : async () => undefined),
    },
    nodes: {
      join: (info, ttlMs) => nodes.join(info, ttlMs),
      beat: (...report) => nodes.beat(...report),
      leave: (node) => nodes.leave(node),
      async publish(node, jobs) {
        if (lacks.schedules !== undefined && jobs.some(({ schedules }) => schedules && schedules.length > 0))
          throw new NotSupported("declaring schedules", store.name, lacks.schedules);
        return nodes.publish(node, jobs);
      },
    },
    ticks: ticks ?? absent<Ticks>(store, "ticks", ["due", "tick"]),
    flow: { ...journaling(store), mend: target.flow.mend },
    open: (signal) => store.open(signal),
  };
}

/** The part of a guarded store that application code calls. */
export function targetOf(store: Bare): Target {
  const feed = feedOf(store);
  return announced(plain(store, feed), new Outlet(feed));
}

function plain(store: Bare, feed: Feed): Target {
  const add = adding(store, lacksOf(store));
  return {
    add: (batch, tx) => add(batch, tx && { tx }),
    find: finding(store),
    desk: acting(store),
    schedules: scheduling(store),
    flow: mailing(store),
    feed,
    close: () => store.close(),
  };
}

const optional: Readonly<Record<"runs" | "desk" | "find", readonly Feature[]>> = {
  runs: ["note", "listen"],
  desk: ["revive", "edit", "pause", "purge"],
  find: ["jobs", "attempts", "logs", "stats", "series", "facts", "awaited"],
};

/** All that a store may lack. */
export const features: readonly Feature[] = [
  "tx",
  ...Object.values(optional).flat(),
  ...(["ticks", "schedules", "flow", "feed"] as const),
];

/** What the store declares as lacking, and what it leaves out without a reason. */
function lacksOf(store: Bare & Pick<Store, "lacks" | "ticks">): Lacks {
  const silent = "it does not say why";
  const missing: Partial<Record<Feature, string>> = {};
  for (const [port, features] of Object.entries(optional))
    for (const feature of features) if (!(feature in store[port as keyof typeof optional])) missing[feature] = silent;
  for (const port of ["ticks", "schedules", "flow", "feed"] as const) if (!store[port]) missing[port] = silent;
  return { ...missing, ...store.lacks };
}

/** Methods that throw, for a missing port. */
function absent<P extends object>(store: Bare, feature: Feature, methods: readonly (keyof P & string)[]): P {
  const refuse = (method: string) => async (): Promise<never> => {
    throw new NotSupported(`${feature}.${method}`, store.name, lacksOf(store)[feature]!);
  };
  return Object.fromEntries(methods.map((method) => [method, refuse(method)])) as P;
}

/** The method, bound to its port, or one that throws. */
function method<P extends object, K extends keyof P & Feature>(store: Bare, port: P, name: K): NonNullable<P[K]> {
  const own = port[name] as ((...args: unknown[]) => unknown) | undefined;
  if (own) return own.bind(port) as NonNullable<P[K]>;
  return absent<Record<K, unknown>>(store, name, [name])[name] as NonNullable<P[K]>;
}

function adding(store: Bare, lacks: Lacks): Runs["add"] {
  return (batch, how) => {
    if (how?.tx && lacks.tx !== undefined)
      return Promise.reject(new NotSupported("adding runs in a transaction (tx)", store.name, lacks.tx));
    const add = (runs: readonly NewRun[]): Promise<readonly (Taken | Error)[]> => store.runs.add(runs, how);
    return batch.every((run) => refusedRun(run) === null) ? add(batch) : sifted(batch, refusedRun, add);
  };
}

/** Sends the valid items of a batch, and answers an error in the place of each other item. */
export async function sifted<T, A>(
  batch: readonly T[],
  refusal: (item: T) => Error | null,
  send: (good: readonly T[]) => Promise<readonly A[]>,
): Promise<readonly (A | Error)[]> {
  const refused = batch.map(refusal);
  const answers = await send(batch.filter((_, i) => refused[i] === null));
  let next = 0;
  return refused.map((error) => error ?? answers[next++]!);
}

function refusedRun(run: NewRun): InvalidInput | null {
  const complaint = complaintOf(run);
  return complaint === null ? null : new InvalidInput(`run of job "${shown(run.job)}" ${complaint}`);
}

function complaintOf({
  priority,
  dueAt,
  delayMs,
  ttlMs,
  key,
  job,
  queue,
  tags,
  journal,
  replayOf,
}: NewRun): string | null {
  if (!(Number.isInteger(priority) && priority >= 0 && priority <= 9))
    return `has priority ${priority}; give it 0 to 9`;
  if (dueAt && Number.isNaN(dueAt.getTime())) return "has an instant that is not a date; give it a valid Date";
  if (!isSpan(delayMs) || !isSpan(ttlMs ?? 0) || !isSpan(key?.keepMs ?? 0))
    return "has a span that is not a number of milliseconds; give it 0 or more";
  if (journal && (key !== null || replayOf === null))
    return "has a journal; give it no key, and the run that it replays";
  const isStorable = isClean(job) && isClean(queue) && tags.every(isClean) && isClean(key?.key ?? "");
  return isStorable ? null : "has NUL or a lone surrogate in its job, queue, tags or key; remove it";
}

function isSpan(ms: number): boolean {
  return Number.isFinite(ms) && ms >= 0;
}

function finding(store: Bare): Find {
  const { find } = store;
  const get: Find["get"] = (id) => find.get(id);
  const [attempts, logs] = [method(store, find, "attempts"), method(store, find, "logs")];
  const series = method(store, find, "series");
  return {
    get,
    list: async (filter, page) => find.list(checkHolder(filter), bounded(page)),
    attempts: async (filter, page) => attempts(filter, bounded(page)),
    logs: async (run, page) => logs(run, bounded(page)),
    stats: method(store, find, "stats"),
    jobs: method(store, find, "jobs"),
    series: async (filter) => series(checkSteps(filter)),
    facts: method(store, find, "facts"),
    awaited: find.awaited ? (...wait) => find.awaited!(...wait) : (...wait) => polled(get, ...wait),
  };
}

/** @throws {InvalidInput} unless steps are whole minutes, of a time that begins and ends */
function checkSteps(filter: SeriesFilter): SeriesFilter {
  const { from, to, stepMs } = filter;
  if (!(stepMs > 0 && Number.isSafeInteger(stepMs / 60_000)))
    throw new InvalidInput(`steps of ${shown(stepMs)} ms are not whole minutes`, { path: "step" });
  if (!(from < to)) throw new InvalidInput("to is not after from", { path: "to" });
  return filter;
}

function checkHolder(filter: RunFilter): RunFilter {
  if (!filter.holds || (filter.job?.length === 1 && filter.key !== undefined && Object.keys(filter).length === 3))
    return filter;
  throw new InvalidInput("the run that holds a key is found by one job and the key alone; leave out the rest");
}

/** The bounds of a page of 1 to 200 items, 50 by default.
 *  @throws {InvalidInput} for another limit, and for a cursor that no list returned */
function bounded({ cursor, limit = 50 }: Paging = {}): Bounds {
  if (!Number.isInteger(limit) || limit < 1)
    throw new InvalidInput(`limit ${shown(limit)} is not a whole number from 1 to 200`);
  if (cursor !== undefined && (cursor.length > 1000 || !isClean(cursor))) throw strangeCursor(cursor);
  return { cursor, limit: Math.min(200, limit) };
}

/** Polls until the run has ended, with a growing pause. */
async function polled(get: Find["get"], id: number, waitMs: number, signal?: AbortSignal): Promise<RunRecord | null> {
  const deadline = performance.now() + waitMs;
  for (let betweenMs = 20; ; betweenMs = Math.min(1000, betweenMs * 2)) {
    const run = await get(id);
    if (!run || isFinal(run.status)) return run;
    const left = deadline - performance.now();
    if (left <= 0 || signal?.aborted) return null;
    await pause(Math.min(left, betweenMs), undefined, signal && { signal }).catch(() => undefined);
  }
}

function acting(store: Bare): Desk {
  const { desk } = store;
  const edit = method(store, desk, "edit");
  return {
    cancel: (ids, reason) => desk.cancel(ids, reason),
    revive: method(store, desk, "revive"),
    async edit(id, change) {
      if (change.priority !== undefined) checkPriority(change.priority);
      return edit(id, change);
    },
    pause: method(store, desk, "pause"),
    purge: method(store, desk, "purge"),
  };
}

function scheduling(store: Bare): Schedules {
  const { schedules } = store;
  if (!schedules) return absent<Schedules>(store, "schedules", ["put", "list", "pause", "remove"]);
  return {
    put: (batch) => sifted(batch, refusedSchedule, (good) => schedules.put(good)),
    async list(filter, page) {
      if (filter.key !== undefined && !filter.job)
        throw new InvalidInput("schedules are not listed by key alone; name their job, too");
      return schedules.list(filter, bounded(page));
    },
    pause: (name, paused) => schedules.pause(name, paused),
    remove: (name) => schedules.remove(name),
  };
}

function refusedSchedule(one: NewSchedule): InvalidInput | null {
  if ([one.job, one.key, one.queue ?? "", ...one.tags].every(isClean)) return null;
  const id = clean(scheduleId(one), most.name);
  return new InvalidInput(`schedule "${id}" has NUL or a lone surrogate in its job, key, queue or tags; remove it`);
}

/** Nobody reads what a store without a feed is told. */
function feedOf(store: Bare): Feed {
  const none = (): Feed => ({
    ...absent<Feed>(store, "feed", ["watch", "read"]),
    watched: false,
    write: () => Promise.resolve(),
  });
  return store.feed ?? none();
}

function journaling(store: Store): Flow {
  const { flow } = store;
  if (!flow) return absent<Flow>(store, "flow", ["load", "record", "send", "read", "mend"]);
  return {
    ...mailing(store),
    load: (batch) => flow.load(batch),
    async record(batch, tx) {
      checkTx(store, tx, "recording");
      const isGood = batch.every((each) => refusedRecording(each) === null);
      return isGood ? flow.record(batch, tx) : sifted(batch, refusedRecording, (good) => flow.record(good, tx));
    },
  };
}

function mailing(store: Bare): Mailbox {
  const { flow } = store;
  if (!flow) return absent<Mailbox>(store, "flow", ["send", "read", "mend"]);
  return {
    async send(batch, tx) {
      checkTx(store, tx, "sending");
      for (const { name, data } of batch) checkNamed("name", name, 128, data);
      return flow.send(batch, tx);
    },
    read: (run) => flow.read(run),
    async mend(run, entries, last, pin) {
      for (const entry of entries) checkEntry(entry);
      if (typeof pin === "string") checkText("pin", pin, 256);
      return flow.mend(run, entries, last, pin);
    },
  };
}

function checkTx(store: Bare & Pick<Store, "lacks">, tx: Tx | undefined, what: string): void {
  const why = tx && lacksOf(store).tx;
  if (why !== undefined) throw new NotSupported(`${what} in a transaction (tx)`, store.name, why);
}

/** @throws {InvalidInput} for a name that is too long, or text that a store can't keep */
function checkNamed(what: string, name: string, longest: number, data: string | null): void {
  checkText(what, name, longest);
  if (!isClean(data ?? ""))
    throw new InvalidInput(`data of ${what} "${shown(name)}" has NUL or a lone surrogate; remove it`);
}

function checkEntry({ key, data }: Pick<Entry, "key" | "data">): void {
  checkNamed("key", key, 140, data); // a name, and which of its calls
}

function refusedRecording({ entries }: Recording): Error | null {
  try {
    for (const entry of entries) checkEntry(entry);
    const refused = entries.flatMap(({ adds = [] }: NewEntry) => adds).map(refusedChild);
    return refused.find((error) => error !== null) ?? null;
  } catch (error) {
    return error as InvalidInput;
  }
}

function refusedChild(run: NewRun): InvalidInput | null {
  if (run.key === null) return refusedRun(run);
  return new InvalidInput(`run of job "${shown(run.job)}" has a key, but a workflow adds it; leave out the key`);
}

function cleaned(settlement: Settlement): Settlement {
  const { outcome } = settlement;
  if (outcome.to === "completed")
    return outcome.note === null
      ? settlement
      : { ...settlement, outcome: { ...outcome, note: clean(outcome.note, most.note) } };
  if (outcome.to === "released" || outcome.error === null) return settlement;
  return { ...settlement, outcome: { ...outcome, error: cleanError(outcome.error) } };
}

function cleanError({ name, message, stack }: ErrorRecord): ErrorRecord {
  return {
    name: clean(name, most.name),
    message: clean(message, most.message),
    stack: stack === null ? null : clean(stack, most.stack),
  };
}

function cleanNote({ progress, lines, ...fence }: Note): Note {
  return {
    ...fence,
    ...(progress && { progress: { ...progress, detail: progress.detail && clean(progress.detail, most.detail) } }),
    ...(lines && { lines: lines.map(cleanLine) }),
  };
}

function cleanLine(line: Line): Line {
  return { ...line, message: clean(line.message, most.line), data: line.data && clean(line.data, most.line) };
}

export function strangeCursor(cursor: string): InvalidInput {
  return new InvalidInput(`cursor "${shown(cursor)}" was not made by this list; leave it out to start anew`, {
    path: "cursor",
  });
}

/** The schedule after which a page begins.
 *  @throws {InvalidInput} for a cursor that the list did not return */
export function placeAt(cursor: string): ScheduleName {
  try {
    const [job, key] = JSON.parse(cursor) as readonly unknown[];
    if (typeof job === "string" && typeof key === "string") return { job, key };
  } catch {
    // it is not JSON
  }
  throw strangeCursor(cursor);
}

/** Refuses to change a schedule that code declares. */
export function declared(name: ScheduleName): InvalidInput {
  return new InvalidInput(
    `schedule "${scheduleId(name)}" is declared in code; change it there, pause it, or take another key`,
  );
}
/** Refuses to remove a declared schedule while a live node has its job. */
export function served(name: ScheduleName): InvalidInput {
  return new InvalidInput(
    `schedule "${scheduleId(name)}" is declared in code that a live node has; take it out there, or pause it`,
  );
}

/** The error of a run that expired. */
export const expired: ErrorRecord = { name: "Expired", message: "it did not start within its ttl", stack: null };

/** The error of a run that crashed too often: its nodes may have died, or only lost their lease. It must not contain an apostrophe, because it
 *  becomes part of SQL. */
export function crashed(times: number | string): ErrorRecord {
  const what = `its process died, or stopped answering for longer than its lease, ${times} times while it held this run`;
  const advice = "see how that process ended (memory, exit code), or what blocked its event loop, then retry the run";
  return {
    name: "Crashed",
    message: `${what}; ${advice}`,
    stack: null,
  };
}
