/** Records as people and programs read them. */
import { humanMs } from "../../sdk/port/duration.ts";
import { formatId } from "../../sdk/port/id.ts";
import { homeOf, pinOf } from "../../sdk/port/pin.ts";
import { natural, type Wire } from "../../sdk/port/codec.ts";
import type { Status } from "../../sdk/port/status.ts";
import { viewOf } from "../../sdk/client/run.ts";
import type { Attempt, LogLine } from "../../sdk/client/runs.ts";
import { beganAt, type Stage } from "../../sdk/client/timeline.ts";
import type { Why } from "../../sdk/client/why.ts";
import type { RunRecord } from "../../sdk/port/target.ts";
import type { ErrorRecord } from "../../sdk/port/text.ts";
import { oneLine, plain, type Colors, type Paint } from "./color.ts";
import { isAuthors } from "../error.ts";
import { fields } from "./field.ts";
import { timelineText } from "./timeline.ts";
import { pairs, table, type Column } from "./table.ts";

/** A table of runs. */
export function runTable(runs: readonly RunRecord[], paint: Colors, now: Date = new Date()): string {
  const columns: Column<RunRecord>[] = [
    { title: "RUN", cell: (run) => formatId(run.id), paint: () => paint.cyan },
    { title: "JOB", cell: jobOf, max: 80 },
    { title: "STATUS", cell: stateOf, paint: (run) => statusPaint(run.status, paint) },
    { title: "ATTEMPT", cell: (run) => run.attempt, align: "right" },
    { title: "QUEUE", cell: (run) => run.queue, max: 24 },
    { title: "DUE", cell: (run) => when(run.dueAt, now) },
    { title: "FINISHED", cell: (run) => when(run.finishedAt, now) },
    { title: "TOOK", cell: took, align: "right" },
    {
      title: "ERROR OR NOTE",
      cell: (run) => run.error?.message ?? run.note ?? "",
      paint: (run) => (run.error ? paint.red : paint.dim),
    },
  ];
  return table(runs, columns, paint.dim);
}

/** Everything about one run, as text. */
export function runText(
  run: RunRecord,
  more: {
    /** Of a run that is not over. */
    readonly why?: Why | null;
    readonly timeline: readonly Stage[];
    readonly attempts: readonly Attempt[];
    readonly logs: readonly LogLine[];
    readonly colors: Colors;
    readonly now?: Date;
  },
): string {
  const { why, timeline, attempts, logs, colors: paint, now = new Date() } = more;
  const parts = [
    `${paint.cyan(formatId(run.id))}  ${paint.bold(oneLine(jobOf(run)))}  ${statusPaint(run.status, paint)(stateOf(run))}`,
    why && paint.yellow(oneLine(why.text)),
    facts(run, beganAt(run, timeline, attempts), paint, now),
    section("Payload", pretty(run.input), paint),
    run.result && section("Result", pretty(run.result), paint),
    run.error && section("Error", stackOf(run.error), paint),
    timeline.length > 0 && section("Steps", timelineText(timeline, paint), paint),
    attempts.length > 0 && section("Attempts that did not complete it", attemptTable(attempts, paint), paint),
    logs.length > 0 && section("Log", logs.map((line) => logLine(line, paint)).join("\n"), paint),
  ];
  return parts.filter(Boolean).join("\n\n");
}

/** How far an instant is from now: `in 5m`, `3m 20s ago`, `now`. */
export function when(at: Date | null, now: Date): string {
  if (!at) return "";
  const ms = at.getTime() - now.getTime();
  if (Math.abs(ms) < 1000) return "now";
  return ms > 0 ? `in ${humanMs(ms)}` : `${humanMs(-ms)} ago`;
}

/** The colour of a status. */
export function statusPaint(status: Status, paint: Colors): Paint {
  if (status === "completed") return paint.green;
  if (status === "failed") return paint.red;
  if (status === "canceled") return paint.dim;
  return status === "pending" || status === "waiting" ? paint.yellow : paint.cyan;
}

function stateOf(run: RunRecord): string {
  return `${run.status}${run.canceling ? " (canceling)" : run.reason ? ` (${run.reason})` : ""}`;
}

/** The job, and for a run that executes a hook, whose. */
function jobOf({ job, options }: RunRecord): string {
  return options?.hook ? `${job} (hook ${options.hook.kind} of ${formatId(options.hook.of)})` : job;
}

