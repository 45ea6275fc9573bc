/** The checks that `defineJob`, `trigger` and schedules share. Each names the option that is wrong. */
import { inspect, types } from "node:util";
import { longestMs, toMs, type DurationText } from "./duration.ts";
import { InvalidInput, invalid } from "./error.ts";
import { near, meant } from "./near.ts";
import type { Paging } from "./target.ts";
import { isClean, saidOf } from "./text.ts";

/** The error about the value of an option: `count "x" is not …`. */
export function wrong(what: string, value: unknown, problem: string): InvalidInput {
  return invalid(what, `${what} "${shown(value)}" ${problem}`);
}

/** @throws {InvalidInput} unless it is a whole number from `least` to `most`; without `most`, from `least` on. */
export function checkWhole(what: string, value: unknown, least: number, most = Infinity): number {
  if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
  throw wrong(what, value, `is not a whole number from ${least} ${most === Infinity ? "on" : `to ${most}`}`);
}

/** @throws {InvalidInput} unless it is one of `known`. */
export function checkOneOf<const T extends string>(what: string, value: unknown, known: readonly T[]): T {
  const found = known.find((one) => one === value);
  if (found) return found;
  throw wrong(what, value, `is none of ${known.join(", ")}`);
}

/** The id of a job, or the name of a queue.
 *  @throws {InvalidInput} unless it is 1–128 of the characters `A-Z a-z 0-9 _ . : / -`. */
export function checkName(what: string, name: unknown): string {
  if (typeof name === "string" && /^[A-Za-z0-9_.:/-]{1,128}$/.test(name)) return name;
  if (typeof name === "string" && what === "queue" && name.startsWith("$"))
    throw invalid(what, `queue "${shown(name)}" begins with "$", which is reserved; choose another name`);
  throw wrong(what, name, "is not a name; use 1 to 128 letters, digits and any of _ . : / -");
}

/** The queue of the runs that execute hooks. */
export const hookQueue = "$hooks";

/** A queue as people act on it: that of hooks, too.
 *  @throws {InvalidInput} */
export function checkQueue(queue: unknown): string {
  return queue === hookQueue ? queue : checkName("queue", queue);
}

/** 0–9: of the due runs of a queue, those with a higher priority start first. */
export type Priority = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9;

/** @throws {InvalidInput} unless it is a whole number from 0 to 9. */
export function checkPriority(priority: unknown): Priority {
  if (typeof priority === "number" && Number.isInteger(priority) && priority >= 0 && priority <= 9)
    return priority as Priority;
  throw wrong("priority", priority, "is not a whole number from 0 to 9 (higher first)");
}

/** Without repeats. @throws {InvalidInput} for more than 10 of them, or one that is not 1–128 clean characters. */
export function checkTags(tags: unknown): readonly string[] {
  if (!isList(tags)) throw invalid("tags", 'tags are not a list; write tags: ["user:7"]');
  const unique = [...new Set(tags as readonly unknown[])];
  if (unique.length > 10)
    throw invalid("tags", `a run has at most 10 tags, not ${unique.length}; put the rest into its payload`);
  return unique.map((tag) => checkText("tag", tag, 128));
}

/** @throws {InvalidInput} unless it is 1–`most` characters without NUL and lone surrogates. */
export function checkText(what: string, text: unknown, most: number): string {
  if (typeof text === "string" && text.length > 0 && text.length <= most && isClean(text)) return text;
  throw wrong(what, text, `is not a text of 1 to ${most} characters, without NUL and lone surrogates`);
}

/** Milliseconds of a duration, > 0. @throws {InvalidInput} if it is not a duration, zero, or over 100 years. */
export function checkSpan(what: string, text: DurationText): number {
  const ms = checkDuration(what, text);
  if (ms > 0) return ms;
  throw invalid(what, `${what} "${text}" is zero; leave it out or give a longer one`);
}

/** An instant; one in the past stays as it is, and means now.
 *  @throws {InvalidInput} if it is not a valid Date, or over 100 years ahead. */
export function checkInstant(what: string, at: unknown): Date {
  if (!types.isDate(at) || Number.isNaN(at.getTime()))
    throw wrong(what, at, `is not a valid Date; write ${what}: new Date("2030-01-01T09:00:00Z")`);
  if (at.getTime() - Date.now() > longestMs)
    throw invalid(what, `${what} "${at.toISOString()}" is more than 100 years ahead; check its unit (milliseconds)`);
  return at;
}

/** @throws {InvalidInput} for what is not an object of options, and for an unknown key, with similar ones. */
export function checkKeys(what: string, options: object, known: ReadonlySet<string>): void {
  if (!isRecord(options)) throw wrong(what, options, `is not an object; its options are ${[...known].join(", ")}`);
  for (const key of Object.keys(options)) {
    if (known.has(key)) continue;
    const hint = meant(near(key, [...known]).slice(0, 1)) || `options are ${[...known].join(", ")}`;
    throw invalid(key, `${what} has no option "${shown(key)}"; ${hint}`);
  }
}

/** @throws {InvalidInput} unless the limit is 1–200 and the cursor a text that a page may have returned. */
export function checkPaging(paging: Paging): Paging {
  checkKeys("paging", paging, new Set(["cursor", "limit"]));
  const { cursor, limit } = paging;
  if (cursor !== undefined && (typeof cursor !== "string" || !isClean(cursor)))
    throw wrong("cursor", cursor, "was not made by a list; leave it out to start anew");
  if (limit !== undefined) checkWhole("limit", limit, 1, 200);
  return paging;
}

/** @throws {InvalidInput} unless it is true or false. */
export function checkFlag(what: string, flag: unknown): boolean {
  if (typeof flag === "boolean") return flag;
  throw wrong(what, flag, "is neither true nor false");
}

/** Whether it is an object that can hold options: not a list, a Date or another built-in object. Never throws. */
export function isRecord(value: unknown): value is object {
  try {
    return Object.prototype.toString.call(value) === "[object Object]";
  } catch {
    return false; // a revoked proxy
  }
}

/** The fields that have a value, without those that are undefined or null. */
export function present<T extends object>(fields: T): { readonly [K in keyof T]?: NonNullable<T[K]> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null);
  return Object.fromEntries(entries) as { readonly [K in keyof T]?: NonNullable<T[K]> };
}

/** Whether it is an array at all; unlike `Array.isArray` it leaves the type of a typed list as it is. Never throws. */
export function isList(value: unknown): boolean {
  try {
    return Array.isArray(value);
  } catch {
    return false; // a revoked proxy
  }
}

/** Milliseconds of a duration, ≥ 0. @throws {InvalidInput} naming the option, if it is not a duration, or over 100 years. */
export function checkDuration(what: string, text: unknown): number {
  try {
    return toMs(shown(text) as DurationText); // refused as text: other values need not have one
  } catch (cause) {
    throw new InvalidInput(`${what}: ${saidOf(cause)}`, { path: what, cause });
  }
}

/** Any value as text of a message, at most 80 characters. Calls nothing of the value's own, and never throws. */
export function shown(value: unknown): string {
  const text =
    typeof value === "string" ? value : inspect(value, { customInspect: false, depth: 1, breakLength: Infinity });
  return text.slice(0, 80);
}
