import { toMs, type DurationText } from "../../sdk/port/duration.ts";
import type { Asked, CheckedJob, Complaint, Report } from "../check/report.ts";
import { complaint } from "../check/report.ts";
import type { Colors } from "../view/color.ts";
import type { Command } from "../command.ts";
import type { Given } from "../given.ts";
import { parsed, type Settings, tried } from "../config.ts";
import { locate } from "../database.ts";
import { exit, trimmed } from "../error.ts";
import { exitOf, levelLine, many, tally, type Level } from "../view/finding.ts";
import { jobFiles, noJobs } from "../load.ts";
import { withPaths } from "./start.ts";

/** `tasker check`: would this code work, and with what is stored? Runs no job and changes nothing. */
export const check: Command = {
  usage: "check [...paths]",
  about: "Load the jobs without running any, and compare them with what a database has pending; for CI",
  flags: [
    { flag: "--offline", about: "Look at no database" },
    { flag: "--strict", about: "Exit with 1 for warnings, too" },
    { flag: "--patience <duration>", about: "How long one job file may take to load (default: 30s)" },
  ],
  examples: ["tasker check", "tasker check --strict --database-url postgres://db/app", "tasker check jobs --json"],
  run: async ({ args, given, out, settings }) => {
    const patienceMs = parsed("--patience", () => toMs((given.text("patience") ?? "30s") as DurationText));
    const read = await guarded(settings);
    const report = "message" in read ? empty([read]) : await reportOf(withPaths(read, args), given, patienceMs);
    const levels = findingsOf(report).map(({ level }) => level);
    const code = exitOf(levels, given.on("strict"));
    out.answer({ ok: code === exit.ok, ...report }, () => text(report, out.colors));
    return code;
  },
};

/** The settings, or what is wrong with the config file or the environment. A config file that ends the process fails the check.
 *  @throws {BadUsage} for a flag */
async function guarded(settings: () => Promise<Settings>): Promise<Settings | Complaint> {
  const failed = (): void => {
    process.exitCode = exit.failed;
    process.stderr.write(
      "error: the config file ended the process; let it export a configuration and do nothing else\n",
    );
  };
  process.once("exit", failed);
  try {
    const read = await tried(settings);
    if (!(read instanceof Error)) return read;
    return complaint(read.message, { stack: read.cause instanceof Error ? trimmed(read.cause) : null });
  } finally {
    process.off("exit", failed);
  }
}

async function reportOf(settings: Settings, given: Given, patienceMs: number): Promise<Report> {
  const files = jobFiles(settings.jobs, settings.base);
  const database = given.on("offline") ? null : locate(settings);
  const named = settings.source("databaseUrl") !== null;
  const asked: Asked = {
    files,
    timezone: settings.timezone,
    database: database && { ...database, named },
    leftOut: [],
  };
  const { inspect } = await import("../check/process.ts");
  const report = await inspect(asked, patienceMs);
  const none = report.jobs.length === 0 && report.errors.length === 0;
  const notes = database || given.on("offline") ? [] : [complaint(noDatabase)];
  return {
    ...report,
    errors: none ? [complaint(noJobs(settings.jobs, files.length).message)] : report.errors,
    notes: [...report.notes, ...notes],
  };
}

const noDatabase = "no database is known, so pending runs were not checked; name one with --database-url";

function empty(errors: readonly Complaint[]): Report {
  return { jobs: [], errors, warnings: [], notes: [], pending: null };
}

function findingsOf({ errors, warnings, notes }: Report): readonly (Complaint & { readonly level: Level })[] {
  const at = (level: Level, list: readonly Complaint[]) => list.map((each) => ({ ...each, level }));
  return [...at("note", notes), ...at("warning", warnings), ...at("error", errors)];
}

function text(report: Report, paint: Colors): string {
  const { jobs, pending } = report;
  const found = findingsOf(report);
  const journals = pending?.journals.checked ? `, ${many(pending.journals.checked, "journal")} replayed` : "";
  const parsedText =
    pending &&
    `, ${many(pending.checked, "pending run")} and ${many(pending.schedules.checked, "schedule")} parsed${journals}`;
  const levels = found.map(({ level }) => level);
  return [
    ...jobs.map((job) => levelLine("ok", jobText(job), paint)),
    ...found.map(({ level, message, stack }) => levelLine(level, [message, stack].filter(Boolean).join("\n"), paint)),
    "",
    `${many(jobs.length, "job")}${parsedText ?? ""}: ${tally(levels)}`,
  ].join("\n");
}

function jobText({ id, file, schedules }: CheckedJob): string {
  const ticks = schedules.map(
    ({ id, rule, next }) => `${id}: ${rule}, ${next === null ? "no next tick" : `next ${next}`}`,
  );
  return [file === null ? id : `${id}  ${file}`, ...ticks].join("\n");
}
