import fc from "fast-check";

/** A cron text with what it means, worked out apart from the parser. Walls are seconds, days are days, since 1970. */
export interface Expression {
  readonly text: string;
  readonly matches: (wall: number) => boolean;
  readonly dayMatches: (day: number) => boolean;
  /** Seconds of the day, ascending. */
  readonly times: readonly number[];
  readonly elapsed: boolean;
  readonly [fc.toStringMethod]: () => string;
}

interface Column {
  readonly text: string;
  readonly has: (value: number) => boolean;
  readonly star: boolean;
}

/** A day, as the calendar shows it. */
interface Day {
  readonly date: number;
  readonly weekday: number;
  /** Of the month. */
  readonly length: number;
  /** The weekday of each date of the month, from 1 on. */
  readonly weekdayOf: (date: number) => number;
}

interface DayColumn {
  readonly text: string;
  readonly has: (day: Day) => boolean;
  readonly star: boolean;
}

const monthNames = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(" ");
const dayNames = "SUN MON TUE WED THU FRI SAT".split(" ");

/** An item of a field that goes from `min` to `max`, with numbers up to `highest`. */
function item(min: number, max: number, names: readonly string[] = [], highest = max): fc.Arbitrary<Column> {
  const value = fc.integer({ min, max: highest });
  const step = fc.integer({ min: 1, max });
  const shown = fc.boolean();
  const write = (n: number, asName: boolean) => (asName && names.length ? names[n - min]! : String(n));
  const pair = fc.tuple(value, value).map(([a, b]) => (a < b ? ([a, b] as const) : ([b, a] as const)));
  const from = (text: string, a: number, b: number, n: number, star = false): Column => ({
    text,
    star,
    has: (v) => v >= a && v <= b && (v - a) % n === 0,
  });
  return fc.oneof(
    { weight: 4, arbitrary: fc.tuple(value, shown).map(([a, as]) => from(write(a, as), a, a, 1)) },
    {
      weight: 2,
      arbitrary: fc.tuple(pair, shown).map(([[a, b], as]) => from(`${write(a, as)}-${write(b, as)}`, a, b, 1)),
    },
    fc.tuple(pair, step).map(([[a, b], n]) => from(`${a}-${b}/${n}`, a, b, n)),
    fc.tuple(value, step).map(([a, n]) => from(`${a}/${n}`, a, max, n)),
    fc.tuple(step).map(([n]) => from(`*/${n}`, min, max, n, n === 1)),
    fc.constant(from("*", min, max, 1, true)),
  );
}

function column(min: number, max: number, names?: readonly string[], highest?: number): fc.Arbitrary<Column> {
  return fc.array(item(min, max, names, highest), { minLength: 1, maxLength: 3 }).map((items) => ({
    text: items.map(({ text }) => text).join(),
    star: items.some(({ star }) => star),
    has: (value) => items.some(({ has }) => has(value)),
  }));
}

function lift(plain: fc.Arbitrary<Column>, value: (day: Day) => number): fc.Arbitrary<DayColumn> {
  return plain.map(({ text, star, has }) => ({ text, star, has: (day) => has(value(day)) }));
}

/** The weekday of the month that is nearest to `wanted`; of two, there is only ever one. */
function nearest(wanted: number, { length, weekdayOf }: Day): number | undefined {
  if (wanted < 1 || wanted > length) return undefined;
  const dates = Array.from({ length }, (_, i) => i + 1).filter((date) => weekdayOf(date) % 6 !== 0);
  return dates.sort((a, b) => Math.abs(a - wanted) - Math.abs(b - wanted))[0];
}

function special(text: string, has: (day: Day) => boolean): DayColumn {
  return { text, star: false, has };
}

const back = fc.integer({ min: 0, max: 30 });
const monthDayItem: fc.Arbitrary<DayColumn> = fc.oneof(
  { weight: 4, arbitrary: lift(item(1, 31), ({ date }) => date) },
  fc.constant(special("L", ({ date, length }) => date === length)),
  back.map((n) => special(`L-${n}`, ({ date, length }) => date === length - n)),
  fc.constant(special("LW", (day) => day.date === nearest(day.length, day))),
  back.map((n) => special(`L-${n}w`, (day) => day.date === nearest(day.length - n, day))),
  fc.integer({ min: 1, max: 31 }).map((n) => special(`${n}W`, (day) => day.date === nearest(n, day))),
);

const weekdayNumber = fc.integer({ min: 0, max: 6 });
const weekdayText = fc.tuple(weekdayNumber, fc.nat(2)).map(([n, as]) => ({
  n,
  text: as === 0 ? dayNames[n]! : as === 1 ? dayNames[n]!.toLowerCase() : n === 0 ? "7" : String(n),
}));
const nth = fc
  .tuple(weekdayText, fc.integer({ min: 1, max: 5 }))
  .map(([{ n, text }, k]) =>
    special(`${text}#${k}`, ({ date, weekday }) => weekday === n && Math.ceil(date / 7) === k),
  );
const last = weekdayText.map(({ n, text }) =>
  special(`${text}L`, ({ date, weekday, length }) => weekday === n && date + 7 > length),
);
/** FRI-MON: counts from one day to the other, over the week's end. */
const wrapped = fc
  .tuple(weekdayNumber, weekdayNumber, fc.integer({ min: 1, max: 7 }))
  .filter(([a, b]) => a > b)
  .map(([a, b, n]) => special(`${dayNames[a]}-${b}/${n}`, ({ weekday }) => inWrap(weekday, a, b, n)));
