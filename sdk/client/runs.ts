/** Looking at what there is, and acting on it, from application code. */
import type { Wire } from "../port/codec.ts";
import { target, type Open } from "./config.ts";
import type { DurationText } from "../port/duration.ts";
import { InvalidInput, RunNotFound } from "../port/error.ts";
import { act, edit, outcome, pauseQueue } from "./act.ts";
import { eventsOf, type EventQuery } from "./events.ts";
import { toHandle, type RunHandle } from "./handle.ts";
import { mend, type Fix } from "./mend.ts";
import { again, type ReplayOptions } from "./replay.ts";
import { historyOf, type History } from "./history.ts";
import { formatId, parseId } from "../port/id.ts";
import {
  checkKeys,
  checkPaging,
  checkPriority,
  checkQueue,
  type Priority,
  checkOneOf,
  present,
} from "../port/option.ts";
import { overrides } from "../define/retry.ts";
import { each } from "./page.ts";
import { toRun, type Run } from "./run.ts";
import { seriesOf } from "./series.ts";
import { whyOf, type Why } from "./why.ts";
import { finals, type Final, type Reason, type Status, statuses } from "../port/status.ts";
import type {
  AttemptRecord,
  Edit,
  LogRecord,
  NodeStat,
  Page,
  Paging,
  QueueRecord,
  RunFilter,
  RunRecord,
  Stats,
  Target,
  PurgeFilter,
} from "../port/target.ts";
import { instant } from "./option.ts";
import { addOne, inputFor } from "./trigger.ts";

/** A run: its id (`run_…`), or the job and idempotency key that hold it. */
export type RunRef = string | { readonly job: string; readonly key: string };

/** What a query asks for in the words of a filter. */
type Plain = `${"created" | "finished"}${"After" | "Before"}` | "tags" | "key" | "error" | "hooks";

/** Which runs. Fields are combined with AND; lists with OR, except `tags`, which must all be there. */
export interface RunQuery extends Pick<RunFilter, Plain> {
  /** `run_…` */
  readonly ids?: readonly string[] | undefined;
  readonly status?: Status | readonly Status[] | undefined;
  /** Why a run has its status, such as `timeout`. */
  readonly reason?: Reason | readonly Reason[] | undefined;
  /** Ids of jobs. */
  readonly job?: string | readonly string[] | undefined;
  readonly queue?: string | readonly string[] | undefined;
  /** `{ "user.id": 42 }`: fields of the payload by dotted path, compared as text. */
  readonly payload?: Readonly<Record<string, string | number | boolean>> | undefined;
}

/** What to change of a pending run. */
export interface Change {
  /** One in the past means now. */
  readonly runAt?: Date | undefined;
  /** From now. Not together with `runAt`. */
  readonly delay?: DurationText | undefined;
  /** Checked as by `trigger(id, payload)`. */
  readonly payload?: unknown;
  /** All tries: 1–1000. */
  readonly attempts?: number | undefined;
  /** 0–9, higher first. */
  readonly priority?: Priority | undefined;
}

/** Which finished runs to delete; at least one field. */
export interface PurgeQuery extends Pick<RunQuery, "ids" | "job"> {
  readonly status?: Final | readonly Final[] | undefined;
  /** Those that ended before. */
  readonly before?: Date | undefined;
}

/** One ended attempt that did not complete its run. */
export type Attempt = Omit<AttemptRecord, "run"> & { readonly run: string };
/** One line of `ctx.log`. */
export type LogLine = Omit<LogRecord, "run" | "data"> & { readonly run: string; readonly data: unknown };

