import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "./until.ts";

const command = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const fixture = (name: string): string => fileURLToPath(new URL(`../system/fixture/${name}`, import.meta.url));
const skew = fileURLToPath(new URL("skew.mjs", import.meta.url));

/** What a handler wrote down: `start` and `end` of an attempt. */
export interface Entry {
  readonly event: "start" | "end";
  readonly run: string;
  readonly token: number;
  readonly pid: number;
  readonly at: number;
  /** In the ledger of `ticks`: for which tick of which schedule. */
  readonly schedule?: string;
  readonly tick?: number;
}

export interface WorkerOptions {
  /** Folder of the fixture; `jobs` by default. */
  readonly jobs?: string;
  /** How far its wall clock is off, ms; and what is added to that, in turns of 2 s. */
  readonly skewMs?: number;
  readonly stepsMs?: readonly number[];
}

/** A real `tasker start` on the fault tests' jobs. */
export interface Worker {
  readonly pid: number;
  readonly exited: Promise<{
    readonly code: number | null;
    readonly signal: NodeJS.Signals | null;
    readonly at: number;
  }>;
  kill(signal: NodeJS.Signals): void;
  /** What its handlers wrote down so far. */
  ledger(): readonly Entry[];
  /** Its log: JSON lines, and whatever else it printed. */
  log(): string;
}

/** Starts a worker and resolves once it has started its runtime. `flags` are those of `tasker start`. */
export async function startWorker(
  url: string,
  flags: readonly string[] = [],
  { jobs = "jobs", skewMs, stepsMs }: WorkerOptions = {},
): Promise<Worker> {
  const folder = mkdtempSync(join(tmpdir(), "tasker-worker-"));
  const ledger = join(folder, "ledger");
  const preload = skewMs === undefined ? [] : ["--import", skew];
  const child = spawn(
    process.execPath,
    [...preload, command, "start", fixture(jobs), "--log-format", "json", ...flags],
    {
      env: {
        ...process.env,
        LEDGER: ledger,
        TASKER_DATABASE_URL: url,
        SKEW_MS: String(skewMs ?? 0),
        STEPS_MS: (stepsMs ?? []).join(","),
      },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const worker = watched(child, ledger);
  workers.push({ child, folder });
  await until(() => worker.log().includes("Runtime started"), {
    what: "the worker's runtime has started",
    timeoutMs: 20_000,
  });
  return worker;
}

function watched(child: ChildProcess, ledger: string): Worker {
  let log = "";
  child.stdout!.on("data", (part: Buffer) => (log += part.toString()));
  child.stderr!.on("data", (part: Buffer) => (log += part.toString()));
  return {
    pid: child.pid!,
    exited: new Promise((resolve) => child.on("exit", (code, signal) => resolve({ code, signal, at: Date.now() }))),
    kill: (signal) => void child.kill(signal),
    ledger: () => (existsSync(ledger) ? entries(readFileSync(ledger, "utf8")) : []),
    log: () => log,
  };
}

/** A line that a killed process did not finish is left out. */
function entries(text: string): readonly Entry[] {
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Entry);
}

const workers: { readonly child: ChildProcess; readonly folder: string }[] = [];

/** Kills what is left of the workers; for `afterEach`. */
export async function endWorkers(): Promise<void> {
  for (const { child, folder } of workers.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((resolve) => child.on("exit", resolve));
      child.kill("SIGCONT");
      child.kill("SIGKILL");
      await gone;
    }
    rmSync(folder, { recursive: true, force: true });
  }
}
