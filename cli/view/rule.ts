/** Rules of schedules as text. */
import type { Rule } from "../../sdk/port/target.ts";

/** A rule as it was written: `0 9 * * MON-FRI  Europe/Paris`, `every 90s`, `every 90s from 2030-01-01T00:00:10.000Z`, `once`. */
export function ruleText({ cron, timezone, everyMs, anchorMs }: Rule): string {
  if (cron !== undefined) return `${cron}  ${timezone}`;
  if (everyMs === undefined) return "once";
  return `every ${spanText(everyMs)}${anchorMs === undefined ? "" : ` from ${new Date(anchorMs).toISOString()}`}`;
}

/** A duration as an author would write it, exact: in the largest unit that it is a whole number of. */
export function spanText(ms: number): string {
  const [unit, size] = units.find(([, each]) => ms % each === 0) ?? ["ms", 1];
  return `${ms / size}${unit}`;
}

const units = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
] as const;
