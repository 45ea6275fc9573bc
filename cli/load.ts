import { statSync } from "node:fs";
import { basename, relative, resolve } from "node:path";
import { DuplicateJob } from "../sdk/port/error.ts";
import { isPlain } from "../sdk/port/rich.ts";
import type { JobSpec } from "../sdk/define/spec.ts";
import type { Settings } from "./config.ts";
import { ActFailed, BadUsage, FileBroken } from "./error.ts";
import { glob, isGlob, walk } from "./glob.ts";
import { load } from "./module.ts";
import { saidOf } from "../sdk/port/text.ts";

/** Imports the job files of the settings and answers what they export: jobs, by any name, also in arrays. One object that several
 *  files export counts once.
 *  @throws {BadUsage} for a path that does not exist.
 *  @throws {FileBroken} naming a file that throws when it is imported, with its error as `cause`.
 *  @throws {DuplicateJob} naming both files.
 *  @throws {ActFailed} if there are no jobs. */
export async function loadJobs({ jobs: paths, base }: Pick<Settings, "jobs" | "base">): Promise<readonly JobSpec[]> {
  const files = jobFiles(paths, base);
  const found: Found = new Map();
  for (const file of files) for (const error of await take(found, file)) throw error;
  if (found.size === 0) throw noJobs(paths, files.length);
  return jobsOf(found);
}

function jobsOf(found: Found): readonly JobSpec[] {
  return [...found.values()].map(({ job }) => job);
}

/** What job files have, with all that is wrong with them. */
export interface Collected {
  readonly jobs: readonly JobSpec[];
  readonly files: readonly string[];
  /** A file that can't be imported (`FileBroken`), or a job whose id another file has (`DuplicateJob`), which is left out. */
  readonly errors: readonly { readonly file: string; readonly error: Error }[];
}

/** As `loadJobs`, of these files, without stopping at one that is broken; `before` hears of each file. Never throws. */
export async function collectJobs(
  files: readonly string[],
  before: (file: string) => void = () => undefined,
): Promise<Collected> {
  const found: Found = new Map();
  const errors: { readonly file: string; readonly error: Error }[] = [];
  for (const file of files) {
    before(file);
    errors.push(...(await take(found, file)).map((error) => ({ file, error })));
  }
  return { jobs: jobsOf(found), files, errors };
}

/** Jobs by id, each with its file as people read it. */
type Found = Map<string, { readonly job: JobSpec; readonly file: string }>;

/** Imports a file and adds its jobs; answers what is wrong with it. */
async function take(found: Found, file: string): Promise<readonly Error[]> {
  const name = fileName(file);
  const jobs = await imported(file, name);
  if (jobs instanceof FileBroken) return [jobs];
  const errors: Error[] = [];
  for (const job of jobs) {
    const other = found.get(job.id);
    if (!other) found.set(job.id, { job, file: name });
    else if (other.job !== job) errors.push(new DuplicateJob(job.id, other.file, name));
  }
  return errors;
}

/** A file as people read it: from the current folder on. */
export function fileName(file: string): string {
  return relative(process.cwd(), file) || file;
}

/** The job files below the paths, in order, each once. Of folders and globs: `.ts .mts .js .mjs`, without declarations, tests, and
 *  names that begin with "_"; a file that is named itself is always taken.
 *  @throws {BadUsage} for a path that does not exist. */
export function jobFiles(paths: readonly string[], base: string): readonly string[] {
  const all = paths.flatMap((path) => {
    if (isGlob(path)) return glob(path, base).filter(isJobFile);
    const full = resolve(base, path);
    const stat = statSync(full, { throwIfNoEntry: false });
    if (!stat)
      throw new BadUsage(
        `"${path}" does not exist; give a folder, a file or a glob of job files, with --jobs for example`,
      );
    return stat.isDirectory() ? walk(full).filter((file) => isJobFile(relative(full, file))) : [full];
  });
  return [...new Set(all)];
}

/** The jobs that a module exports, each once: by name, as default, and in arrays or objects of these. */
export function exportedJobs(module: Readonly<Record<string, unknown>>): readonly JobSpec[] {
  const values = Object.values(module).flatMap((value) =>
    isJob(value) || !isPlain(value) ? value : Object.values(value),
  );
  return [...new Set(values.flat().filter(isJob))];
}

/** By shape, not by class: a job of a second copy of the package is one, too. */
function isJob(value: unknown): value is JobSpec {
  if (typeof value !== "object" || value === null) return false;
  const job = value as Partial<Record<"id" | "schema" | "handler" | "trigger" | "batchTrigger", unknown>>;
  const does = [job.handler, job.trigger, job.batchTrigger].every((each) => typeof each === "function");
  return does && typeof job.id === "string" && job.schema !== undefined;
}

/** Whether a file of this name, below a folder of job files, is one. */
export function isJobFile(path: string): boolean {
  const name = basename(path);
  if (!/\.m?[tj]s$/.test(name) || /\.d\.m?ts$/.test(name) || /[.-](test|spec)\.m?[tj]s$/.test(name)) return false;
  return !path.split(/[\\/]/).some((part) => part.startsWith("_") || part === "__tests__");
}

/** The jobs of a file, or why it can't be loaded. */
async function imported(file: string, name: string): Promise<readonly JobSpec[] | FileBroken> {
  try {
    return exportedJobs(await load(file));
  } catch (cause) {
    const said = saidOf(cause);
    return new FileBroken(`job file "${name}" can't be loaded: ${said}`, { cause });
  }
}

/** The error of a project without jobs: what to write. */
export function noJobs(paths: readonly string[], files: number): ActFailed {
  const where = paths.join(", ");
  return new ActFailed(
    files === 0
      ? `no job files in ${where}; write one that exports defineJob({ … }), or name others with --jobs`
      : `no jobs in ${where}: ${files} file${files === 1 ? "" : "s"}, none of which exports a job; write: export const hello = defineJob({ … })`,
  );
}
