/** Coming ticks as people and programs read them, with the clock changes on the way. */
import { changes, cron } from "../../sdk/cron/cron.ts";
import { everyMs } from "../../sdk/cron/macro.ts";
import { humanMs } from "../../sdk/port/duration.ts";
import type { PreviewTick } from "../../sdk/client/schedules.ts";
import type { Rule } from "../../sdk/port/target.ts";
import type { Colors } from "./color.ts";
import { offsetText, wallIso, wallText } from "./wall.ts";

/** A clock change, as `PreviewTick` has it: offsets in minutes. */
type Change = PreviewTick["changes"][number];

/** Ticks as a JSON document; `local` is the instant by the clock of the zone. */
export function tickDocuments(ticks: readonly PreviewTick[], zone: string): readonly object[] {
  return ticks.map(({ tick, dueAt, changes: moved }) => ({ tick, local: wallIso(tick, zone), dueAt, changes: moved }));
}

/** A line a tick, by the clock of `zone` and in UTC, a line for each clock change between, and a note on a tick that one moved. */
export function tickLines(
  ticks: readonly PreviewTick[],
  {
    rule,
    zone,
    paint,
  }: { readonly rule: Pick<Rule, "cron" | "timezone">; readonly zone: string; readonly paint: Colors },
): string {
  const lines = ticks.flatMap(({ tick, dueAt, changes: moved }) => {
    const spread = dueAt > tick ? `  starts ${humanMs(dueAt.getTime() - tick.getTime())} later` : "";
    const note = noteOf(tick, rule);
    return [
      ...moved.map((change) => paint.yellow(changeLine(change))),
      `${wallText(tick, zone)}  ${paint.dim(isoOf(tick))}${spread}${note ? `  ${paint.yellow(note)}` : ""}`,
    ];
  });
  return lines.join("\n");
}

/** `── clocks go back 1h at 2026-10-25 03:00 (+02:00 → +01:00) ──`: the time is what the clock shows before. */
function changeLine({ at, before, after }: Change): string {
  const way = after > before ? "forward" : "back";
  const by = humanMs(Math.abs(after - before) * minuteMs);
  const offsets = [before, after].map((minutes) => offsetText(Math.round(minutes * 60))).join(" → ");
  return `── clocks go ${way} ${by} at ${clockText(at.getTime() + before * minuteMs, "date")} (${offsets}) ──`;
}

/** What a clock change did to a tick, or null. */
function noteOf(tick: Date, { cron: text, timezone }: Pick<Rule, "cron" | "timezone">): string | null {
  if (text === undefined || timezone === undefined || everyMs(text) !== null) return null;
  const ms = tick.getTime();
  const change = changes(timezone, ms - longestMs, ms).at(-1);
  if (!change) return null;
  const { at, before, after } = change;
  if (before > after) return ms < at + (before - after) * minuteMs ? "second pass" : null;
  // The rule on a clock without changes tells what it wanted.
  const wanted = cron(text).next(ms + before * minuteMs - 1);
  return at === ms && cron(text).next(ms + after * minuteMs - 1) !== ms + after * minuteMs && wanted !== null
    ? `moved: the clock skips ${clockText(wanted, "time")}`
    : null;
}

const minuteMs = 60_000;
/** No clock repeats more than a day. */
const longestMs = 24 * 3_600_000;

/** An instant of a clock without a zone, its seconds only where there are any. */
function clockText(ms: number, part: "date" | "time"): string {
  const [date, time] = new Date(ms).toISOString().split("T");
  const short = time!.replace(/(?::00)?\.000Z$/, "");
  return part === "time" ? short : `${date} ${short}`;
}

function isoOf(at: Date): string {
  return at.toISOString().replace(".000Z", "Z");
}
