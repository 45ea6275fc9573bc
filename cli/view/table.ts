import { oneLine, type Paint } from "./color.ts";

/** A column: its title, what a row shows in it, and how the cell is painted after it was padded. */
export interface Column<T> {
  readonly title: string;
  readonly cell: (row: T) => string | number;
  /** Numbers read better on the right. */
  readonly align?: "right";
  /** Longer cells are cut, ending in "…". 60 by default. */
  readonly max?: number;
  readonly paint?: (row: T) => Paint;
}

/** Rows as aligned text: a line of titles and a line a row, two spaces between columns, no trailing spaces. */
export function table<T>(rows: readonly T[], columns: readonly Column<T>[], title: Paint = (text) => text): string {
  const cells = rows.map((row) => columns.map((column) => cut(column.cell(row), column.max ?? 60)));
  const widths = columns.map((column, at) => Math.max(column.title.length, ...cells.map((line) => line[at]!.length)));
  const pad = (text: string, at: number): string => {
    if (columns[at]!.align === "right") return text.padStart(widths[at]!);
    return at === columns.length - 1 ? text : text.padEnd(widths[at]!);
  };
  const head = title(
    columns
      .map((column, at) => pad(column.title, at))
      .join("  ")
      .trimEnd(),
  );
  const lines = cells.map((line, n) =>
    line
      .map((text, at) => columns[at]!.paint?.(rows[n]!)(pad(text, at)) ?? pad(text, at))
      .join("  ")
      .trimEnd(),
  );
  return [head, ...lines].join("\n");
}

/** Names and values as two aligned columns; pairs whose value is null are left out. */
export function pairs(list: readonly (readonly [name: string, value: string | number | null])[], name: Paint): string {
  const shown = list.filter((pair) => pair[1] !== null);
  const width = Math.max(0, ...shown.map(([label]) => label.length));
  return shown.map(([label, value]) => `${name(label.padEnd(width))}  ${oneLine(String(value))}`).join("\n");
}

function cut(value: string | number, max: number): string {
  const text = oneLine(String(value));
  return text.length > max ? `${text.slice(0, max - 1)}…` : text;
}
