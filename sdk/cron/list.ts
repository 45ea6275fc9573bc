import { createRequire } from "node:module";
import type * as CronParser from "cron-parser";

/** Plain lists of numbers, ranges and steps, a field each. */
export interface Lists {
  readonly second: string;
  readonly minute: string;
  readonly hour: string;
  readonly dayOfMonth: string;
  readonly month: string;
  readonly dayOfWeek: string;
}

/** The values of each list, ascending. Sunday may be 7, too. */
export type Values = { readonly [K in keyof Lists]: readonly number[] };

type Library = Pick<typeof CronParser, "CronExpressionParser">;

let library: Library | undefined;

/** Expands lists whose items were checked; items may overlap. cron-parser does it. It takes 20 ms to load, so it loads at
 *  the first call. It refuses lists that name a value twice: those it gets item by item. */
export function expand(lists: Lists): Values {
  library ??= createRequire(import.meta.url)("cron-parser") as Library;
  try {
    return read(library, lists);
  } catch {
    const items = Object.entries(lists).map(([name, text]) => [name, (text as string).split(",")] as const);
    const rounds = Math.max(...items.map(([, parts]) => parts.length));
    const each = (round: number) => Object.fromEntries(items.map(([name, parts]) => [name, parts[round] ?? parts[0]]));
    const all = Array.from({ length: rounds }, (_, round) => read(library!, each(round) as unknown as Lists));
    return all.reduce(merge);
  }
}

function read({ CronExpressionParser }: Library, lists: Lists): Values {
  const { second, minute, hour, dayOfMonth, month, dayOfWeek } = lists;
  const { fields } = CronExpressionParser.parse(`${second} ${minute} ${hour} * ${month} ${dayOfWeek}`, utc);
  // Days apart from months: which days a month has is not the library's to judge, "L" and weekdays may rescue it.
  const days = CronExpressionParser.parse(`0 0 0 ${dayOfMonth} * *`, utc).fields;
  return {
    second: fields.second.values,
    minute: fields.minute.values,
    hour: fields.hour.values,
    dayOfMonth: days.dayOfMonth.values.map(Number),
    month: fields.month.values,
    dayOfWeek: fields.dayOfWeek.values.map(Number),
  };
}

function merge(a: Values, b: Values): Values {
  const join = (name: keyof Values) => [...new Set([...a[name], ...b[name]])].sort((x, y) => x - y);
  return {
    second: join("second"),
    minute: join("minute"),
    hour: join("hour"),
    dayOfMonth: join("dayOfMonth"),
    month: join("month"),
    dayOfWeek: join("dayOfWeek"),
  };
}

// A date of ours, for finding today costs the library most of its time.
const utc = { tz: "UTC", currentDate: new Date(0) };