/** `runs`, bound to a given target: a table of functions, so longer than a function should be. */
export function runsOf(open: Open) {
  const found = async (ref: RunRef): Promise<{ readonly to: Target; readonly id: number }> => {
    const to = await open();
    const id = await numberOf(to, ref);
    if (id === null) throw new RunNotFound(nameOf(ref));
    return { to, id };
  };
  const needed = async (ref: RunRef): Promise<{ readonly to: Target; readonly record: RunRecord }> => {
    const { to, id } = await found(ref);
    const record = await to.find.get(id);
    if (!record) throw new RunNotFound(nameOf(ref));
    return { to, record };
  };
  const acted = async (ref: RunRef, how: "cancel" | "resume" | "retry"): Promise<"done" | "asked"> => {
    const { to, id } = await found(ref);
    return outcome(id, (await act(to, how, [id]))[0], how);
  };

  const verbs = {
    /** The run, or null. */
    async get(ref: RunRef): Promise<Run | null> {
      const to = await open();
      const id = await numberOf(to, ref);
      const record = id === null ? null : await to.find.get(id);
      return record && toRun(record);
    },

    /** The run. @throws {RunNotFound} */
    need: async (ref: RunRef): Promise<Run> => toRun((await needed(ref)).record),

    /** One page, newest first; 50 runs unless `limit` says otherwise (1–200). `next` is the cursor of the page after it.
     *  */
    async list(query: RunQuery = {}, paging: Paging = {}): Promise<Page<Run>> {
      const page = await (await open()).find.list(filterOf(query), checkPaging(paging));
      return { ...page, items: page.items.map((record) => toRun(record)) };
    },

    /** All of them, newest first, page by page as they are read. */
    async *each(query: RunQuery = {}): AsyncGenerator<Run, void, undefined> {
      yield* each((paging) => verbs.list(query, paging));
    },

    /** A waiting run will not start; of a running one the handler's signal aborts (`asked`), on whichever node it is. */
    cancel: (ref: RunRef): Promise<"done" | "asked"> => acted(ref, "cancel"),

    /** Makes a canceled run pending again, at its instant, or now if that has passed. */
    async resume(ref: RunRef): Promise<void> {
      await acted(ref, "resume");
    },

    /** Makes a failed run pending again, now, with all its attempts. */
    async retry(ref: RunRef): Promise<void> {
      await acted(ref, "retry");
    },

    /** A new run, now, with the payload, queue, priority, tags and overrides of an old one; without its idempotency key
     *  and ttl. With `from`, of a workflow: it goes on from that step, with what the old run's journal has before it.
     *  @throws {InvalidInput} if the old run has no such step. @throws {InvalidPayload} */
    async replay(ref: RunRef, options: ReplayOptions = {}): Promise<RunHandle> {
      const { to, record } = await needed(ref);
      return toHandle(to, await addOne(to, await again(to, record, options)));
    },

    /** Starts a pending run without waiting for its instant. */
    async runNow(ref: RunRef): Promise<void> {
      await verbs.edit(ref, { delay: "0s" });
    },

    /** Changes a run that has not started. */
    async edit(ref: RunRef, change: Change): Promise<void> {
      const { to, id } = await found(ref);
      outcome(id, await edit(to, id, await editOf(to, id, change)), "edit");
    },

    /** Deletes finished runs with all that belongs to them: one, or all that match. Answers how many. */
    async purge(which: RunRef | PurgeQuery): Promise<number> {
      const to = await open();
      const filter =
        typeof which === "string" || "key" in which ? { ids: [(await found(which)).id] } : purgeFilter(which);
      for (let total = 0; ;) {
        const count = await to.desk.purge(filter, purgeChunk);
        total += count;
        if (count < purgeChunk) return total;
      }
    },

    /** Deletes one attempt's record; `token` is in `attempts`. False if it is not there. */
    async forget(ref: RunRef, token: number): Promise<boolean> {
      const { to, id } = await found(ref);
      return (await to.desk.purge({ attempt: { run: id, token } }, 1)) > 0;
    },

    /** A run with its journal, as JSON that can be kept in a file: `replay` of tasker/testing tells whether new code still fits it. */
    async history(ref: RunRef): Promise<History> {
      const { to, record } = await needed(ref);
      return historyOf(record, await to.flow.read(record.id));
    },

    /** Mends the journal of a run that waits, and lets it go on from there: of one that is parked because the code has changed, for example. Without
     *  a fix it goes on with its journal as it is, once the code that wrote that is back. Runs that it made in steps that are gone are canceled.
     *  @throws {WrongState} if it does not wait, or has no such step */
    async fix(ref: RunRef, fix: Fix = {}): Promise<void> {
      const { to, id } = await found(ref);
      outcome(id, (await mend(to, [id], fix))[0], "fix");
    },

    /** Why a run has not started, has not gone on, or ended as it did: a sentence (`text`), and the facts behind it (`because`).
     *  @throws {RunNotFound} {NotSupported} */
    async why(ref: RunRef): Promise<Why> {
      const { to, id } = await found(ref);
      const answer = await whyOf(to, id);
      if (!answer) throw new RunNotFound(nameOf(ref));
      return answer;
    },

    /** A page of the attempts of a run that did not complete it, with node, times and error. */
    async attempts(ref: RunRef, paging: Paging = {}): Promise<Page<Attempt>> {
      const { to, id } = await found(ref);
      return attemptsOf(await to.find.attempts({ run: id }, checkPaging(paging)));
    },

    /** Attempts across runs, the newest first: of these jobs, or of all. */
    async failures(query: Pick<RunQuery, "job"> = {}, paging: Paging = {}): Promise<Page<Attempt>> {
      checkKeys("a query of failures", query, failureKeys);
      const filter = present({ job: listOf(query.job) });
      return attemptsOf(await (await open()).find.attempts(filter, checkPaging(paging)));
    },

    /** What happens on all nodes, and what applications do, as it happens: an event of each, in the order of all, until `signal` aborts. `since` goes on
     *  after an event. Where events were lost comes a `gap`, to a reader too that is more than 1000 behind. Watching begins when the first
     *  event is asked for; within two seconds all processes know of it. While nobody watches it costs nothing.
     *  @throws {InvalidInput} {NotSupported} {StoreUnavailable} */
    events: (query: EventQuery = {}) => eventsOf(open, query),

    /** A page of what a run's handler logged. */
    async logs(ref: RunRef, paging: Paging = {}): Promise<Page<LogLine>> {
      const { to, id } = await found(ref);
      const page = await to.find.logs(id, checkPaging(paging));
      return { ...page, items: page.items.map(lineOf) };
    },
  };
  return verbs;
}

