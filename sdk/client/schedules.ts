/** Schedules made at run time, and acts of people on all of them. */
import { decode } from "../port/codec.ts";
import { add } from "./act.ts";
import { target, type Open } from "./config.ts";
import { changes } from "../cron/cron.ts";
import { JobNotFound, ScheduleNotFound, invalid } from "../port/error.ts";
import { toHandle, type RunHandle } from "./handle.ts";
import { formatId, parseScheduleId, scheduleId, tickKey } from "../port/id.ts";
import type { AnyJob, ResultOf } from "./job.ts";
import {
  checkFlag,
  checkInstant,
  checkKeys,
  checkName,
  checkPaging,
  checkText,
  isList,
  wrong,
  checkWhole,
} from "../port/option.ts";
import {
  ruleKeys,
  ruleOf,
  spreadOf,
  tickKeepMs,
  ticking,
  tickOptions,
  type TickPolicy,
  type When,
} from "../define/rule.ts";
import type { Reason, Status } from "../port/status.ts";
import type {
  JobRecord,
  NewRun,
  Page,
  Paging,
  Rule,
  ScheduleFilter,
  ScheduleName,
  ScheduleRecord,
  Target,
} from "../port/target.ts";
import { plainRun } from "./option.ts";
import { addOne, published } from "./trigger.ts";
import { upsertAll, type Upsert } from "./upsert.ts";

export type { Upsert };

/** A schedule: its id (`job@key`, or the job where it declares one schedule), or its job and key. */
export type ScheduleRef = string | { readonly job: string | AnyJob; readonly key?: string | undefined };

/** A schedule as it was when it was read. */
export interface Schedule extends Omit<ScheduleRecord, "input" | "fresh" | "last"> {
  /** `job@key`, or the job alone where the key is "". */
  readonly id: string;
  /** What its runs get, before the schema: decoded when it is read. */
  readonly payload: unknown;
  /** The last run that it made; null if it did not make one, and once that was purged. */
  readonly last: { readonly run: string; readonly status: Status; readonly reason: Reason | null } | null;
}

/** Which schedules. Fields are combined with AND; a list of jobs with OR. */
export interface ScheduleQuery {
  readonly job?: string | readonly string[] | undefined;
  readonly paused?: boolean | undefined;
  readonly declared?: boolean | undefined;
}

/** One coming tick. */
export interface PreviewTick {
  /** The rule's instant. */
  readonly tick: Date;
  /** Tick and spread. */
  readonly dueAt: Date;
  /** Clock changes of the zone between the tick before (or `from`) and this one; offsets in minutes. */
  readonly changes: readonly { readonly at: Date; readonly before: number; readonly after: number }[];
}

