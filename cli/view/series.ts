/** Figures over time, as people read them. */
import type { Percentiles, Point, Series } from "../../sdk/client/series.ts";
import { humanMs } from "../../sdk/port/duration.ts";
import type { Colors } from "./color.ts";
import { table, type Column } from "./table.ts";

type Row = Omit<Point, "at"> & { readonly at: string };

/** A line a step, and one of all. */
export function seriesTable({ points, total }: Series, paint: Colors): string {
  const right = "right" as const;
  const count = (title: string, of: (row: Row) => number): Column<Row> => ({
    ...{ title, align: right, cell: of },
    paint: (row) => (of(row) === 0 ? paint.dim : (text) => text),
  });
  const spans = (kind: "wait" | "run"): readonly Column<Row>[] =>
    (["p50", "p95", "p99"] as const).map((share) => ({
      title: `${kind} ${share}`.toUpperCase(),
      align: right,
      cell: (row) => spanOf(row[kind], share),
    }));
  const columns: readonly Column<Row>[] = [
    { title: "SINCE", cell: (row) => row.at },
    count("COMPLETED", (row) => row.completed),
    { ...count("FAILED", (row) => row.failed), paint: (row) => (row.failed > 0 ? paint.red : paint.dim) },
    count("CANCELED", (row) => row.canceled),
    count("RETRIED", (row) => row.retried),
    ...spans("wait"),
    ...spans("run"),
  ];
  const rows = points.map((point): Row => ({ ...point, at: point.at.toISOString().replace(":00.000Z", "Z") }));
  return table([...rows, { ...total, at: "all" }], columns, paint.dim);
}

function spanOf(spans: Percentiles | null, share: keyof Percentiles): string {
  return spans ? humanMs(spans[share]) : "";
}