/** `queues`, bound to a given target. */
export function queuesOf(open: Open) {
  return {
    /** All queues that the store knows, by name. */
    async list(): Promise<readonly QueueRecord[]> {
      return (await (await open()).find.stats({ lanes: false })).queues;
    },
    /** Its runs wait until it is resumed, on all nodes. A queue that no job uses may be paused, too. @throws {InvalidInput} for an invalid name */
    async pause(queue: string): Promise<void> {
      await pauseQueue(await open(), checkQueue(queue));
    },
    /** Its runs start again. @throws {InvalidInput} for an invalid name */
    async resume(queue: string): Promise<void> {
      await (await open()).desk.pause(checkQueue(queue), false);
    },
  };
}

/** `nodes`, bound to a given target. */
export function nodesOf(open: Open) {
  return {
    /** Those that live, and those that ended lately. */
    async list(): Promise<readonly NodeStat[]> {
      return (await (await open()).find.stats({ lanes: false })).nodes;
    },
  };
}

/** Runs: looking and acting. A run is named by its id, or by its job and idempotency key.
 *  All throw RunNotFound for a run that is not there, WrongState where an act does not fit its state, InvalidInput for
 *  what is not an id. */
export const runs = runsOf(target);

/** Queues: what there is, pausing, resuming. A paused queue's runs wait; those that started go on. `$hooks` is the queue of hooks. */
export const queues = queuesOf(target);

/** Nodes: the processes that run jobs of this store. */
export const nodes = nodesOf(target);

/** `stats`, bound to a given target. */
export function statsOf(open: Open) {
  const now = async (): Promise<Stats> => (await open()).find.stats();
  /** What ended over time, by step: counts, and percentiles of waits and runs. */
  return Object.assign(now, { series: seriesOf(open) });
}

