/** Rules of schedules in words. */
import { everyMs, unfold } from "../../sdk/cron/macro.ts";
import type { Rule } from "../../sdk/port/target.ts";

/** A rule as it was written, in a few words: `0 9 * * MON-FRI  Europe/Paris`, `every 90s`, `once`. */
export function ruleText({ cron, timezone, everyMs: ms }: Rule): string {
  if (cron !== undefined) return `${cron}  ${timezone}`;
  return ms === undefined ? "once" : `every ${spanText(ms)}`;
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

/** A rule in plain English; a cron text for which there are no right words stands for itself. */
export async function words(rule: Rule): Promise<string> {
  const { cron, everyMs: ms, anchorMs, atMs } = rule;
  if (cron !== undefined) return (await describe(cron)) ?? cron;
  if (ms === undefined) return `Once, at ${new Date(atMs!).toISOString()}`; // a checked rule has one of the three
  return `Every ${spanText(ms)}${anchorMs === undefined ? "" : `, counted from ${new Date(anchorMs).toISOString()}`}`;
}

/** A checked cron text in plain English; null where the library would say something wrong. */
async function describe(text: string): Promise<string | null> {
  const every = everyMs(text);
  if (every !== null) return `Every ${spanText(every)}`;
  const fields = unfold(text).toUpperCase().trim().split(/\s+/);
  const [second, minute, hour, dom, month, dow] = fields.length === 5 ? ["0", ...fields] : fields;
  const weekday = dow!.replace(/^\+/, "");
  const times = [second, minute, hour, month].map((field) => field!);
  if (times.some((field, i) => isUneven(field, circles[i]!)) || isOddDay(dom!) || isOddWeekday(weekday)) return null;
  const say = await sayer();
  const line = (day: string, week: string): string => say([second, minute, hour, day, month, week].join(" "));
  try {
    if (dow !== weekday || !isBound(dom!) || !isBound(weekday)) return line(dom!, weekday);
    // Either may match, where the library speaks as if both had to.
    return `${line(dom!, "*")}; also ${lower(line("*", weekday).replace(", only on ", ", on "))}`;
  } catch {
    return null; // it has no words for it
  }
}

async function sayer(): Promise<(text: string) => string> {
  const { toString } = await import("cronstrue");
  return (text) => toString(text, { use24HourTimeFormat: true, logicalAndDayFields: true });
}

function lower(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

function isBound(field: string): boolean {
  return !field.split(",").some((item) => item === "*" || item === "*/1" || item === "?");
}

/** How many values there are of second, minute, hour and month, and the first. */
const circles = [
  { size: 60, first: 0 },
  { size: 60, first: 0 },
  { size: 24, first: 0 },
  { size: 12, first: 1 },
];

/** Whether a step does not go round evenly, so that "every 7 minutes" is not true, or a star stands in a list. */
function isUneven(field: string, { size, first }: { readonly size: number; readonly first: number }): boolean {
  const items = field.split(",");
  return items.some((item) => {
    const [, from, step] = /^(\*|\w+)\/(\d+)$/.exec(item) ?? [];
    if (step === undefined) return item === "*" && items.length > 1;
    const start = from === "*" ? first : Number(from);
    return size % Number(step) !== 0 || !(start - first < Number(step));
  });
}

function isOddDay(field: string): boolean {
  return field.includes(",") && /[LW*]/.test(field);
}

/** Whether it has steps over the whole week, a range that ends where it began, or special days in a list. */
function isOddWeekday(field: string): boolean {
  return (
    /^(?:\*|\w+)\/(?!1$)/.test(field) ||
    (field.includes(",") && /#|\wL\b|[*/]|\b[07]\b.*\b[07]\b/.test(field)) ||
    /^(?:(\w+)-\1|(?:0|SUN)-7)(?:\/|$)/.test(field)
  );
}
