import { reasons, statuses } from "../sdk/port/status.ts";
import { toMs, type DurationText } from "../sdk/port/duration.ts";
import type { Priority } from "../sdk/port/option.ts";
import { parseId } from "../sdk/port/id.ts";
import type { RunFilter } from "../sdk/port/target.ts";
import type { Flag, Given } from "./given.ts";
import { parsed } from "./config.ts";
import { BadUsage } from "./error.ts";
import { hint } from "../sdk/port/near.ts";
import { present } from "../sdk/port/option.ts";

/** The flags that choose runs, alike for every command that takes many. */
export const filterFlags: readonly Flag[] = [
  { flag: "--status <list>", about: `Any of ${statuses.join(", ")}` },
  { flag: "--reason <list>", about: "Why it has its status, such as parked or timeout" },
  { flag: "--job <list>", about: "Of these jobs" },
  { flag: "--queue <list>", about: "In these queues" },
  { flag: "--tag <tag>", about: "With this tag; given twice: with both" },
  { flag: "--key <key>", about: "With this idempotency key" },
  { flag: "--since <time>", about: 'Created since: an ISO time, or an age like "1h"' },
  { flag: "--until <time>", about: 'Created before: an ISO time, or an age like "1h"' },
  {
    flag: "--payload <path=value>",
    about: "Whose payload has this value, like user.id=42; may be given more than once",
  },
  { flag: "--error <text>", about: "Whose error contains this text" },
];

/** The filter that the flags ask for. `now` is what ages count from.
 *  @throws {BadUsage} naming the flag. */
export function filter(given: Given, now: Date = new Date()): RunFilter {
  const some = <T>(values: readonly T[]): readonly T[] | null => (values.length > 0 ? values : null);
  return present({
    status: some(given.list("status").map((text) => oneOf("--status", text, statuses))),
    reason: some(given.list("reason").map((text) => oneOf("--reason", text, reasons))),
    job: some(given.list("job")),
    queue: some(given.list("queue")),
    tags: some(given.each("tag")),
    payload: some(given.each("payload").map(field)),
    key: given.text("key"),
    createdAfter: instant("--since", given.text("since"), now),
    createdBefore: instant("--until", given.text("until"), now),
    error: given.text("error"),
  });
}

/** An ISO time, or an age counted back from `now`.
 *  @throws {BadUsage} naming the flag. */
export function instant(flag: string, text: string | null, now: Date = new Date()): Date | null {
  if (text === null) return null;
  if (/^(?:\d+(?:ms|s|m|h|d))+$/.test(text))
    return new Date(now.getTime() - parsed(flag, () => toMs(text as DurationText)));
  const at = new Date(text);
  if (/^\d{4}-\d\d/.test(text) && !Number.isNaN(at.getTime())) return at;
  throw new BadUsage(`${flag}: "${text}" is neither an ISO time like "2030-01-31T12:00:00Z" nor an age like "1h"`);
}

/** A whole number within bounds, or what stands for none.
 *  @throws {BadUsage} naming the flag. */
export function whole(flag: string, text: string | null, least: number, most: number): number | undefined {
  if (text === null) return undefined;
  const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw new BadUsage(`${flag}: "${text}" is not a whole number from ${least} to ${most}`);
}

/** The value of `--priority`.
 *  @throws {BadUsage} */
export function priorityOf(given: Given): Priority | undefined {
  return whole("--priority", given.text("priority"), 0, 9) as Priority | undefined;
}

/** Run ids as numbers.
 *  @throws {BadUsage} if one of them is not a run id. */
export function numbers(ids: readonly string[]): readonly number[] {
  return [...new Set(ids.map((id) => parsed("run id", () => parseId(id))))];
}

/** @throws {BadUsage} naming the flag */
export function oneOf<T extends string>(flag: string, text: string, known: readonly T[]): T {
  const found = known.find((each) => each === text);
  if (found) return found;
  throw new BadUsage(`${flag}: "${text}" is not one of ${known.join(", ")}${hint(text, known)}`);
}

function field(text: string): { readonly path: readonly string[]; readonly value: string } {
  const at = text.indexOf("=");
  const path = text.slice(0, at).split(".");
  if (at > 0 && path.every((name) => name !== "")) return { path, value: text.slice(at + 1) };
  throw new BadUsage(`--payload: "${text}" is not a path and a value; write it like user.id=42`);
}
