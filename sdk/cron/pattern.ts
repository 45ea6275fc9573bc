import type { InvalidInput } from "../port/error.ts";
import { invalid } from "../port/error.ts";
import { both, Days, either, fixed, fromEnd, lastOf, nth, weekdayNear, weekly, type Pick } from "./day.ts";
import * as field from "./field.ts";
import type { Pattern } from "./wall.ts";

/** A day field, taken apart: the values of plain items, and what the others pick. */
interface DayList {
  /** It names every day, so it restricts nothing. */
  readonly any: boolean;
  readonly plain: readonly number[];
  readonly picks: readonly Pick[];
}

/** What a cron text of 5 or 6 fields picks. Both day fields restricted: either may match, or both must after a `+` before
 *  day-of-week. A day field restricts nothing if an item of it is a star, without a step or with a step of 1, or if it is
 *  `?`. A star with a longer step restricts, as in robfig and croniter, unlike in Vixie cron.
 *  @throws {InvalidInput} that names the field; also if no day ever matches */
export function parse(text: string): Pattern {
  const [second, minute, hour, dom, month, dow] = split(text);
  const days = dayList(field.dayOfMonth, dom, monthDay);
  const and = dow.startsWith("+");
  const week = dayList(field.dayOfWeek, and ? dow.slice(1) : dow, weekday);
  const [seconds, minutes, hours] = [list(field.second, second), list(field.minute, minute), list(field.hour, hour)];
  const byMonth = days.plain.length === 0 ? days.picks : [...days.picks, fixed(days.plain)];
  const byWeek = week.plain.length === 0 ? week.picks : [...week.picks, weekly(week.plain)];
  const found = new Days(
    list(field.month, month).reduce((sum, value) => sum | (1 << value), 0),
    join(days.any ? null : either(byMonth), week.any ? null : either(byWeek), and),
  );
  if (found.empty) throw never(dom, month, and && !week.any ? dow : null);
  return {
    ...{ seconds, minutes, hours },
    days: found,
    elapsed: hour.startsWith("*"),
  };
}

function split(text: string): [string, string, string, string, string, string] {
  const fields = text.split(/\s+/).filter(Boolean);
  const [a, b, c, d, e, f] = fields.length === 5 ? ["0", ...fields] : fields;
  if (fields.length < 5 || fields.length > 6 || /^(?:CRON_)?TZ=/.test(text)) throw miscounted(fields);
  return [a!, b!, c!, d!, e!, f!];
}

function miscounted(fields: readonly string[]): InvalidInput {
  const count = fields.length;
  if (fields[0]?.includes("TZ="))
    return invalid("cron", 'starts with a zone; give it apart, as `timezone: "Europe/Paris"`');
  const years = "years are not supported: leave the seventh out";
  const next = count === 7 ? years : `write ${field.order}, like "30 9 * * MON-FRI"`;
  const problem = `has ${count} field${count === 1 ? "" : "s"} where 5, or 6 with seconds first, are taken; ${next}`;
  return invalid("cron", problem);
}

function list(column: field.Field, text: string): readonly number[] {
  return ascending(text.split(",").flatMap((item) => field.plain(column, item)));
}

function ascending(values: readonly number[]): readonly number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}

function dayList(column: field.Field, text: string, special: (item: string) => Pick | null): DayList {
  if (text === "?") return { any: true, plain: [], picks: [] };
  const plain: number[] = [];
  const picks: Pick[] = [];
  const items = text.split(",");
  for (const item of items) {
    const pick = special(item);
    if (pick) picks.push(pick);
    else plain.push(...field.plain(column, item));
  }
  return { any: items.some((item) => item === "*" || item === "*/1"), plain: ascending(plain), picks };
}

function monthDay(item: string): Pick | null {
  const { dayOfMonth } = field;
  const near = /^(\d+)W$/i.exec(item);
  if (near) return weekdayNear(fixed([field.valueOf(dayOfMonth, near[1]!, item)]));
  const last = /^L(?:-(\d+))?(W)?$/i.exec(item);
  if (!last) return null;
  const back = Number(last[1] ?? 0);
  if (back > 30) throw field.wrong(dayOfMonth, item, "is before the month; the days before the last are L-1 to L-30");
  return last[2] ? weekdayNear(fromEnd(back)) : fromEnd(back);
}

function weekday(item: string): Pick | null {
  const { dayOfWeek } = field;
  const [day = "", n, ...more] = item.split("#");
  if (n !== undefined) {
    const value = field.valueOf(dayOfWeek, day, item) % 7;
    if (more.length || !/^[1-5]$/.test(n)) throw field.wrong(dayOfWeek, item, "names no week within 1-5 after its #");
    return nth(value, Number(n));
  }
  if (/^L$/i.test(item)) throw field.wrong(dayOfWeek, item, 'needs a day; write "5L" for the last Friday of the month');
  return /.L$/i.test(item) ? lastOf(field.valueOf(dayOfWeek, item.slice(0, -1), item) % 7) : onward(item);
}

/** `FRI-MON` and `7-2`, which cron-parser refuses, and `TUE/2`, which it counts on to Sunday instead of Saturday. */
function onward(item: string): Pick | null {
  const { dayOfWeek } = field;
  const [, first, last, step] = /^(\w+)(?:-(\w+)|(?=\/))(?:\/(\d+))?$/.exec(item) ?? [];
  if (first === undefined) return null;
  const every = step === undefined ? 1 : field.stepOf(dayOfWeek, step);
  const from = field.valueOf(dayOfWeek, first, item);
  const to = last === undefined ? 6 : field.valueOf(dayOfWeek, last, item);
  if (last !== undefined && from <= to) return null;
  const days = (to < from % 7 ? to + 7 : to) - (from % 7);
  return weekly(Array.from({ length: Math.floor(days / every) + 1 }, (_, i) => (from + i * every) % 7));
}

function join(byMonth: Pick | null, byWeek: Pick | null, and: boolean): Pick {
  if (byMonth && byWeek) return and ? both(byMonth, byWeek) : either([byMonth, byWeek]);
  return byMonth ?? byWeek ?? (() => -1);
}

function never(dom: string, month: string, dow: string | null): InvalidInput {
  const both = dow === null ? "" : ` that is also day-of-week "${dow}"`;
  const months = month === "*" ? "no month" : `month "${month}" never`;
  const problem = `never fires: ${months} has a day-of-month "${dom}"${both}; write days that exist`;
  return invalid("cron", problem);
}
