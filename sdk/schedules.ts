/** Schedules made at run time, and acts of people on all of them. */
import { decode } from "./codec.ts";
import { target } from "./config.ts";
import { changes } from "./cron.ts";
import { InvalidInput, InvalidPayload, ScheduleNotFound } from "./error.ts";
import { toHandle, type RunHandle } from "./handle.ts";
import { formatId, parseScheduleId, scheduleId, tickKey } from "./id.ts";
import type { AnyJob, InputOf, ResultOf } from "./job.ts";
import { checkInstant, checkKeys, isList } from "./option.ts";
import { around, ruleKeys, ruleOf, spreadOf, tickKeepMs, ticking, type TickPolicy, type When } from "./rule.ts";
import { checkKey, newSchedule, type RunsOf, type ScheduleOptions } from "./schedule.ts";
import { check } from "./schema.ts";
import type { Reason, Status } from "./status.ts";
import type { NewRun, NewSchedule, Page, Paging, Rule, ScheduleName, ScheduleRecord, Target } from "./target.ts";
import { encodePublished, published } from "./trigger.ts";

/** A schedule: its id (`job@key`, or the job where it declares one schedule), or its job and key. */
export type ScheduleRef = string | { readonly job: string | AnyJob; readonly key?: string | undefined };

/** A schedule to be made or changed. With a job's id instead of the job, the payload is checked against what nodes published. */
export type Upsert<J extends AnyJob = AnyJob> = {
  readonly job: J | J["id"];
  /** Yours: 1–128 characters, such as `user:7`. Job and key name the schedule. */
  readonly key: string;
} & ScheduleOptions<InputOf<J>>;

