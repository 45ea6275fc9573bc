import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { humanMs } from "../../sdk/port/duration.ts";
import { fileName } from "../load.ts";
import { complaint, type Asked, type Complaint, type Report, type Said, type Step } from "./report.ts";
import { entry } from "../entry.ts";

/** Loads job files in a process of its own and answers what is found. A file that ends that process, or keeps it busy for longer
 *  than `patienceMs`, is an error; the others are loaded by another process then. What job files print goes to stderr. */
export async function inspect(asked: Asked, patienceMs: number): Promise<Report> {
  const errors: Complaint[] = [];
  for (let ask = asked; ;) {
    const { report, step, error } = await once(ask, patienceMs);
    if (error) errors.push(error);
    if (report) return { ...report, errors: [...errors, ...report.errors] };
    const next = without(ask, step);
    if (!next) return { jobs: [], errors, warnings: [], notes: [], pending: null };
    ask = next;
  }
}

/** What is left to ask when a step has ended the process; null: it was not the step. */
function without(ask: Asked, step: Step | null): Asked | null {
  if (step?.of === "file") return { ...ask, files: ask.files.filter((file) => file !== step.name) };
  if (step?.of !== "job" || ask.leftOut.includes(step.name)) return null;
  return { ...ask, leftOut: [...ask.leftOut, step.name] };
}

interface Answer {
  readonly report: Report | null;
  /** What it was at when it ended. */
  readonly step: Step | null;
  readonly error: Complaint | null;
}

async function once(ask: Asked, patienceMs: number): Promise<Answer> {
  const { path, execArgv } = entry("check/child");
  const child = spawn(process.execPath, [...execArgv, path], { stdio: ["pipe", 2, 2, "pipe"] });
  let late = false;
  const heard: { step: Step | null; end: Said | null; report: Report | null } = { step: null, end: null, report: null };
  const timer = setTimeout(() => {
    if (heard.step === null) return void timer.refresh(); // the database has time limits of its own
    late = true;
    child.kill("SIGKILL");
  }, patienceMs);
  const lines = createInterface({ input: child.stdio[3] as NodeJS.ReadableStream });
  lines.on("line", (line) => {
    timer.refresh();
    const said = JSON.parse(line) as Said; // our own child wrote it
    if ("at" in said) heard.step = said.at;
    else if ("report" in said) heard.report = said.report;
    else heard.end = said;
  });
  child.stdin!.on("error", () => undefined); // it may have ended before it read
  child.stdin!.end(JSON.stringify(ask));
  const how = await new Promise<string>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  clearTimeout(timer);
  const { step, end, report } = heard;
  if (report) return { report, step, error: null };
  return {
    report,
    step,
    error: ended(step, late ? `kept the process for more than ${humanMs(patienceMs)}` : whyOf(end, how)),
  };
}

function whyOf(end: Said | null, how: string): string {
  if (!end || !("end" in end)) return `ended the process (${how})`;
  if (end.end === "idle") return "waits for a promise that never settles";
  return `called process.exit(${end.code})${end.place === null ? "" : ` at ${end.place}`}`;
}

function ended(step: Step | null, why: string): Complaint {
  if (!step) return complaint(`the process that loads job files ${why}`);
  if (step.of === "job")
    return complaint(
      `job "${step.name}" ${why} when it was asked for a schedule, to parse a payload or to replay a journal`,
      {
        job: step.name,
      },
    );
  const file = fileName(step.name);
  return complaint(`job file "${file}" ${why} when it was imported; let it define jobs and do nothing else`, { file });
}
