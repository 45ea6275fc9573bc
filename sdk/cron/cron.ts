import { everyMs, unfold } from "./macro.ts";
import { parse } from "./pattern.ts";
import { seekTick, type Rule } from "./tick.ts";
import { checkZone, lastS, zoneOf } from "./zone.ts";
import { InvalidInput, invalid } from "../port/error.ts";
import { isRecord, shown } from "../port/option.ts";

export { changes, checkZone } from "./zone.ts";
export type { ClockChange } from "./zone.ts";

/** What happens at clock changes. By default a schedule whose hour field starts with `*` follows elapsed time: ticks in a
 *  gap vanish, both passes of a repeated hour fire. Any other fires once per wall time: in the first pass of a repeated
 *  hour, and once at the first instant after a gap, unless the gap is longer than 3 h (a correction of the zone). */
export interface Dst {
  /** `next` fires at the first instant after the gap, however long it is; `skip` drops what fell into it. */
  readonly gap?: "next" | "skip" | undefined;
  readonly overlap?: "first" | "last" | "both" | undefined;
}

/** A checked cron text. */
export interface Cron {
  /** As given, trimmed. */
  readonly text: string;
  /** IANA name. */
  readonly timezone: string;
  /** The first instant after `after`, epoch ms; null if there is none before Date ends (275760), or if each one in
   *  20 years falls into a gap that `dst` skips. Under 5 ms.
   *  @throws {InvalidInput} if `after` is NaN */
  next(after: number): number | null;
  /** The last instant before `before`, epoch ms; null if none since 1970, or as above.
   *  @throws {InvalidInput} if `before` is NaN */
  prev(before: number): number | null;
}

export interface CronOptions {
  /** IANA name; UTC if none. */
  readonly timezone?: string | undefined;
  readonly dst?: Dst | undefined;
}

/** Parses `minute hour day-of-month month day-of-week`, seconds first if there are 6 fields. Items of a field are
 *  numbers, names, `a-b`, `*`, each with `/n`; for days also `?`, `L`, `L-3`, `15W`, `LW`, `MON#2`, `5L`. `@daily` and its
 *  like stand for fields; `@every 90s` counts elapsed time from 1970. Days that are restricted in both fields combine
 *  with OR, after `+MON` with AND. At most 256 characters.
 *  @throws {InvalidInput} `path` "cron" | "timezone" | "dst"; also for days that never come, like 30 February */
export function cron(text: string, options: CronOptions = {}): Cron {
  const trimmed = checkText(text);
  const timezone = checkZone(options.timezone === undefined ? "UTC" : options.timezone);
  const dst = checkDst(options.dst);
  return named(trimmed, () => {
    const every = everyMs(trimmed);
    const seek = every === null ? fields(trimmed, timezone, dst) : multiples(every);
    return { text: trimmed, timezone, ...seek };
  });
}

type Seek = Pick<Cron, "next" | "prev">;

const lastMs = lastS * 1000;
const correctionS = 3 * 3600;

function fields(text: string, timezone: string, dst: Dst): Seek {
  const pattern = parse(unfold(text));
  const gap = { next: Infinity, skip: 0, auto: pattern.elapsed ? 0 : correctionS };
  const rule: Rule = {
    pattern,
    longestGapS: gap[dst.gap ?? "auto"],
    overlap: dst.overlap ?? (pattern.elapsed ? "both" : "first"),
  };
  const zone = zoneOf(timezone);
  return {
    next(after) {
      if (instant(after) >= lastMs) return null;
      const found = seekTick(rule, zone, Math.floor(Math.max(after, -lastMs) / 1000) + 1, 1);
      return found === null ? null : found * 1000;
    },
    prev(before) {
      if (instant(before) <= 0) return null;
      const found = seekTick(rule, zone, Math.ceil(Math.min(before, lastMs) / 1000) - 1, -1);
      return found === null ? null : found * 1000;
    },
  };
}

function multiples(ms: number): Seek {
  return {
    next(after) {
      const found = (Math.floor(Math.max(instant(after), -lastMs) / ms) + 1) * ms;
      return found > lastMs ? null : found;
    },
    prev(before) {
      const found = (Math.ceil(Math.min(instant(before), lastMs) / ms) - 1) * ms;
      return found < 0 ? null : found;
    },
  };
}

function instant(ms: number): number {
  if (typeof ms === "number" && !Number.isNaN(ms)) return ms;
  throw new InvalidInput(`instant "${shown(ms)}" is not a number of milliseconds; pass one, like Date.now()`);
}

function checkText(text: unknown): string {
  if (typeof text !== "string") throw invalid("cron", `cron must be text, not ${typeof text}`);
  const trimmed = text.length > 4096 ? text : text.trim();
  if (trimmed.length > 256)
    throw invalid("cron", `cron of ${trimmed.length} characters is too long; at most 256 are taken`);
  return trimmed;
}

function checkDst(dst: unknown = {}): Dst {
  if (!isRecord(dst)) throw invalid("dst", `dst must be an object, not ${shown(dst) || "empty"}`);
  for (const [key, value] of Object.entries(dst)) {
    const known = allowed.get(key);
    if (!known) throw invalid("dst", `dst has no "${key.slice(0, 64)}"; it takes gap and overlap`);
    if (value !== undefined && !known.includes(value as string))
      throw invalid("dst", `dst.${key} "${shown(value)}" is not one of ${known.join(", ")}`);
  }
  return { ...dst };
}

const allowed = new Map([
  ["gap", ["next", "skip"]],
  ["overlap", ["first", "last", "both"]],
]);

/** Puts the text before the message of what it throws. */
function named<T>(text: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    throw new InvalidInput(`cron "${text}": ${error.message}`, { path: "cron", cause: error.cause });
  }
}
