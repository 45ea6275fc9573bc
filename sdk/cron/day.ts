/** Which days a pattern picks, month by month. A set of days is a mask: bit d - 1 is day d. */

/** What days depend on: how long the month is, and the weekday of its first day (0 is Sunday). */
export interface Month {
  readonly length: number;
  readonly first: number;
}

/** Picks days of a month, as a mask. It may pick days that the month does not have; they do not count. */
export type Pick = (month: Month) => number;

/** Given days of the month, whatever their weekday. */
export function fixed(days: readonly number[]): Pick {
  const mask = days.reduce((sum, day) => sum | bit(day), 0);
  return () => mask;
}

/** `L-n`: the day `back` days before the last one, if the month has it. */
export function fromEnd(back: number): Pick {
  return ({ length }) => (length > back ? bit(length - back) : 0);
}

/** `15W`: the weekday (Monday to Friday) that is nearest to the day that `pick` picks, within the same month. */
export function weekdayNear(pick: Pick): Pick {
  return (month) => {
    const day = 32 - Math.clz32(pick(month));
    if (day === 0 || day > month.length) return 0;
    const weekday = (month.first + day - 1) % 7;
    if (weekday === 6) return bit(day > 1 ? day - 1 : day + 2);
    if (weekday === 0) return bit(day < month.length ? day + 1 : day - 2);
    return bit(day);
  };
}

/** Every one of these weekdays; 7 is Sunday, like 0. */
export function weekly(weekdays: readonly number[]): Pick {
  return (month) => weekdays.reduce((sum, weekday) => sum | week(month, weekday), 0);
}

/** `MON#2`: the nth of that weekday, if the month has it. */
export function nth(weekday: number, n: number): Pick {
  return (month) => bit(firstOf(month, weekday) + 7 * (n - 1));
}

/** `5L`: the last of that weekday. */
export function lastOf(weekday: number): Pick {
  return (month) => bit(32 - Math.clz32(week(month, weekday)));
}

/** Days that any of them picks. */
export function either(picks: readonly Pick[]): Pick {
  return (month) => picks.reduce((sum, pick) => sum | pick(month), 0);
}

/** Days that both pick. */
export function both(a: Pick, b: Pick): Pick {
  return (month) => a(month) & b(month);
}

function bit(day: number): number {
  return day > 31 ? 0 : 1 << (day - 1);
}

function firstOf({ first }: Month, weekday: number): number {
  return 1 + ((weekday - first + 7) % 7);
}

function week(month: Month, weekday: number): number {
  return (0x10204081 << (firstOf(month, weekday) - 1)) & all(month.length);
}

function all(length: number): number {
  return 0x7fffffff >>> (31 - length);
}

/** The days of a pattern: months as a mask of bits 1 to 12, and what is picked in them. */
export class Days {
  readonly #months: number;
  readonly #pick: Pick;
  // A month has one of four lengths and seven beginnings, so all there is to know fits in 28 masks.
  readonly #masks: (number | undefined)[] = Array.from({ length: 28 });

  constructor(months: number, pick: Pick) {
    this.#months = months;
    this.#pick = pick;
  }

  /** Whether no month ever has such a day. In 400 years, each month begins on all weekdays, leap years' Februaries too. */
  get empty(): boolean {
    for (let month = 1; month <= 12; month++)
      for (let first = 0; first < 7; first++)
        for (const length of month === 2 ? [28, 29] : [lengthOf(2001, month)])
          if (this.#months & (1 << month) && this.#mask({ length, first })) return false;
    return true;
  }

  /** The picked day nearest to `from` in the direction `step`, `from` included, in days since 1970; null if none comes
   *  within 400 years, after which the calendar repeats. Goes by months. */
  seek(from: number, step: 1 | -1): number | null {
    let { year, month, day } = dateOf(from);
    for (let i = 0; i <= 4800; i++) {
      if (this.#months & (1 << month)) {
        const start = dayOf(year, month);
        const mask = this.#mask({ length: lengthOf(year, month), first: (((start + 4) % 7) + 7) % 7 });
        const rest = step > 0 ? mask & (-1 << (day - 1)) : mask & all(day);
        if (rest) return start + (step > 0 ? 31 - Math.clz32(rest & -rest) : 31 - Math.clz32(rest));
      }
      month += step;
      if (month < 1 || month > 12) [year, month] = [year + step, step > 0 ? 1 : 12];
      day = step > 0 ? 1 : 31;
    }
    return null;
  }

  #mask(month: Month): number {
    const key = (month.length - 28) * 7 + month.first;
    return (this.#masks[key] ??= this.#pick(month) & all(month.length));
  }
}

function lengthOf(year: number, month: number): number {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
}

/** Days since 1970 of the first of a month. Years begin in March here, so that the leap day is the last one.
 *  Source: Hinnant, "chrono-compatible low-level date algorithms". */
function dayOf(year: number, month: number): number {
  const y = month > 2 ? year : year - 1;
  const leaps = Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400);
  return y * 365 + leaps + Math.floor((153 * ((month + 9) % 12) + 2) / 5) - 719_468;
}

function dateOf(day: number): { year: number; month: number; day: number } {
  const era = Math.floor((day + 719_468) / 146_097);
  const inEra = day + 719_468 - era * 146_097;
  const y = Math.floor(
    (inEra - Math.floor(inEra / 1460) + Math.floor(inEra / 36_524) - Math.floor(inEra / 146_096)) / 365,
  );
  const inYear = inEra - (365 * y + Math.floor(y / 4) - Math.floor(y / 100));
  const m = Math.floor((5 * inYear + 2) / 153);
  const month = m < 10 ? m + 3 : m - 9;
  return {
    year: y + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: inYear - Math.floor((153 * m + 2) / 5) + 1,
  };
}