/** A schedule as it was when it was read. */
export interface Schedule {
  /** `job@key`, or the job alone where the key is "". */
  readonly id: string;
  readonly job: string;
  readonly key: string;
  readonly rule: Rule;
  /** What its runs get, before the schema: decoded when it is read. */
  readonly payload: unknown;
  readonly queue: string | null;
  readonly priority: number | null;
  readonly tags: readonly string[];
  /** True: its job's code declares it. */
  readonly declared: boolean;
  readonly paused: boolean;
  /** When its next run starts, spread included; null while paused, and after its end. */
  readonly nextAt: Date | null;
  readonly lastTick: Date | null;
  readonly last: { readonly run: string; readonly status: Status; readonly reason: Reason | null } | null;
  /** How many runs it has made. */
  readonly count: number;
  /** Whether a live node has its job. A declared schedule makes no runs while none has. */
  readonly served: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export interface ScheduleQuery {
  readonly job?: string | readonly string[] | undefined;
  readonly paused?: boolean | undefined;
  readonly declared?: boolean | undefined;
}

/** One coming tick. */
export interface PreviewTick {
  readonly tick: Date;
  /** Tick and spread. */
  readonly dueAt: Date;
  /** Clock changes of the zone between the tick before (or `from`) and this one; offsets in minutes. */
  readonly changes: readonly { readonly at: Date; readonly before: number; readonly after: number }[];
}

export const schedules = {
  /** Makes a schedule, or changes it: a paused one stays paused; a changed rule takes its own next tick.
   *  @throws {InvalidInput} {InvalidPayload} {JobNotFound} {NotConfigured} {StoreUnavailable} */
  async upsert<J extends AnyJob = AnyJob>(schedule: Upsert<J>): Promise<Schedule> {
    const [made] = await schedules.upsertMany([schedule]);
    if (made instanceof Error) throw made;
    return made!;
  },

  /** Makes or changes many, any number; a schedule or an error per item, in order. */
  async upsertMany<J extends AnyJob = AnyJob>(list: readonly Upsert<J>[]): Promise<readonly (Schedule | Error)[]> {
    if (!isList(list)) throw new InvalidInput("schedules are not a list; write [{ key, job, cron }]", { path: "list" });
    const to = await target();
    const answers: (Schedule | Error)[] = [];
    for (let from = 0; from < list.length; from += chunk)
      answers.push(...(await putAll(to, list.slice(from, from + chunk))));
    return answers;
  },

  /** The schedule, or null if there is none. */
  async get(ref: ScheduleRef): Promise<Schedule | null> {
    const record = await (await target()).schedules.get(nameOf(ref));
    return record && toSchedule(record);
  },

  /** By job, then key. */
  async list(query: ScheduleQuery = {}, paging: Paging = {}): Promise<Page<Schedule>> {
    checkKeys("a query of schedules", query, new Set(["job", "paused", "declared"]));
    const { job, paused, declared } = query;
    const page = await (
      await target()
    ).schedules.list(
      {
        ...(job !== undefined && { job: typeof job === "string" ? [job] : job }),
        ...(paused !== undefined && { paused }),
        ...(declared !== undefined && { declared }),
      },
      paging,
    );
    return { ...page, items: page.items.map(toSchedule) };
  },

  /** Makes no more runs, until it is resumed; code that declares it changes nothing about that. Runs that it made go on.
   *  @throws {ScheduleNotFound} */
  async pause(ref: ScheduleRef): Promise<Schedule> {
    const record = await (await target()).schedules.pause(nameOf(ref));
    return toSchedule(needed(record, ref));
  },

  /** Goes on with the next tick from now; a one-shot whose instant has passed starts now. @throws {ScheduleNotFound} */
  async resume(ref: ScheduleRef): Promise<Schedule> {
    const record = await (await target()).schedules.resume(nameOf(ref));
    return toSchedule(needed(record, ref));
  },

  /** Deletes it; its runs stay. False if there was none.
   *  @throws {InvalidInput} for one that code declares, while a live node has the job: take it out of the code, or pause it */
  async remove(ref: ScheduleRef): Promise<boolean> {
    return (await target()).schedules.remove(nameOf(ref));
  },

  /** Adds a run of it now, beside its ticks. @throws {ScheduleNotFound} */
  async trigger<J extends AnyJob = AnyJob>(ref: ScheduleRef): Promise<RunHandle<ResultOf<J>>> {
    const { to, record } = await found(ref);
    const tick = Date.now();
    const [added] = await to.add([await runOf(to, record, tick, null)]);
    if (added instanceof Error) throw added;
    await to.schedules.attach(record, [added!.id]);
    return toHandle(to, added!);
  },

  /** Adds a run for each tick in [from, to] that has none yet; they start now. At most 1000 ticks a call.
   *  @throws {ScheduleNotFound}. @throws {InvalidInput} for more ticks, and for a range that is not over */
  async backfill(
    ref: ScheduleRef,
    { from, to: until }: { readonly from: Date; readonly to: Date },
  ): Promise<{ readonly ticks: number; readonly runs: readonly string[] }> {
    const { to, record } = await found(ref);
    const instants = past(record, checkInstant("from", from), checkInstant("to", until));
    const batch = await Promise.all(
      instants.map((tick) => runOf(to, record, tick, { key: tickKey(record.key, tick), keepMs: tickKeepMs })),
    );
    const added = batch.length === 0 ? [] : await to.add(batch);
    const failed = added.find((one) => one instanceof Error);
    if (failed) throw failed;
    const made = added.flatMap((one) => (!(one instanceof Error) && one.created ? [one.id] : []));
    if (made.length > 0) await to.schedules.attach(record, made);
    return { ticks: instants.length, runs: made.map(formatId) };
  },

  /** The coming ticks of a schedule, or of a rule that need not be stored.
   *  @throws {ScheduleNotFound} {InvalidInput} */
  async preview(
    of: ScheduleRef | (When & TickPolicy),
    { from = new Date(), count = 5 }: { readonly from?: Date | undefined; readonly count?: number | undefined } = {},
  ): Promise<readonly PreviewTick[]> {
    if (!Number.isInteger(count) || count < 1 || count > 1000)
      throw new InvalidInput(`count "${String(count)}" is not a whole number from 1 to 1000`, { path: "count" });
    checkInstant("from", from);
    if (typeof of !== "object" || of === null || "job" in of) {
      const { record } = await found(of);
      return previewOf(record.rule, spreadOf(record, record.rule), from, count);
    }
    checkKeys("a rule", of, new Set(ruleKeys));
    return previewOf(ruleOf(of), 0, from, count);
  },
};

const chunk = 500;
const mostBackfilled = 1000;

function nameOf(ref: ScheduleRef): ScheduleName {
  if (typeof ref === "string") return parseScheduleId(ref);
  const { job, key = "" } = (ref as Partial<Exclude<ScheduleRef, string>> | null) ?? {};
  const id = typeof job === "object" ? job.id : job;
  if (typeof id === "string" && typeof key === "string") return { job: id, key };
  throw new InvalidInput('a schedule is named by its id, "job@key", or by { job, key }');
}

async function found(ref: ScheduleRef): Promise<{ readonly to: Target; readonly record: ScheduleRecord }> {
  const to = await target();
  return { to, record: needed(await to.schedules.get(nameOf(ref)), ref) };
}

function needed(record: ScheduleRecord | null, ref: ScheduleRef): ScheduleRecord {
  if (record) return record;
  throw new ScheduleNotFound(scheduleId(nameOf(ref)));
}

/** Those that can be prepared share a write; an error keeps its place. */
async function putAll(to: Target, list: readonly object[]): Promise<readonly (Schedule | Error)[]> {
  const prepared = await Promise.all(
    list.map((one) =>
      prepare(to, one as Upsert).catch((error: unknown) => (error instanceof Error ? error : new Error(String(error)))),
    ),
  );
  const twice = repeats(prepared);
  const good = prepared.filter((one, i): one is NewSchedule => !(one instanceof Error) && !twice.has(i));
  const stored = good.length > 0 ? await to.schedules.put(good) : [];
  let next = 0;
  return prepared.map((one, i) => {
    if (one instanceof Error) return one;
    if (twice.has(i)) return new InvalidInput(`schedule "${scheduleId(one)}" is in the list twice; leave one out`);
    const answer = stored[next++]!;
    return answer instanceof Error ? answer : toSchedule(answer);
  });
}

/** Places of items whose name is there before. */
function repeats(list: readonly (NewSchedule | Error)[]): ReadonlySet<number> {
  const seen = new Set<string>();
  return new Set(
    list.flatMap((one, i) => {
      if (one instanceof Error) return [];
      const id = scheduleId(one);
      if (seen.has(id)) return [i];
      seen.add(id);
      return [];
    }),
  );
}

const upsertKeys = new Set<string>([...ruleKeys, "job", "key", "payload", "queue", "priority", "tags"]);

async function prepare(to: Target, given: Upsert): Promise<NewSchedule> {
  if (typeof given !== "object" || given === null)
    throw new InvalidInput('a schedule is not an object; write { key: "user:7", job: remind, cron: "0 9 * * *" }');
  checkKeys("a schedule", given, upsertKeys);
  const { job, payload, ...options } = given as { readonly job: AnyJob | string; readonly payload?: unknown } & When &
    TickPolicy &
    RunsOf & { readonly key: string };
  const { id } = typeof job === "object" && job !== null ? job : { id: job };
  if (typeof id !== "string")
    throw new InvalidInput("job is neither a job nor the id of one; write job: remind", { path: "job" });
  const name = { job: id, key: checkKey(options.key) };
  const made = newSchedule(name, { ...options, payload }, "UTC");
  if (typeof job === "string") return { ...made, input: await encodePublished(await published(to, id), payload) };
  const { issues } = await check(job.schema, payload);
  if (issues) throw new InvalidPayload(id, issues);
  return made;
}

function toSchedule(record: ScheduleRecord): Schedule {
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

/** A run of a schedule beside its ticks. */
async function runOf(
  to: Target,
  { job, key, rule, input, queue, priority, tags }: ScheduleRecord,
  tick: number,
  bound: { readonly key: string; readonly keepMs: number } | null,
): Promise<NewRun> {
  const own = await published(to, job).catch(() => ({ queue: "default", priority: 0, tags: [], ttlMs: null }));
  const { previous, next } = around(rule, tick);
  return {
    job,
    queue: queue ?? own.queue,
    priority: priority ?? own.priority,
    tags: [...new Set([...own.tags, ...tags])],
    ttlMs: own.ttlMs,
    dueAt: null,
    delayMs: 0,
    input,
    key: bound && { ...bound, onConflict: "return", hash: "" },
    options: { schedule: { key, tick, previous, next } },
    replayOf: null,
  };
}

/** The ticks of a range that is over. */
function past({ rule }: ScheduleRecord, from: Date, until: Date): readonly number[] {
  if (until.getTime() > Date.now())
    throw new InvalidInput(`to "${until.toISOString()}" is not over; the schedule itself makes the coming runs`, {
      path: "to",
    });
  if (until < from) throw new InvalidInput("to is before from; exchange them", { path: "to" });
  const { next } = ticking(rule);
  const ticks: number[] = [];
  for (let tick = next(from.getTime() - 1); tick !== null && tick <= until.getTime(); tick = next(tick)) {
    if (ticks.push(tick) > mostBackfilled)
      throw new InvalidInput(`the range has more than ${mostBackfilled} ticks; backfill it in parts`, { path: "to" });
  }
  return ticks;
}

function previewOf(rule: Rule, spread: number, from: Date, count: number): readonly PreviewTick[] {
  const { next } = ticking(rule);
  const ticks: PreviewTick[] = [];
  let before = from.getTime();
  for (let tick = next(before); tick !== null && ticks.length < count; tick = next(tick)) {
    const moved = rule.timezone === undefined ? [] : changes(rule.timezone, before, tick);
    ticks.push({
      tick: new Date(tick),
      dueAt: new Date(tick + spread),
      changes: moved.map((change) => ({ ...change, at: new Date(change.at) })),
    });
    before = tick;
  }
  return ticks;
}
