/** The timeline of a workflow, as people read it. */
import type { Stage } from "../../sdk/client/timeline.ts";
import { humanMs } from "../../sdk/port/duration.ts";
import { isFinal } from "../../sdk/port/status.ts";
import type { Colors, Paint } from "./color.ts";
import { table, type Column } from "./table.ts";

/** Children that are shown one by one. */
const mostRuns = 20;
type Row = Stage | Stage["runs"][number] | { readonly more: number };

/** The stages as a table; what a call of other jobs made stands below it. */
export function timelineText(stages: readonly Stage[], paint: Colors): string {
  const rows = stages.flatMap((stage): readonly Row[] => {
    const more = stage.runs.length - mostRuns;
    return [stage, ...stage.runs.slice(0, mostRuns), ...(more > 0 ? [{ more }] : [])];
  });
  const of = (show: (stage: Stage) => string | number | null) => (row: Row) => ("kind" in row ? (show(row) ?? "") : "");
  const columns: Column<Row>[] = [
    {
      title: "STEP",
      cell: (row) => ("kind" in row ? titleOf(row) : "id" in row ? `  ${row.id}` : `  ${row.more} more`),
    },
    { title: "STATUS", cell: (row) => ("status" in row ? statusOf(row) : ""), paint: (row) => paintOf(row, paint) },
    { title: "TRIES", cell: of(({ tries }) => tries), align: "right" },
    { title: "AT", cell: of(({ at }) => at.toISOString()) },
    { title: "TOOK", cell: of(({ tookMs }) => (tookMs === null ? null : humanMs(tookMs))), align: "right" },
    {
      title: "NOTE",
      cell: of(noteOf),
      max: 120,
      paint: (row) => ("error" in row && row.error ? paint.red : paint.dim),
    },
  ];
  return table(rows, columns, paint.dim);
}

function titleOf({ kind, name }: Stage): string {
  return kind === "step" || name === kind ? name : `${kind} ${name}`;
}

function statusOf({ status, ...row }: Exclude<Row, { readonly more: number }>): string {
  return `${status ?? "not looked at"}${"reason" in row && row.reason ? ` (${row.reason})` : ""}`;
}

function paintOf(row: Row, paint: Colors): Paint {
  const status = "status" in row ? row.status : null;
  if (status === "completed") return paint.green;
  if (status === "failed") return paint.red;
  return status === "waiting" || status === "retrying" ? paint.yellow : paint.dim;
}

function noteOf({ kind, status, until, value, error, by, runs }: Stage): string {
  const isOpen = status === "waiting" || status === "retrying";
  const ended = runs.filter(({ status }) => status !== null && isFinal(status)).length;
  return [
    isOpen && until && `until ${until.toISOString()}`,
    kind === "child" && `${ended} of ${runs.length} ended`,
    by !== null && `from ${by}`,
    error && status !== "completed" && `${error.name}: ${error.message}`,
    value !== null && JSON.stringify(value),
  ]
    .filter(Boolean)
    .join("  ");
}