/** `schedules`, bound to a given target: a table of functions, so longer than a function should be. */
export function schedulesOf(open: Open) {
  /** The schedule, if it is there, and the store's clock. */
  const read = async (ref: ScheduleRef) => {
    const to = await open();
    const { job, key } = nameOf(ref);
    const { items, at } = await to.schedules.list({ job: [job], key }, { limit: 1 });
    return { to, record: items[0] ?? null, now: at };
  };
  const found = async (ref: ScheduleRef) => {
    const { record, ...rest } = await read(ref);
    return { ...rest, record: needed(record, ref) };
  };
  const turn = async (ref: ScheduleRef, paused: boolean): Promise<Schedule> => {
    const record = await (await open()).schedules.pause(nameOf(ref), paused);
    return toSchedule(needed(record, ref));
  };

  const verbs = {
    /** Makes a schedule, or replaces it as a whole: what is left out gets its default. A paused one stays paused; a changed rule
     *  takes its own next tick. A cron without a zone is read in TASKER_TIMEZONE, else in UTC.
     *  @throws {InvalidInput} {InvalidPayload} {JobNotFound} {NotConfigured} {StoreUnavailable} */
    async upsert<J extends AnyJob = AnyJob>(schedule: Upsert<J>): Promise<Schedule> {
      const [made] = await verbs.upsertMany([schedule]);
      if (made instanceof Error) throw made;
      return made!;
    },

    /** Makes or changes many, any number, of one job or several; a schedule or an error per item, in order. */
    async upsertMany<const Jobs extends readonly AnyJob[] = readonly AnyJob[]>(list: {
      readonly [I in keyof Jobs]: Upsert<Jobs[I]>;
    }): Promise<readonly (Schedule | Error)[]> {
      if (!isList(list)) throw invalid("list", "schedules are not a list; write [{ key, job, cron }]");
      const answers = await upsertAll(await open(), list);
      return answers.map((one) => (one instanceof Error ? one : toSchedule(one)));
    },

    /** The schedule, or null if there is none. */
    async get(ref: ScheduleRef): Promise<Schedule | null> {
      const { record } = await read(ref);
      return record && toSchedule(record);
    },

    /** By job, then key. */
    async list(query: ScheduleQuery = {}, paging: Paging = {}): Promise<Page<Schedule>> {
      const filter = filterOf(query);
      const page = await (await open()).schedules.list(filter, checkCursor(checkPaging(paging)));
      return { ...page, items: page.items.map(toSchedule) };
    },

    /** It does not make runs until it is resumed, whatever code declares. Runs that it made go on.
     *  @throws {ScheduleNotFound} */
    pause: (ref: ScheduleRef): Promise<Schedule> => turn(ref, true),

    /** Goes on with the next tick from now; a one-shot whose instant has passed starts now. @throws {ScheduleNotFound} */
    resume: (ref: ScheduleRef): Promise<Schedule> => turn(ref, false),

    /** Deletes it; its runs stay. False if it did not exist.
     *  @throws {InvalidInput} for one that code declares, while a live node has the job: take it out of the code, or pause it */
    async remove(ref: ScheduleRef): Promise<boolean> {
      return (await open()).schedules.remove(nameOf(ref));
    },

    /** Adds a run of it now, beside its ticks. @throws {ScheduleNotFound} */
    async trigger<J extends AnyJob = AnyJob>(ref: ScheduleRef): Promise<RunHandle<ResultOf<J>>> {
      const { to, record, now } = await found(ref);
      const run = runOf(record, await ownOf(to, record.job), now.getTime(), null);
      return toHandle(to, await addOne(to, { ...run, attach: true }));
    },

    /** Adds a run for each tick in [from, to] that does not have one yet; they start now. `to` is the store's now by default. At most 1000 ticks
     *  a call. Overlap `cancel` does not count them, or the next tick would cancel them all.
     *  @throws {ScheduleNotFound}. @throws {InvalidInput} for more ticks, and for a range that is not over */
    async backfill(
      ref: ScheduleRef,
      span: { readonly from: Date; readonly to?: Date | undefined },
    ): Promise<{ readonly ticks: number; readonly runs: readonly string[] }> {
      checkKeys("range", span, new Set(["from", "to"]));
      const { to, record, now } = await found(ref);
      const range = {
        from: checkInstant("from", span.from),
        until: checkInstant("to", span.to === undefined ? now : span.to),
      };
      const instants = past(record, range, now);
      const own = await ownOf(to, record.job);
      const attach = record.rule.overlap !== "cancel";
      const batch = instants.map((tick) => ({
        ...runOf(record, own, tick, { key: tickKey(record.key, tick), keepMs: tickKeepMs }),
        attach,
      }));
      const added = batch.length === 0 ? [] : await add(to, batch);
      const failed = added.find((one) => one instanceof Error);
      if (failed) throw failed;
      const made = added.flatMap((one) => (!(one instanceof Error) && one.created ? [one.id] : []));
      return { ticks: instants.length, runs: made.map(formatId) };
    },

    /** The coming ticks of a schedule, or of a rule that need not be stored: no more than its limit leaves.
     *  @throws {ScheduleNotFound} {InvalidInput} */
    async preview(
      of: ScheduleRef | (When & TickPolicy),
      span: { readonly from?: Date | undefined; readonly count?: number | undefined } = {},
    ): Promise<readonly PreviewTick[]> {
      checkKeys("span", span, new Set(["from", "count"]));
      const { from, count = 5 } = span;
      checkWhole("count", count, 1, 1000);
      if (from !== undefined) checkInstant("from", from);
      if (typeof of !== "object" || of === null || "job" in of) {
        const { record, now } = await found(of);
        return previewOf(record.rule, spreadOf(record, record.rule), from ?? now, Math.min(count, left(record)));
      }
      checkKeys("a rule", of, new Set(ruleKeys));
      const rule = ruleOf(of);
      return previewOf(rule, 0, from ?? new Date(), Math.min(count, left({ rule, count: 0 })));
    },
  };
  return verbs;
}

/** Schedules: making, looking and acting. */
export const schedules = schedulesOf(target);

const mostBackfilled = 1000;

function filterOf(query: ScheduleQuery): ScheduleFilter {
  checkKeys("query", query, new Set(["job", "paused", "declared"]));
  const { job, paused, declared } = query;
  return {
    ...(job !== undefined && { job: [job].flat().map((id) => checkName("job", id)) }),
    ...(paused !== undefined && { paused: checkFlag("paused", paused) }),
    ...(declared !== undefined && { declared: checkFlag("declared", declared) }),
  };
}

