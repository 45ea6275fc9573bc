import type { Report, Row } from "../inbox/report.ts";
import type { Command } from "../command.ts";
import { withStore } from "../database.ts";
import { exit } from "../error.ts";
import type { Colors } from "../view/color.ts";
import { table } from "../view/table.ts";

/** `tasker load`: makes the runs and schedules that JSON files say. */
export const load: Command = {
  usage: "load <...files>",
  about: "Make the runs and schedules of JSON files, or - for stdin: an item, a list, or an item a line",
  flags: [
    { flag: "--dry-run", about: "Check the files and show what would be made; nothing is" },
    { flag: "--again", about: "Make items without an id once more, also if the same content was loaded before" },
  ],
  examples: [
    "tasker load orders.json --dry-run",
    "tasker load nightly.json users.jsonl",
    "jq -c '.[]' all.json | tasker load -",
  ],
  run: async ({ args, given, out, settings }) => {
    const read = await settings();
    const [dry, again] = [given.on("dry-run"), given.on("again")];
    const { filesOf, loadFile } = await import("../inbox/report.ts");
    const { paths, close } = await filesOf(args);
    try {
      const reports: Report[] = [];
      await withStore(
        read,
        async (to) => {
          const making = { to, timezone: read.timezone, spec: () => undefined };
          for (const path of paths) reports.push(await loadFile(path, making, { dry, again }));
        },
        !dry,
      );
      out.answer({ dryRun: dry, files: reports }, () => reports.map((one) => said(one, dry, out.colors)).join("\n"));
      return reports.every(({ refused }) => refused === 0) ? exit.ok : exit.failed;
    } finally {
      close();
    }
  },
};

/** Rows and notes that people are shown of a file. */
const mostShown = 20;

function said(report: Report, dry: boolean, colors: Colors): string {
  const { file, rows, notes, errors, items } = report;
  const more = items - Math.min(rows.length, mostShown);
  const shown = rows.length > 0 && errors.length === 0 ? [table(rows.slice(0, mostShown), columns, colors.dim)] : [];
  if (shown.length > 0 && more > 0) shown.push(colors.dim(`… and ${more} more`));
  const left = report.refused - new Set(errors.map(({ line }) => line)).size;
  return [
    `${colors.bold(file)}  ${summary(report, dry)}`,
    ...shown,
    ...notes.slice(0, mostShown).map(({ line, message }) => `${file}:${line}: ${colors.yellow(message)}`),
    ...errors.map(({ line, message }) => `${file}:${line}: ${colors.red(message)}`),
    ...(left > 0 ? [`… and ${left} more`] : []),
  ].join("\n");
}

function summary({ items, runs, existed, schedules, refused }: Report, dry: boolean): string {
  if (refused > 0 && runs + existed + schedules === 0)
    return `refused: ${refused} of ${count(items, "item")} ${refused === 1 ? "is" : "are"} wrong, so nothing of it is made`;
  const parts = [...(runs > 0 ? [count(runs, "run")] : []), ...(schedules > 0 ? [count(schedules, "schedule")] : [])];
  const made = `${parts.join(" and ") || "nothing"} ${dry ? "would be made" : "made"}`;
  const there = existed > 0 ? `; ${count(existed, "run")} ${existed === 1 ? "was" : "were"} there already` : "";
  return `${made}${there}${refused > 0 ? `; ${refused} refused` : ""}`;
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}

const columns = [
  { title: "line", cell: (row: Row) => row.line, align: "right" },
  { title: "makes", cell: (row: Row) => row.makes },
  { title: "job", cell: (row: Row) => row.job },
  { title: "when", cell: (row: Row) => row.when },
  { title: "id", cell: (row: Row) => row.id ?? "" },
] as const;
