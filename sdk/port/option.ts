/** The checks that `defineJob`, `trigger` and schedules share. Each names the option that is wrong. */
import { inspect, types } from "node:util";
import { longestMs, toMs, type DurationText } from "./duration.ts";
import { InvalidInput } from "./error.ts";
import { near } from "./near.ts";
import type { Paging } from "./target.ts";
import { isClean } from "./text.ts";

/** The id of a job, or the name of a queue.
 *  @throws {InvalidInput} unless it is 1–128 of the characters `A-Z a-z 0-9 _ . : / -`. */
export function checkName(what: string, name: unknown): string {
  if (typeof name === "string" && /^[A-Za-z0-9_.:/-]{1,128}$/.test(name)) return name;
  if (typeof name === "string" && what === "queue" && name.startsWith("$"))
    throw new InvalidInput(`queue "${shown(name)}" begins with "$", which is reserved; choose another name`, {
      path: what,
    });
  throw new InvalidInput(`${what} "${shown(name)}" is not a name; use 1 to 128 letters, digits and any of _ . : / -`, {
    path: what,
  });
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
  throw new InvalidInput(`priority "${shown(priority)}" is not a whole number from 0 to 9 (higher first)`, {
    path: "priority",
  });
}

/** Without repeats. @throws {InvalidInput} for more than 10 of them, or one that is not 1–128 clean characters. */
export function checkTags(tags: unknown): readonly string[] {
  if (!Array.isArray(tags)) throw new InvalidInput('tags are not a list; write tags: ["user:7"]', { path: "tags" });
  const unique = [...new Set<unknown>(tags)];
  if (unique.length > 10)
    throw new InvalidInput(`a run has at most 10 tags, not ${unique.length}; put the rest into its payload`, {
      path: "tags",
    });
  return unique.map((tag) => checkText("tag", tag, 128));
}

/** @throws {InvalidInput} unless it is 1–`most` characters without NUL and lone surrogates. */
export function checkText(what: string, text: unknown, most: number): string {
  if (typeof text === "string" && text.length > 0 && text.length <= most && isClean(text)) return text;
  throw new InvalidInput(
    `${what} "${shown(text)}" is not a text of 1 to ${most} characters, without NUL and lone surrogates`,
    { path: what },
  );
}

/** Milliseconds of a duration, > 0. @throws {InvalidInput} if it is not a duration, zero, or over 100 years. */
export function checkSpan(what: string, text: DurationText): number {
  const ms = named(what, text);
  if (ms > 0) return ms;
  throw new InvalidInput(`${what} "${text}" is zero; leave it out or give a longer one`, { path: what });
}

/** Milliseconds of a delay, ≥ 0. @throws {InvalidInput} if it is not a duration, or over 100 years. */
export function checkDelay(text: DurationText): number {
  return named("delay", text);
}

/** An instant; one in the past stays as it is, and means now.
 *  @throws {InvalidInput} if it is not a valid Date, or over 100 years ahead. */
export function checkInstant(what: string, at: unknown): Date {
  if (!types.isDate(at) || Number.isNaN(at.getTime()))
    throw new InvalidInput(
      `${what} "${shown(at)}" is not a valid Date; write ${what}: new Date("2030-01-01T09:00:00Z")`,
      { path: what },
    );
  if (at.getTime() - Date.now() > longestMs)
    throw new InvalidInput(
      `${what} "${at.toISOString()}" is more than 100 years ahead; check its unit (milliseconds)`,
      { path: what },
    );
  return at;
}

/** @throws {InvalidInput} for what is not an object of options, and for an unknown key, with similar ones. */
export function checkKeys(what: string, options: object, known: ReadonlySet<string>): void {
  if (!isRecord(options))
    throw new InvalidInput(`${what} "${shown(options)}" is not an object; its options are ${[...known].join(", ")}`, {
      path: what,
    });
  for (const key of Object.keys(options)) {
    if (known.has(key)) continue;
    const alike = near(key, [...known]);
    const hint = alike.length ? `did you mean "${alike[0]}"?` : `options are ${[...known].join(", ")}`;
    throw new InvalidInput(`${what} has no option "${shown(key)}"; ${hint}`, { path: key });
  }
}

/** @throws {InvalidInput} unless the limit is 1–200 and the cursor a text that a page may have returned. */
export function checkPaging(paging: Paging): Paging {
  checkKeys("paging", paging, new Set(["cursor", "limit"]));
  const { cursor, limit } = paging;
  if (cursor !== undefined && (typeof cursor !== "string" || !isClean(cursor)))
    throw new InvalidInput(`cursor "${shown(cursor)}" was not made by a list; leave it out to start anew`, {
      path: "cursor",
    });
  if (limit === undefined || (Number.isInteger(limit) && limit >= 1 && limit <= 200)) return paging;
  throw new InvalidInput(`limit "${shown(limit)}" is not a whole number from 1 to 200`, { path: "limit" });
}

/** @throws {InvalidInput} unless it is true or false. */
export function checkFlag(what: string, flag: unknown): boolean {
  if (typeof flag === "boolean") return flag;
  throw new InvalidInput(`${what} "${shown(flag)}" is neither true nor false`, { path: what });
}

/** Whether it is an object that can hold options: not a list, a Date or another built-in object. Never throws. */
export function isRecord(value: unknown): value is object {
  try {
    return Object.prototype.toString.call(value) === "[object Object]";
  } catch {
    return false; // a revoked proxy
  }
}

/** Whether it is an array at all; unlike `Array.isArray` it leaves the type of a typed list as it is. */
export function isList(value: unknown): boolean {
  return Array.isArray(value);
}

function named(what: string, text: unknown): number {
  try {
    return toMs(shown(text) as DurationText); // refused as text: other values need not have one
  } catch (cause) {
    throw new InvalidInput(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { path: what, cause });
  }
}

/** Any value as text of a message, at most 80 characters. Calls nothing of the value's own, and never throws. */
export function shown(value: unknown): string {
  const text =
    typeof value === "string" ? value : inspect(value, { customInspect: false, depth: 1, breakLength: Infinity });
  return text.slice(0, 80);
}