/** A cursor is JSON, and may hold escaped what stores can't take. */
function checkCursor(paging: Paging): Paging {
  const { cursor } = paging;
  if (cursor === undefined || !/(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/i.test(cursor)) return paging;
  throw wrong("cursor", cursor, "is none of a list of schedules; start without one");
}

function nameOf(ref: ScheduleRef): ScheduleName {
  if (typeof ref === "string") return parseScheduleId(ref);
  const { job, key = "" } = (ref as Partial<Exclude<ScheduleRef, string>> | null) ?? {};
  const id = typeof job === "object" ? (job as AnyJob | null)?.id : job;
  if (id === undefined || id === null)
    throw invalid("ref", 'a schedule is named by its id, "job@key", or by { job, key }');
  return { job: checkName("job", id), key: key === "" ? key : checkText("key", key, 128) };
}

function needed(record: ScheduleRecord | null, ref: ScheduleRef): ScheduleRecord {
  if (record) return record;
  throw new ScheduleNotFound(scheduleId(nameOf(ref)));
}

/** The public view of a stored schedule. */
export function toSchedule(record: ScheduleRecord): Schedule {
  const { input, fresh: _fresh, nextAt: _nextAt, last, ...same } = record;
  return {
    id: scheduleId(record),
    ...same,
    get payload() {
      return decode(input);
    },
    nextAt: nextOf(record),
    last: last && { ...last, run: formatId(last.run) },
  };
}

/** What a node will work out for a schedule that it has not seen yet. */
function nextOf({ rule, fresh, nextAt, lastTick, ...name }: ScheduleRecord): Date | null {
  if (!fresh || nextAt === null) return nextAt;
  const spread = spreadOf(name, rule);
  if (rule.atMs !== undefined && lastTick === null) return new Date(Math.max(nextAt.getTime(), rule.atMs + spread));
  const tick = ticking(rule).next(Math.max(nextAt.getTime() - spread, lastTick?.getTime() ?? -Infinity));
  return tick === null ? null : new Date(tick + spread);
}

/** What the runs of a job have where their schedule says nothing; a job that no node has published has the defaults. */
async function ownOf(to: Target, job: string): Promise<Pick<JobRecord, "queue" | "priority" | "tags" | "ttlMs">> {
  return published(to, job).catch((error: unknown) => {
    if (error instanceof JobNotFound) return { queue: "default", priority: 0, tags: [], ttlMs: null };
    throw error;
  });
}

/** A run of a schedule beside its ticks. */
function runOf(
  { job, key, rule, input, queue, priority, tags }: ScheduleRecord,
  own: Awaited<ReturnType<typeof ownOf>>,
  tick: number,
  bound: { readonly key: string; readonly keepMs: number } | null,
): NewRun {
  const base = {
    id: job,
    queue: queue ?? own.queue,
    priority: priority ?? own.priority,
    tags: [...new Set([...own.tags, ...tags])],
    ttlMs: own.ttlMs,
  };
  return {
    ...plainRun(base, input),
    key: bound && { ...bound, onConflict: "return", hash: "" },
    options: tickOptions(key, rule, tick),
  };
}

/** The ticks of a range that is over. */
function past(
  { rule }: ScheduleRecord,
  { from, until }: { readonly from: Date; readonly until: Date },
  now: Date,
): readonly number[] {
  if (from > now)
    throw invalid("from", `from "${from.toISOString()}" is yet to come; the schedule itself makes the coming runs`);
  if (until > now)
    throw invalid("to", `to "${until.toISOString()}" is not over; the schedule itself makes the coming runs`);
  if (until < from) throw invalid("to", "to is before from; exchange them");
  const { next } = ticking(rule);
  const ticks: number[] = [];
  for (let tick = next(from.getTime() - 1); tick !== null && tick <= until.getTime(); tick = next(tick)) {
    if (ticks.push(tick) > mostBackfilled)
      throw invalid("to", `the range has more than ${mostBackfilled} ticks; backfill it in parts`);
  }
  return ticks;
}

/** How many runs the limit leaves. */
function left({ rule, count }: Pick<ScheduleRecord, "rule" | "count">): number {
  return rule.limit === undefined ? Infinity : Math.max(0, rule.limit - count);
}

function previewOf(rule: Rule, spread: number, from: Date, count: number): readonly PreviewTick[] {
  const { next } = ticking(rule);
  const ticks: PreviewTick[] = [];
  let before = from.getTime();
  for (let tick = next(before); tick !== null && ticks.length < count; tick = next(tick)) {
    const moved = rule.timezone === undefined ? [] : changes(rule.timezone, before + 1, tick);
    ticks.push({
      tick: new Date(tick),
      dueAt: new Date(tick + spread),
      changes: moved.map((change) => ({ ...change, at: new Date(change.at) })),
    });
    before = tick;
  }
  return ticks;
}