function took(run: RunRecord): string {
  return run.startedAt && run.finishedAt
    ? humanMs(Math.max(0, run.finishedAt.getTime() - run.startedAt.getTime()))
    : "";
}

/** From the first start of a workflow to its end, or until now. */
function tookInAll(began: Date, { finishedAt }: RunRecord, now: Date): string {
  const text = humanMs(Math.max(0, (finishedAt ?? now).getTime() - began.getTime()));
  return finishedAt ? text : `${text} so far`;
}

/** The latest attempt of a workflow, unless it is the first. */
function lastOf(run: RunRecord, began: Date, now: Date): string | null {
  const { startedAt } = run;
  if (!startedAt || startedAt <= began) return null;
  return `${startedAt.toISOString()}  ${when(startedAt, now)}${run.finishedAt ? `, took ${took(run)}` : ""}`;
}

/** `began`: the first start of a workflow, whose record tells that of its latest attempt. */
function facts(run: RunRecord, began: Date | null, paint: Colors, now: Date): string {
  const instant = (at: Date | null): string | null => at && `${at.toISOString()}  ${when(at, now)}`;
  const { schedule } = viewOf(run);
  return pairs(
    [
      ["note", run.note],
      ["schedule", schedule && `${schedule.id}, tick ${schedule.tick.toISOString()}`],
      ["queue", `${homeOf(run.queue)}, priority ${run.priority}`],
      ["pinned to", pinOf(run.queue) && `version ${pinOf(run.queue)!}`],
      ["created", instant(run.createdAt)],
      ["due", instant(run.dueAt)],
      ["expires", instant(run.expiresAt)],
      ["started", instant(began ?? run.startedAt)],
      ["finished", instant(run.finishedAt)],
      ["took", began ? tookInAll(began, run, now) : took(run) || null],
      ["last attempt", began && lastOf(run, began, now)],
      ["attempts", run.attempt],
      ["crashes", run.crashes || null],
      ["node", run.node],
      ["version", run.version === "0" ? null : run.version],
      ["key", run.key],
      ["tags", run.tags.join(", ") || null],
      [
        "progress",
        run.progress &&
          `${Number(run.progress.value.toFixed(2))}${run.progress.detail ? ` ${run.progress.detail}` : ""}`,
      ],
      ["options", optionsOf(run)],
      ["replay of", run.replayOf === null ? null : formatId(run.replayOf)],
    ],
    paint.dim,
  );
}

function optionsOf({ options }: RunRecord): string | null {
  const { hook: _hook, schedule: _schedule, dueMs: _dueMs, ...own } = options ?? {};
  return Object.keys(own).length > 0 ? JSON.stringify(own) : null;
}

function attemptTable(attempts: readonly Attempt[], paint: Colors): string {
  const span = (row: Attempt): string =>
    row.startedAt ? humanMs(Math.max(0, row.endedAt.getTime() - row.startedAt.getTime())) : "";
  const columns: Column<Attempt>[] = [
    { title: "N", cell: (row) => row.n, align: "right" },
    { title: "OUTCOME", cell: (row) => row.outcome },
    { title: "STARTED", cell: startOf },
    { title: "TOOK", cell: span, align: "right" },
    { title: "NODE", cell: (row) => row.node ?? "" },
    { title: "NEXT", cell: (row) => row.retryAt?.toISOString() ?? "" },
    { title: "ERROR", cell: (row) => row.error?.message ?? "", paint: () => paint.red },
  ];
  return table(attempts, columns, paint.dim);
}

/** A crash may have come before the start was told. */
function startOf({ startedAt, outcome }: Attempt): string {
  return startedAt?.toISOString() ?? (outcome === "crashed" ? "unknown" : "never");
}

function logLine(line: LogLine, paint: Colors): string {
  const tint = line.level === "error" ? paint.red : line.level === "warn" ? paint.yellow : (text: string) => text;
  const data = line.data === null ? "" : `  ${fields(line.data, "", paint.dim)}`;
  return `${paint.dim(line.at.toISOString())}  ${tint(`${line.level.padEnd(5)}  ${plain(line.message)}`)}${data}`;
}

function stackOf({ name, message, stack }: ErrorRecord): string {
  return plain(stack ?? `${name}: ${message}`)
    .split("\n")
    .filter(isAuthors)
    .join("\n");
}

function section(title: string, body: string, paint: Colors): string {
  return `${paint.bold(title)}\n${body.replace(/^/gm, "  ")}`;
}

function pretty(wire: Wire): string {
  return plain(JSON.stringify(natural(wire), null, 2));
}
