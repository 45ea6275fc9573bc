/** What `tasker load` does with each file. */
import { createWriteStream, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { Adder } from "../../runtime/inbox/add.ts";
import { check } from "../../runtime/inbox/check.ts";
import type { Item } from "../../runtime/inbox/item.ts";
import { load } from "../../runtime/inbox/load.ts";
import type { Made, Making, Problem } from "../../runtime/inbox/make.ts";
import { openSource, type Source } from "../../runtime/inbox/source.ts";
import { humanMs, toMs } from "../../sdk/port/duration.ts";
import { saidOf } from "../../sdk/port/text.ts";
import { BadUsage } from "../error.ts";

/** Rows and notes of a file that are reported. */
const mostListed = 1000;

export interface Row {
  readonly line: number;
  readonly makes: "run" | "schedule";
  readonly job: string;
  readonly when: string;
  /** The idempotency key of the run, or the key of the schedule. */
  readonly id: string | null;
}

/** What became of a file; the fields are those of `--json`. */
export interface Report {
  readonly file: string;
  readonly items: number;
  readonly runs: number;
  /** Runs that were there already. */
  readonly existed: number;
  readonly schedules: number;
  readonly refused: number;
  readonly errors: readonly Problem[];
  readonly notes: readonly { readonly line: number; readonly message: string }[];
  /** With `--dry-run`: the first items. */
  readonly rows: readonly Row[];
}

export interface Wanted {
  /** Nothing is made. */
  readonly dry: boolean;
  /** Items without an id are made whatever was made before. */
  readonly again: boolean;
}

/** Files to load, each under its name; stdin is read to its end first, for files are read twice. */
export interface Files {
  readonly paths: readonly { readonly path: string; readonly name: string }[];
  /** Drops what was kept of stdin. */
  close(): void;
}

/** @throws {BadUsage} for what is no file */
export async function filesOf(args: readonly string[]): Promise<Files> {
  for (const name of args) if (name !== "-") refuseOther(name);
  if (!args.includes("-")) return { paths: args.map((path) => ({ path, name: path })), close: () => undefined };
  const folder = mkdtempSync(join(tmpdir(), "tasker-load-"));
  const close = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    await pipeline(process.stdin, createWriteStream(join(folder, "stdin"), { mode: 0o600 }));
  } catch (error) {
    close();
    throw error;
  }
  const pathOf = (arg: string) =>
    arg === "-" ? { path: join(folder, "stdin"), name: "stdin" } : { path: arg, name: arg };
  return { paths: args.map(pathOf), close };
}

function refuseOther(name: string): void {
  const stat = statSync(name, { throwIfNoEntry: false });
  if (stat?.isFile()) return;
  const next = stat?.isDirectory() ? `; name the files in it, such as ${name.replace(/\/$/, "")}/*.json` : "";
  throw new BadUsage(`"${name}" ${stat ? "is no file" : "does not exist"}${next}`);
}

/** Loads a file, or says what is wrong with it.
 *  @throws {BadUsage} if it can't be read. @throws {StoreUnavailable} */
export async function loadFile(
  { path, name }: Files["paths"][number],
  making: Making,
  wanted: Wanted,
): Promise<Report> {
  const source = await openSource(path, name, true).catch((cause: unknown) => {
    throw new BadUsage(`"${name}" can't be read: ${saidOf(cause)}`, { cause });
  });
  if (!source) throw new BadUsage(`"${name}" is no file`);
  try {
    return await reportOf(source, making, wanted);
  } finally {
    await source.close();
  }
}

async function reportOf(source: Source, making: Making, { dry, again }: Wanted): Promise<Report> {
  const rows: Row[] = [];
  const notes: { readonly line: number; readonly message: string }[] = [];
  const would = { runs: 0, schedules: 0 };
  const checked = await check(source.chunks(), source.form, making, (made) => {
    would[made.run ? "runs" : "schedules"]++;
    if (dry && rows.length < mostListed) rows.push(rowOf(made));
    for (const message of made.item.notes) if (notes.length < mostListed) notes.push({ line: made.line, message });
  });
  const about = { file: source.name, items: checked.items, notes, rows };
  if (checked.refused > 0) return { ...about, ...none, refused: checked.refused, errors: checked.problems };
  if (dry) return { ...about, ...none, ...would };
  const adder = new Adder(making.to, again ? null : checked.hash);
  const { problems, ...made } = await load(source, checked, making, adder);
  return { ...about, ...made, refused: problems.length, errors: problems };
}
const none = { runs: 0, existed: 0, schedules: 0, refused: 0, errors: [] } satisfies Partial<Report>;

function rowOf({ line, item, run, schedule }: Made): Row {
  return {
    ...{ line, makes: run ? "run" : "schedule", job: item.job },
    when: whenOf(item, run?.dueAt ?? null),
    id: schedule?.key ?? item.id,
  };
}

function whenOf({ when }: Item, at: Date | null): string {
  switch (when.kind) {
    case "cron":
      return `cron ${when.cron}${when.timezone === undefined ? "" : ` ${when.timezone}`}`;
    case "next":
      return `once, at the next tick: ${at?.toISOString()}`;
    case "every":
      return `every ${when.every}`;
    case "runAt":
      return `at ${when.runAt.toISOString()}`;
    case "delay":
      return `in ${humanMs(toMs(when.delay))}`;
    case "now":
      return "now";
    default:
      return when satisfies never;
  }
}
