import { field, type Entrant } from "./field.ts";
import { measures } from "./measures/index.ts";
import type { Line, Measure } from "./measures/measure.ts";
import { median } from "./number.ts";
import { ratio, valueOf, type Cell, type Result } from "./result.ts";

/** The result as Markdown: what it ran on, tasker beside the limit and the best rival, then everybody. */
export function markdown(result: Result): string {
  return (
    [heading(result), summary(result), ...everybody(result), remarks(result)]
      .filter((part) => part !== "")
      .join("\n\n") + "\n"
  );
}

function heading({ at, quick, reps, machine }: Result): string {
  const { node, cpu, cores, memoryGb, os, postgres, redis, syncMs, settings, versions } = machine;
  const set = Object.entries(settings).map(([name, value]) => `${name} ${value}`);
  const rivals = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `${at.slice(0, 10)}${quick ? ", a quick run: its figures are rough" : ""}. ${cores} × ${cpu}, ${memoryGb} GB, ${os}; producer, worker and server share them. ` +
      `Node ${node}, PostgreSQL ${postgres} (${set.join(", ")}), ${redis === null ? "no redis-server" : `Redis ${redis} (AOF everysec)`}; ` +
      `fdatasync of 8 kB ${syncMs.toFixed(2)} ms.${rivals.length > 0 ? ` ${rivals.join(", ")}.` : ""}`,
    `Cells are the median [least..most] of ${reps} interleaved repetition${reps === 1 ? "" : "s"}. Read ratios, not absolute figures.`,
  ].join("\n");
}

interface Best {
  readonly entrant: Entrant;
  readonly value: number;
}

/** The best rival of a line among those of one kind of store. */
function bestRival(
  result: Result,
  store: Entrant["store"],
  { measure, line }: { measure: Measure; line: Line },
): Best | null {
  const found = field
    .filter((entrant) => entrant.kind === "rival" && entrant.store === store)
    .map((entrant) => ({ entrant, value: valueOf(result, entrant.name, measure.name, line.key) }))
    .filter((each): each is Best => each.value !== null);
  const worth = (value: number): number => (line.better === "more" ? value : -value);
  return found.length === 0 ? null : found.reduce((a, b) => (worth(b.value) > worth(a.value) ? b : a));
}

/** Lines that say how good a contender is; the others explain. */
function isCompared({ key }: Line): boolean {
  return !["statements", "added", "least"].includes(key);
}

function summary(result: Result): string {
  const rows = measures.flatMap((measure) =>
    measure.lines.filter(isCompared).flatMap((line) => {
      const own = valueOf(result, "tasker", measure.name, line.key);
      if (own === null) return [];
      const limit = valueOf(result, "raw", measure.name, line.key);
      const against = (["postgres", "redis"] as const).flatMap((store) => {
        const best = bestRival(result, store, { measure, line });
        if (best === null) return ["", ""];
        const name = store === "postgres" ? ` ${best.entrant.name}` : "";
        return [`${shown(best.value, line.unit)}${name}`, times(ratio(own, best.value, line.better))];
      });
      const cells = [
        line === measure.lines[0] ? `**${line.title}**` : line.title,
        shown(own, line.unit),
        limit === null ? "" : shown(limit, line.unit),
        limit === null ? "" : percent(ratio(own, limit, line.better)),
        ...against,
      ];
      return [`| ${cells.join(" | ")} |`];
    }),
  );
  if (rows.length === 0) return "";
  const head =
    "| measure | tasker | raw SQL | of raw | best rival on Postgres | tasker × it | BullMQ on Redis | tasker × it |";
  return [head, "|---|---|---|---|---|---|---|---|", ...rows].join("\n");
}

function everybody(result: Result): string[] {
  return measures.flatMap((measure) => {
    const cells = result.cells.filter((cell) => cell.measure === measure.name);
    if (cells.length === 0) return [];
    const head = [
      "contender",
      "jobs",
      ...measure.lines.map(({ title, unit }) => (unit ? `${title}, ${unit === "/s" ? "per s" : unit}` : title)),
    ];
    const rows = cells.map((cell) => `| ${[cell.contender, ...row(measure, cell)].join(" | ")} |`);
    return [
      [
        `### ${measure.name}`,
        "",
        `${sentence(measure.about)}`,
        "",
        `| ${head.join(" | ")} |`,
        `|${head.map(() => "---|").join("")}`,
        ...rows,
      ].join("\n"),
    ];
  });
}

function row(measure: Measure, cell: Cell): string[] {
  if (cell.error !== null)
    return ["", `*${cell.error.replaceAll("|", "/").slice(0, 160)}*`, ...measure.lines.slice(1).map(() => "")];
  return [
    cell.jobs.toLocaleString("en"),
    ...measure.lines.map(({ key, unit }) => spread(cell.figures[key] ?? [], unit)),
  ];
}

function remarks(result: Result): string {
  const lines = [
    ...result.cells
      .filter(({ duplicates }) => duplicates > 0)
      .map(
        ({ contender, measure, duplicates }) =>
          `${contender} called the handler again ${duplicates} times in ${measure}.`,
      ),
  ];
  const [bare, full] = ["tasker", "tasker-full"].map((name) => valueOf(result, name, "drain1", "rate"));
  if (bare && full)
    lines.push(
      `With a zod schema for input and output, retry, timeout, a hook and a listener of events, tasker drains at ${percent(full / bare)} of its rate without.`,
    );
  const noisy = result.cells.reduce((sum, cell) => sum + cell.noisy, 0);
  const all = result.cells.length * result.reps;
  if (noisy > 0) lines.push(`${noisy} of ${all} repetitions began on a machine that was not quiet.`);
  return lines.join(" ");
}

/** `1,234 [1,200..1,300]`, the range left out for one value. */
function spread(values: readonly number[], unit: Line["unit"]): string {
  const found = values.filter((value) => Number.isFinite(value));
  if (found.length === 0) return "";
  const middle = figure(median(found), unit);
  return found.length === 1
    ? middle
    : `${middle} [${figure(Math.min(...found), unit)}..${figure(Math.max(...found), unit)}]`;
}

export function shown(value: number, unit: Line["unit"]): string {
  return unit === "/s" ? `${figure(value, unit)}/s` : `${figure(value, unit)}${unit && ` ${unit}`}`;
}

function figure(value: number, unit: Line["unit"]): string {
  if (unit === "/s" || unit === "B" || unit === "MB") return Math.round(value).toLocaleString("en");
  return Math.abs(value) >= 100
    ? value.toFixed(0)
    : Math.abs(value) >= 10
      ? value.toFixed(1)
      : value.toFixed(unit === "ms" ? 2 : 3);
}

function percent(value: number): string {
  return `${Math.round(value * 100)} %`;
}

function times(value: number): string {
  return `${value >= 10 ? value.toFixed(0) : value.toFixed(1)}×`;
}

function sentence(text: string): string {
  return `${text[0]!.toUpperCase()}${text.slice(1)}.`;
}