/** Depth by queue, job and priority, what ended in the last minutes, and the nodes. */
export const stats = statsOf(target);

const purgeChunk = 1000;

async function numberOf(to: Target, ref: RunRef): Promise<number | null> {
  if (typeof ref === "string") return parseId(ref);
  if (typeof ref !== "object" || ref === null || typeof ref.job !== "string" || typeof ref.key !== "string")
    throw new InvalidInput('a run is named by its id, "run_…", or by { job, key }');
  const { items } = await to.find.list({ job: [ref.job], key: ref.key, holds: true });
  return items[0]?.id ?? null;
}

function nameOf(ref: RunRef): string {
  return typeof ref === "string" ? ref : `key ${ref.key} of job ${ref.job}`;
}

async function editOf(to: Target, id: number, change: Change): Promise<Edit> {
  checkKeys("edit", change, changeKeys);
  const { runAt, delay, attempts, priority } = change;
  const { dueAt, delayMs } = instant({ runAt, delay });
  return present({
    dueAt,
    delayMs: delay === undefined ? undefined : delayMs,
    attempts: overrides({ attempts }).attempts,
    priority: priority === undefined ? undefined : checkPriority(priority),
    input: "payload" in change ? await inputOf(to, id, change.payload) : undefined,
  });
}

async function inputOf(to: Target, id: number, payload: unknown): Promise<Wire> {
  const record = await to.find.get(id);
  if (!record) throw new RunNotFound(formatId(id));
  return inputFor(to, record.job, payload);
}

const queryKeys = new Set([
  ...["ids", "status", "reason", "job", "queue", "tags", "key", "payload", "error", "hooks"],
  ...["createdAfter", "createdBefore", "finishedAfter", "finishedBefore"],
]);
const failureKeys = new Set(["job"]);
const purgeKeys = new Set(["ids", "status", "job", "before"]);
const changeKeys = new Set(["runAt", "delay", "payload", "attempts", "priority"]);

/** @throws {InvalidInput} for an unknown status, which would silently match nothing. */
function statusesOf<S extends Status>(value: S | readonly S[], known: readonly S[]): readonly S[] {
  return [value].flat().map((status) => checkOneOf("status", status, known));
}

/** @throws {InvalidInput} */
export function filterOf(query: RunQuery): RunFilter {
  checkKeys("a query of runs", query, queryKeys);
  const { ids, status, reason, job, queue, payload, ...same } = query;
  const fields = payload && Object.entries(payload);
  return present({
    ...same,
    ids: ids?.map(parseId),
    status: status && statusesOf(status, statuses),
    reason: listOf(reason),
    job: listOf(job),
    queue: listOf(queue),
    payload: fields?.map(([path, value]) => ({ path: path.split("."), value: String(value) })),
  });
}

function purgeFilter(query: PurgeQuery): PurgeFilter {
  checkKeys("purge", query, purgeKeys); // a filter that is left out for a typing error would delete more than was meant
  const { ids, status, job, before } = query;
  if (!ids && !status && job === undefined && !before)
    throw new InvalidInput(
      'purge has no filter; name what to delete: { status: "completed" }, { job }, { before } or { ids }',
    );
  return present({ ids: ids?.map(parseId), status: status && statusesOf(status, finals), job: listOf(job), before });
}

/** A list of one or several; undefined if there is none. */
function listOf<T extends string>(value: T | readonly T[] | undefined): readonly T[] | undefined {
  return typeof value === "string" ? [value] : value;
}

function attemptsOf(page: Page<AttemptRecord>): Page<Attempt> {
  return { ...page, items: page.items.map((attempt) => ({ ...attempt, run: formatId(attempt.run) })) };
}

function lineOf({ run, data, ...same }: LogRecord): LogLine {
  return { ...same, run: formatId(run), data: data === null ? null : parsed(data) };
}

/** The value, or the text itself where it is not JSON, such as one that was cut: one bad line must not hide the others. */
function parsed(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch {
    return json;
  }
}
