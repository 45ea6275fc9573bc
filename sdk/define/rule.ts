/** When a schedule ticks: what an author writes, checked, and the instants that follow from it. */
import { createHash } from "node:crypto";
import { checkZone, cron, type Dst } from "../cron/cron.ts";
import type { DurationText } from "../port/duration.ts";
import { InvalidInput, invalid } from "../port/error.ts";
import {
  checkFlag,
  checkInstant,
  checkKeys,
  checkSpan,
  isRecord,
  shown,
  wrong,
  checkWhole,
  checkOneOf,
  present,
} from "../port/option.ts";
import type { Rule, RunOptions, ScheduleName } from "../port/target.ts";
import { errorRecord } from "../port/text.ts";

/** The compiler shows it to whoever writes two kinds of rule into one schedule. A literal, as `undefined` is: it tells the kinds apart. */
type Refused = "a schedule has one of cron, every and runAt: make two schedules";

/** A rule by wall clock. Functions are asked when a runtime takes the job in, and again every few seconds: a changed answer
 *  moves the next tick. */
export interface CronWhen {
  /** 5 or 6 fields, seconds first: `"0 30 2 * * *"`, `"0 9 * * MON-FRI"`, `"@daily"`. */
  readonly cron: string | (() => string);
  /** IANA name such as `Europe/Paris`; the runtime's `timezone`, else UTC, by default. */
  readonly timezone?: string | (() => string) | undefined;
  /** At clock changes, by default, a rule whose hour field begins with `*` follows elapsed time; any other runs once a wall
   *  time: at the first instant after a gap, in the first pass of an overlap. */
  readonly dst?: Dst | undefined;
  readonly every?: Refused | undefined;
  readonly runAt?: Refused | undefined;
}
/** At an interval, aligned to an instant, so that restarts do not move it. */
export interface EveryWhen {
  readonly every: DurationText;
  /** 1970-01-01T00:00:00Z by default. */
  readonly anchor?: Date | undefined;
  /** Allows more than one tick a second. */
  readonly subSecond?: boolean | undefined;
  readonly cron?: Refused | undefined;
  readonly runAt?: Refused | undefined;
}
/** Once. An instant in the past means now. */
export interface OnceWhen {
  readonly runAt: Date;
  readonly cron?: Refused | undefined;
  readonly every?: Refused | undefined;
}
export type When = CronWhen | EveryWhen | OnceWhen;

/** What a tick does. */
export interface TickPolicy {
  /** Of a tick while a run of this schedule is live (waits or runs): make another run (`allow`, the default), none (`skip`), or
   *  cancel the live ones, then make one (`cancel`). */
  readonly overlap?: "allow" | "skip" | "cancel" | undefined;
  /** Of the ticks that no process was up for: run none, the `last` one (default; no older than a day), or the latest `max` that are
   *  no older than `within`. */
  readonly catchUp?: "none" | "last" | { readonly max: number; readonly within: DurationText } | undefined;
  /** Runs start up to this long after their tick, by a hash of the schedule's name: always the same for one schedule, so that
   *  thousands at midnight do not start together. */
  readonly spread?: DurationText | undefined;
  /** No ticks before this. */
  readonly startsAt?: Date | undefined;
  /** No ticks after this. */
  readonly endsAt?: Date | undefined;
  /** How many runs the schedule makes in all. */
  readonly limit?: number | undefined;
}

export const ruleKeys = [
  ...["cron", "timezone", "dst", "every", "anchor", "subSecond", "runAt"],
  ...["overlap", "catchUp", "spread", "startsAt", "endsAt", "limit"],
] as const;

const dayMs = 86_400_000;
/** How long a tick's run keeps its key after it completed, so that a backfill does not repeat it: as long as completed runs are kept. */
export const tickKeepMs = 7 * dayMs;
/** More ticks than that are never caught up at once. */
const mostMissed = 1000;

/** Checks what an author wrote. Functions are asked.
 *  @throws {InvalidInput} naming the option, and for a rule that never ticks */
export function ruleOf(given: When & TickPolicy, zone = "UTC"): Rule {
  const { spread, startsAt, endsAt, limit, overlap = "allow" } = given;
  const rule: Rule = {
    ...whenOf(given, zone),
    ...(spread !== undefined && { spreadMs: checkSpan("spread", spread) }),
    ...(startsAt !== undefined && { startsMs: checkInstant("startsAt", startsAt).getTime() }),
    ...(endsAt !== undefined && { endsMs: checkInstant("endsAt", endsAt).getTime() }),
    ...(limit !== undefined && { limit: checkWhole("limit", limit, 1) }),
    overlap: checkOneOf("overlap", overlap, ["allow", "skip", "cancel"]),
    catchUp: catchUpOf(given),
  };
  refuseNever(rule);
  return rule;
}

/** What an author would write for a checked rule: `ruleOf` makes the same of it.
 *  @throws {InvalidInput} for a rule that no author can write */
