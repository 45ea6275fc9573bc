/** Schedules as people and programs read them. */
import { encode, natural } from "../../sdk/port/codec.ts";
import type { PreviewTick, Schedule } from "../../sdk/client/schedules.ts";
import type { Rule } from "../../sdk/port/target.ts";
import { oneLine, plain, type Colors, type Paint } from "./color.ts";
import { statusPaint, when } from "./show.ts";
import { pairs, table, type Column } from "./table.ts";
import { ruleText, spanText } from "./rule.ts";
import { tickLines } from "./tick.ts";
import { wallText } from "./wall.ts";

/** Where and when somebody looks: the zone of the terminal, and now. */
export interface Viewer {
  readonly zone: string;
  readonly now: Date;
}

/** A table of schedules. The next run is shown by the clock of the schedule's zone, and by the viewer's where that differs. */
export function scheduleTable(list: readonly Schedule[], paint: Colors, { zone, now }: Viewer): string {
  const columns: Column<Schedule>[] = [
    { title: "SCHEDULE", cell: (each) => each.id, paint: () => paint.cyan },
    { title: "RULE", cell: (each) => ruleText(each.rule) },
    { title: "NEXT", cell: (each) => (isIdle(each) ? "" : when(each.nextAt, now)) },
    { title: "AT", cell: (each) => (isIdle(each) ? "" : shown(each.nextAt, each.rule.timezone ?? zone)) },
    { title: `IN ${zone}`, cell: (each) => own(each, zone) },
    { title: "LAST RUN", cell: lastOf, paint: ({ last }) => (last ? statusPaint(last.status, paint) : paint.dim) },
    { title: "LAST TICK", cell: (each) => when(each.lastTick, now) },
    { title: "STATE", cell: stateOf, paint: (each) => statePaint(each, paint) },
  ];
  const used = list.some((each) => own(each, zone) !== "") ? columns : columns.filter((_, at) => at !== 4);
  return table(list, used, paint.dim);
}

/** Everything about one schedule, as text. */
export function scheduleText(
  schedule: Schedule,
  more: { readonly ticks: readonly PreviewTick[]; readonly colors: Colors } & Viewer,
): string {
  const { ticks, colors: paint, zone, now } = more;
  const { id, rule } = schedule;
  const next = tickLines(ticks, { rule, zone: rule.timezone ?? zone, paint });
  const payload = plain(JSON.stringify(natural(encode(schedule.payload, "payload")), null, 2));
  return [
    `${paint.cyan(oneLine(id))}  ${paint.bold(oneLine(ruleText(rule)))}  ${statePaint(schedule, paint)(stateOf(schedule))}`,
    facts(schedule, paint, { zone, now }),
    `${paint.bold("Payload")}\n${payload.replace(/^/gm, "  ")}`,
    ...(ticks.length > 0
      ? [`${paint.bold(schedule.paused ? "Ticks, if it is resumed" : "Coming ticks")}\n${next.replace(/^/gm, "  ")}`]
      : []),
  ].join("\n\n");
}

/** What it does now: `active`, `paused`, `ended`, or `no node has the job`. */
export function stateOf({ paused, nextAt, served }: Schedule): string {
  if (paused) return "paused";
  if (nextAt === null) return "ended";
  return served ? "active" : "no node has the job";
}

/** It does not make runs, though it has a next instant. */
function isIdle({ declared, served }: Schedule): boolean {
  return declared && !served;
}

function statePaint(schedule: Schedule, paint: Colors): Paint {
  const state = stateOf(schedule);
  if (state === "active") return paint.green;
  return state === "ended" ? paint.dim : paint.yellow;
}

function lastOf({ last }: Schedule): string {
  if (!last) return "";
  return last.reason ? `${last.status} (${last.reason})` : last.status;
}

function shown(at: Date | null, zone: string): string {
  return at === null ? "" : wallText(at, zone);
}

/** The next run by the viewer's clock, where that is not the schedule's. */
function own(schedule: Schedule, zone: string): string {
  const { nextAt, rule } = schedule;
  if (isIdle(schedule)) return "";
  const text = shown(nextAt, zone);
  return text === shown(nextAt, rule.timezone ?? zone) ? "" : text;
}

function facts(schedule: Schedule, paint: Colors, { zone, now }: Viewer): string {
  const { rule, queue, priority, tags, declared, nextAt, lastTick, last, count } = schedule;
  const instant = (ms: number | undefined): string | null => (ms === undefined ? null : wallText(new Date(ms), zone));
  const ago = (at: Date | null): string | null => at && `${wallText(at, zone)}  ${when(at, now)}`;
  return pairs(
    [
      ["job", schedule.job],
      ["made by", declared ? "the job's code" : "hand, or code at run time"],
      [
        "next run",
        nextAt &&
          [shown(nextAt, rule.timezone ?? zone), own(schedule, zone), when(nextAt, now)].filter(Boolean).join("  "),
      ],
      ["last tick", ago(lastTick)],
      ["last run", last && `${last.run}  ${lastOf(schedule)}`],
      ["runs made", rule.limit === undefined ? count : `${count} of ${rule.limit}`],
      ["overlap", rule.overlap],
      ["catch up", catchUpText(rule)],
      ["clock changes", dstText(rule)],
      ["spread", rule.spreadMs === undefined ? null : `up to ${spanText(rule.spreadMs)}`],
      ["starts", instant(rule.startsMs)],
      ["ends", instant(rule.endsMs)],
      ["queue", queue],
      ["priority", priority],
      ["tags", tags.join(", ") || null],
      ["created", ago(schedule.createdAt)],
      ["changed", ago(schedule.updatedAt)],
    ],
    paint.dim,
  );
}

function catchUpText({ catchUp: { max, withinMs } }: Rule): string {
  if (max === 0) return "none";
  const age = withinMs === null ? "however old" : `no older than ${spanText(withinMs)}`;
  return max === 1 ? `the last missed tick, ${age}` : `the last ${max} missed ticks, ${age}`;
}

function dstText({ dst }: Rule): string | null {
  const parts = [dst?.gap && `gap ${dst.gap}`, dst?.overlap && `overlap ${dst.overlap}`].filter(Boolean);
  return parts.join(", ") || null;
}
