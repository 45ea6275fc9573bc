/** What `tasker dev` and the process that runs a version of the code tell each other. */
import type { Database } from "../database.ts";

/** A failure, as it crosses to the process that prints it. */
export interface Failure {
  readonly name: string;
  readonly message: string;
  readonly stack: string | null;
  /** The file that it is about, where that is known otherwise than by the stack. */
  readonly file: string | null;
}

/** The command line of `tasker dev`: paths, and the values of flags by name. */
export interface CommandLine {
  readonly paths: readonly string[];
  readonly flags: Readonly<Record<string, readonly string[]>>;
}

export type Ask =
  /** Get ready: import what the last version needed of `node_modules`. Comes first. */
  | { readonly ask: "warm"; readonly urls: readonly string[] }
  /** Connect, for the start to come. */
  | { readonly ask: "connect"; readonly database: Database }
  /** Import config and job files. */
  | { readonly ask: "load"; readonly line: CommandLine }
  /** Run what was loaded. */
  | { readonly ask: "start"; readonly database: Database; readonly version: string }
  /** Claim nothing more, end what runs, exit; `graceMs` null: however long that takes. */
  | { readonly ask: "drain"; readonly graceMs: number | null }
  | { readonly ask: "pause"; readonly paused: boolean }
  /** Call the default export of a script, and wait for the runs that it returns. */
  | { readonly ask: "play"; readonly file: string };

export type Tell =
  /** A file that is imported now; what is loaded next changes with it. */
  | { readonly tell: "import"; readonly file: string }
  /** The import of a job file has begun, or ended. */
  | { readonly tell: "open" | "settled"; readonly file: string }
  /** A package's module that is imported now. */
  | { readonly tell: "package"; readonly url: string }
  | {
      readonly tell: "loaded";
      readonly jobs: readonly LoadedJob[];
      readonly files: number;
      readonly failures: readonly Failure[];
      /** Paths that were searched for job files, absolute. */
      readonly roots: readonly string[];
    }
  | { readonly tell: "started" }
  | { readonly tell: "failed"; readonly at: "load" | "start" | "play"; readonly failure: Failure }
  /** Thrown where nobody catches, by code of the project. */
  | { readonly tell: "stray"; readonly failure: Failure }
  | { readonly tell: "played"; readonly runs: number };

export interface LoadedJob {
  readonly id: string;
  readonly schedules: number;
}

/** Anything as a failure. */
export function failureOf(thrown: unknown, file: string | null = null): Failure {
  if (!(thrown instanceof Error))
    return { name: "NonError", message: `${String(thrown)} was thrown`, stack: null, file };
  const { name, message, stack = null, cause } = thrown;
  const isOption = (thrown as { readonly code?: unknown }).code === "INVALID_INPUT"; // its stack begins where the author called
  return !isOption && cause instanceof Error && cause.stack
    ? { ...failureOf(cause, file), message: message || cause.message }
    : { name, message, stack, file };
}