export function authored(rule: Rule): When & TickPolicy {
  const { cron, timezone, dst, everyMs, anchorMs, atMs, spreadMs, startsMs, endsMs, limit, overlap } = rule;
  const date = (ms: number | undefined): Date | undefined => (ms === undefined ? undefined : new Date(ms));
  const text = (ms: number | undefined): DurationText | undefined => (ms === undefined ? undefined : `${ms}ms`);
  const rules: object = present({
    ...{ cron, timezone, dst, limit, overlap },
    ...{
      every: text(everyMs),
      anchor: date(anchorMs),
      runAt: date(atMs),
      subSecond: everyMs === undefined ? undefined : true,
    },
    ...{ spread: text(spreadMs), startsAt: date(startsMs), endsAt: date(endsMs), catchUp: authoredCatchUp(rule) },
  });
  return rules as When & TickPolicy; // `ruleOf` checks it
}

function authoredCatchUp({ catchUp: { max, withinMs }, atMs }: Rule): TickPolicy["catchUp"] {
  if (withinMs === null && max === 1 && atMs !== undefined) return undefined;
  if (max === 0) return "none";
  if (withinMs !== null) return { max, within: `${withinMs}ms` };
  throw invalid("catchUp", "catchUp has no limit of age, which only a schedule that ticks once has; give it one");
}

function whenOf(given: When, zone: string): Omit<Rule, "overlap" | "catchUp"> {
  const kinds = (["cron", "every", "runAt"] as const).filter((kind) => given[kind] !== undefined);
  if (kinds.length !== 1)
    throw invalid(
      kinds[1] ?? "cron",
      kinds.length === 0
        ? 'a schedule says when: give it cron: "0 30 2 * * *", every: "90s" or runAt: new Date(…)'
        : `a schedule has one of cron, every and runAt, not ${kinds.join(" and ")}; make two schedules`,
    );
  refuseStray(given);
  if (kinds[0] === "cron") return cronOf(given as CronWhen, zone);
  if (kinds[0] === "every") return everyOf(given as EveryWhen);
  return { atMs: checkInstant("runAt", given.runAt).getTime() };
}

/** An option of one kind of rule next to another kind would mean something else than intended. */
function refuseStray(given: When): void {
  const kind = given.cron !== undefined ? "cron" : given.every !== undefined ? "every" : "runAt";
  const owners = { timezone: "cron", dst: "cron", anchor: "every", subSecond: "every" } as const;
  for (const [option, owner] of Object.entries(owners))
    if (owner !== kind && (given as When & Readonly<Partial<Record<string, unknown>>>)[option] !== undefined)
      throw invalid(option, `${option} belongs to ${owner}, and this schedule has ${kind}; leave ${option} out`);
}

function cronOf(given: CronWhen, zone: string): Omit<Rule, "overlap" | "catchUp"> {
  const { dst, timezone: wanted = zone } = given;
  const timezone = checkZone(asked("timezone", wanted));
  const parsed = cron(asked("cron", given.cron), { timezone, dst });
  if (parsed.next(Date.now()) === null)
    throw invalid(
      "cron",
      `cron "${parsed.text}" never ticks: in ${timezone} the clock skips each of its times; choose another time, or dst: { gap: "next" }`,
    );
  return { cron: parsed.text, timezone, ...(dst && { dst: present({ gap: dst.gap, overlap: dst.overlap }) }) };
}

function asked(what: "cron" | "timezone", value: unknown): string {
  const text = typeof value === "function" ? answerOf(what, value as () => unknown) : value;
  if (typeof text === "string") return text;
  const source = typeof value === "function" ? "the function given for it answered" : "it is";
  const example = what === "cron" ? "0 9 * * *" : "Europe/Paris";
  throw invalid(what, `${what} is not a text: ${source} "${shown(text)}"; give one like "${example}"`);
}

function answerOf(what: string, ask: () => unknown): unknown {
  try {
    return ask();
  } catch (cause) {
    const { message } = errorRecord(cause);
    throw new InvalidInput(`${what} can't be read: the function given for it threw: ${message}`, { path: what, cause });
  }
}

function everyOf({ every, anchor, subSecond = false }: EveryWhen): Omit<Rule, "overlap" | "catchUp"> {
  const everyMs = checkSpan("every", every);
  if (!checkFlag("subSecond", subSecond) && everyMs < 1000)
    throw invalid(
      "every",
      `every "${every}" is more than one tick a second; write "1s" or longer, or allow it with subSecond: true`,
    );
  return { everyMs, ...(anchor !== undefined && { anchorMs: checkInstant("anchor", anchor).getTime() }) };
}

