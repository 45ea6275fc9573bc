/** The process in which `tasker check` imports job files, so that whatever they do (exit, block, never end) is seen from outside.
 *  It reads an `Asked` from stdin and says what it does and finds on descriptor 3, a line each: that is written at once, also
 *  while the process ends. */
import { readFileSync, writeFileSync } from "node:fs";
import { TaskerError } from "../../sdk/port/error.ts";
import { frameOf } from "../../sdk/port/frame.ts";
import type { JobSpec } from "../../sdk/define/spec.ts";
import { FileBroken, isAuthors, trimmed } from "../error.ts";
import { guard } from "../watch.ts";
import { collectJobs, fileName } from "../load.ts";
import { examine } from "./job.ts";
import { stored } from "./stored.ts";
import { complaint, type Asked, type Complaint, type Report, type Said, type Step } from "./report.ts";
import { saidOf } from "../../sdk/port/text.ts";

guard(3_600_000, () => undefined); // it ends with its parent, though a file may block it

const asked = JSON.parse(readFileSync(0, "utf8")) as Asked; // our own parent wrote it
const late: Complaint[] = [];
let now: Step | null = null;
let over = false;

process.on("uncaughtException", (error) => {
  const during = now?.of === "file" ? fileName(now.name) : null;
  const message = saidOf(error);
  late.push(
    complaint(`an error that nobody caught${during === null ? "" : ` while "${during}" was loaded`}: ${message}`, {
      file: during,
      stack: stackOf(error),
    }),
  );
});
process.on("beforeExit", () => end("idle", 0)); // nothing is left to wait for, and what we await has not come
process.on("exit", (code) => end("exit", code));

const report = await look(asked);
over = true;
say({ report: { ...report, errors: [...report.errors, ...late] } });
process.exit(0);

async function look({ files, timezone, database, leftOut }: Asked): Promise<Report> {
  const { jobs, errors } = await collectJobs(files, (name) => step({ of: "file", name }));
  const known = new Map<string, JobSpec | null>(jobs.map((job) => [job.id, leftOut.includes(job.id) ? null : job]));
  const before = (name: string | null): void => step(name === null ? null : { of: "job", name });
  const found = [];
  for (const job of known.values()) {
    if (!job) continue;
    before(job.id);
    found.push(await examine(job, timezone));
  }
  before(null);
  const payloads = await stored(database, known, before);
  return {
    jobs: found.map(({ job }) => job).sort((a, b) => (a.id < b.id ? -1 : 1)),
    errors: [...errors.map(broken), ...found.flatMap((each) => each.errors), ...payloads.errors],
    warnings: [...found.flatMap((each) => each.warnings), ...payloads.warnings],
    notes: [...found.flatMap((each) => each.notes), ...payloads.notes],
    pending: payloads.pending,
  };
}

function broken({ file, error }: { readonly file: string; readonly error: Error }): Complaint {
  const { message, cause } = error;
  return complaint(message, { file: fileName(file), stack: error instanceof FileBroken ? stackOf(cause) : null });
}

/** Where it came from, without what it says; null if no line of it is the author's. */
function stackOf(error: unknown): string | null {
  if (!(error instanceof Error) || error instanceof TaskerError) return null;
  const frames = trimmed(error)
    .split("\n")
    .filter((line) => /^\s+at /.test(line) && !line.includes("(node:"));
  return frames.join("\n") || null;
}

function step(next: Step | null): void {
  now = next;
  say({ at: next });
}

function end(how: "idle" | "exit", code: number): void {
  if (over) return;
  over = true;
  say({ end: how, code, place: new Error().stack!.split("\n").filter(isAuthors).map(placeOf).find(Boolean) ?? null });
}

/** `jobs/a.ts:1:9` of a line of a stack; null for one of Node itself. */
function placeOf(frame: string): string | null {
  const place = frameOf(frame);
  return place && `${fileName(place.file)}:${place.line}:${place.column}`;
}

function say(said: Said): void {
  writeFileSync(3, `${JSON.stringify(said)}\n`);
}