const toSunday = weekdayNumber.map((a) => special(`${a}-7`, ({ weekday }) => weekday >= a || weekday === 0));

function inWrap(weekday: number, a: number, b: number, n: number): boolean {
  for (let day = a, i = 0; ; day = (day + 1) % 7, i++) {
    if (day === weekday && i % n === 0) return true;
    if (day === b) return false;
  }
}

const plainWeekday = lift(item(0, 6, dayNames), ({ weekday }) => weekday);
const weekdayItem: fc.Arbitrary<DayColumn> = fc.oneof(
  { weight: 3, arbitrary: plainWeekday },
  nth,
  last,
  wrapped,
  toSunday,
);

function dayColumn(items: fc.Arbitrary<DayColumn>): fc.Arbitrary<DayColumn> {
  const every = fc.constantFrom("*", "?").map((text) => ({ text, star: true, has: () => true }));
  const list = fc.array(items, { minLength: 1, maxLength: 3 }).map((parts) => ({
    text: parts.map(({ text }) => text).join(),
    star: parts.some(({ star }) => star),
    has: (day: Day) => parts.some(({ has }) => has(day)),
  }));
  return fc.oneof(every, list);
}

interface Columns {
  readonly second: Column | null;
  readonly minute: Column;
  readonly hour: Column;
  readonly date: DayColumn;
  readonly month: Column;
  readonly weekday: DayColumn;
  readonly and: boolean;
}

function expression({ second, minute, hour, date, month, weekday, and }: Columns): Expression {
  const fields = [second, minute, hour, date, month].flatMap((part) => (part ? [part.text] : []));
  const dayIs = (day: number): boolean => {
    const now = new Date(day * 86_400_000);
    if (!month.has(now.getUTCMonth() + 1)) return false;
    const shown = shownDay(now);
    if (date.star || weekday.star || and) return (date.star || date.has(shown)) && (weekday.star || weekday.has(shown));
    return date.has(shown) || weekday.has(shown);
  };
  const dayMatches = remembered(dayIs);
  const secondIs = remembered((value) => (second ? second.has(value) : value === 0));
  const minuteIs = remembered((value) => minute.has(value));
  const hourIs = remembered((value) => hour.has(value));
  const under = (end: number, is: (value: number) => boolean) => Array.from({ length: end }, (_, i) => i).filter(is);
  const text = [...fields, (and ? "+" : "") + weekday.text].join(" ");
  return {
    [fc.toStringMethod]: () => text,
    text,
    matches: (wall) => {
      const day = Math.floor(wall / 86_400);
      const time = wall - day * 86_400;
      const shown = secondIs(time % 60) && minuteIs(Math.floor(time / 60) % 60) && hourIs(Math.floor(time / 3600));
      return shown && dayMatches(day);
    },
    dayMatches,
    get times() {
      const minutes = under(24, hourIs).flatMap((h) => under(60, minuteIs).map((m) => h * 3600 + m * 60));
      return minutes.flatMap((start) => under(60, secondIs).map((s) => start + s));
    },
    elapsed: hour.text.startsWith("*"),
  };
}

/** The same function, asked once for each value. */
function remembered(is: (value: number) => boolean): (value: number) => boolean {
  const known = new Map<number, boolean>();
  return (value) => {
    const before = known.get(value);
    if (before !== undefined) return before;
    known.set(value, is(value));
    return known.get(value)!;
  };
}

function shownDay(now: Date): Day {
  const [year, month] = [now.getUTCFullYear(), now.getUTCMonth()];
  return {
    date: now.getUTCDate(),
    weekday: now.getUTCDay(),
    length: new Date(Date.UTC(year, month + 1, 0)).getUTCDate(),
    weekdayOf: (date) => new Date(Date.UTC(year, month, date)).getUTCDay(),
  };
}

const any: Column = { text: "*", star: true, has: () => true };
const sixty = column(0, 59);
const months = column(1, 12, monthNames);

/** Expressions of the whole dialect. Dense ones fire often in the small hours, on most days. */
export function expressions(kind: { readonly dense: boolean; readonly seconds?: boolean }): fc.Arbitrary<Expression> {
  const early = fc.oneof(column(0, 23, [], 4), column(0, 23), fc.constant(any));
  const often = <T>(one: T, other: fc.Arbitrary<T>) =>
    fc.oneof({ weight: kind.dense ? 4 : 1, arbitrary: fc.constant(one) }, { weight: 1, arbitrary: other });
  const anyDay: DayColumn = { text: "*", star: true, has: () => true };
  return fc
    .record({
      second: kind.seconds === false ? fc.constant(null) : fc.option(sixty),
      minute: fc.oneof(sixty, fc.constant(any)),
      hour: early,
      date: often(anyDay, dayColumn(monthDayItem)),
      month: often(any, months),
      weekday: often(anyDay, dayColumn(weekdayItem)),
      and: fc.boolean(),
    })
    .map(expression);
}

/** Expressions that other libraries read as we do. */
export const plainExpressions: fc.Arbitrary<Expression> = fc
  .record({
    second: fc.option(sixty),
    minute: sixty,
    hour: column(0, 23),
    date: dayColumn(
      fc.oneof(
        lift(item(1, 28), ({ date }) => date),
        fc.constant(special("L", () => true)),
      ),
    ),
    month: fc.constant(any),
    weekday: dayColumn(fc.oneof(plainWeekday, nth, last)),
    and: fc.constant(false),
  })
  .filter(({ date, weekday }) => [date, weekday].every(({ star, text }) => !star || text.length === 1)) // no "5,*"
  .map(expression);