function catchUpOf({ catchUp, runAt }: When & TickPolicy): Rule["catchUp"] {
  if (catchUp === undefined && runAt !== undefined) return { max: 1, withinMs: null };
  if (catchUp === undefined || catchUp === "last") return { max: 1, withinMs: dayMs };
  if (catchUp === "none") return { max: 0, withinMs: 0 };
  if (!isRecord(catchUp))
    throw wrong(
      "catchUp",
      catchUp,
      `is none of "none", "last" and { max, within }; write catchUp: { max: 10, within: "6h" }`,
    );
  checkKeys("catchUp", catchUp, new Set(["max", "within"]));
  return {
    max: checkWhole("catchUp.max", catchUp.max, 1, mostMissed),
    withinMs: checkSpan("catchUp.within", catchUp.within),
  };
}

function refuseNever(rule: Rule): void {
  const { startsMs, endsMs } = rule;
  if (startsMs !== undefined && endsMs !== undefined && endsMs < startsMs)
    throw invalid("endsAt", "endsAt is before startsAt; exchange them");
  if (startsMs === undefined && endsMs === undefined) return;
  if (ticking(rule).next(-Infinity) === null)
    throw invalid("endsAt", "the schedule never ticks: none of its instants is between startsAt and endsAt");
}

/** The ticks of a rule, epoch ms, before any spread. */
export interface Ticking {
  /** The first tick after an instant; null if there is none. */
  next(after: number): number | null;
  /** The last tick before an instant; null if there is none. */
  prev(before: number): number | null;
}

const known = new Map<string, Ticking>();
const mostKnown = 2000;

/** The ticks of a checked rule. Recently used rules are parsed once.
 *  @throws {InvalidInput} for a stored one that this version can't read */
export function ticking(rule: Rule): Ticking {
  const { cron: text, timezone, dst, everyMs, anchorMs, atMs, startsMs, endsMs } = rule;
  const name = JSON.stringify([text, timezone, dst?.gap, dst?.overlap, everyMs, anchorMs, atMs, startsMs, endsMs]);
  const found = known.get(name) ?? bounded(unbounded(rule), rule);
  known.delete(name);
  known.set(name, found);
  if (known.size > mostKnown) known.delete(known.keys().next().value!);
  return found;
}

function unbounded(rule: Rule): Ticking {
  if (rule.cron !== undefined) return cron(rule.cron, rule);
  if (rule.everyMs !== undefined) return steps(rule.everyMs, rule.anchorMs ?? 0);
  const { atMs } = rule;
  if (atMs === undefined)
    throw new InvalidInput("the rule has none of cron, everyMs and atMs; a newer version of tasker may know it");
  return { next: (after) => (atMs > after ? atMs : null), prev: (before) => (atMs < before ? atMs : null) };
}

function steps(everyMs: number, anchorMs: number): Ticking {
  const at = (k: number): number | null => {
    const ms = anchorMs + k * everyMs;
    return Math.abs(ms) <= 8.64e15 ? ms : null;
  };
  const least = -6.2e13; // 5 BC: before that nobody asks
  return {
    next: (after) => at(Math.floor((Math.max(after, least) - anchorMs) / everyMs) + 1),
    prev: (before) => at(Math.ceil((before - anchorMs) / everyMs) - 1),
  };
}

function bounded({ next, prev }: Ticking, { startsMs = -Infinity, endsMs = Infinity }: Rule): Ticking {
  return {
    next(after) {
      const tick = next(Math.max(after, startsMs - 1));
      return tick !== null && tick <= endsMs ? tick : null;
    },
    prev(before) {
      const tick = prev(Math.min(before, endsMs + 1));
      return tick !== null && tick >= startsMs ? tick : null;
    },
  };
}

/** The part of a rule whose change moves the next tick, as a text: equal for equal parts, in whatever order their keys are. Stores keep
 *  it beside the rule: another text for the same rule would move every schedule's next tick. */
export function timingOf({
  dst,
  overlap: _overlap,
  catchUp: _catchUp,
  limit: _limit,
  retry: _retry,
  ...rest
}: Rule): string {
  const sorted = Object.entries({ ...rest, gap: dst?.gap, late: dst?.overlap }).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify(sorted.filter(([, value]) => value !== undefined));
}

/** How long after its tick a schedule's run starts, ms: the same for one schedule always, even over the span. */
export function spreadOf({ job, key }: ScheduleName, { spreadMs }: Rule): number {
  if (spreadMs === undefined) return 0;
  return Math.floor((createHash("sha1").update(`${job}\0${key}`).digest().readUInt32BE() / 2 ** 32) * spreadMs);
}

/** Options of the run of a tick. */
export function tickOptions(key: string, rule: Rule, tick: number): RunOptions {
  return { ...(rule.retry && { retry: rule.retry }), schedule: { key, tick, ...around(rule, tick) } };
}

/** The ticks of the rule before and after an instant. */
export function around(rule: Rule, tick: number): { readonly previous: number | null; readonly next: number | null } {
  const rhythm = ticking(rule);
  return { previous: rhythm.prev(tick), next: rhythm.next(tick) };
}
