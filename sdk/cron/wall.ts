import type { Days } from "./day.ts";

/** Times on a wall clock without a zone, in seconds since 1970-01-01T00:00. Lists are ascending, not empty. */
export interface Pattern {
  readonly seconds: readonly number[];
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly days: Days;
  /** The hour field starts with `*`: the schedule follows elapsed time rather than the clock on the wall. */
  readonly elapsed: boolean;
}

const dayS = 86_400;

/** The picked wall time nearest to `from` in the direction `step`, `from` included; null if there is none.
 *  O(months to skip): minutes and seconds are never walked. */
export function seekWall(pattern: Pattern, from: number, step: 1 | -1): number | null {
  const today = Math.floor(from / dayS);
  const day = pattern.days.seek(today, step);
  if (day === null) return null;
  if (day !== today) return day * dayS + edge(pattern, step);
  const time = seekTime(pattern, from - today * dayS, step);
  if (time !== null) return today * dayS + time;
  const next = pattern.days.seek(today + step, step);
  return next === null ? null : next * dayS + edge(pattern, step);
}

/** The first or last second of a day that is picked. */
function edge({ hours, minutes, seconds }: Pattern, step: 1 | -1): number {
  return end(hours, step) * 3600 + end(minutes, step) * 60 + end(seconds, step);
}

function seekTime({ hours, minutes, seconds }: Pattern, from: number, step: 1 | -1): number | null {
  const hour = Math.floor(from / 3600);
  const minute = Math.floor(from / 60) % 60;
  if (hours.includes(hour)) {
    const second = minutes.includes(minute) ? seek(seconds, from % 60, step) : null;
    if (second !== null) return hour * 3600 + minute * 60 + second;
    const later = seek(minutes, minute + step, step);
    if (later !== null) return hour * 3600 + later * 60 + end(seconds, step);
  }
  const other = seek(hours, hour + step, step);
  return other === null ? null : other * 3600 + end(minutes, step) * 60 + end(seconds, step);
}

function seek(values: readonly number[], from: number, step: 1 | -1): number | null {
  const found = step > 0 ? values.find((value) => value >= from) : values.findLast((value) => value <= from);
  return found ?? null;
}

function end(values: readonly number[], step: 1 | -1): number {
  return values.at(step > 0 ? 0 : -1)!;
}
