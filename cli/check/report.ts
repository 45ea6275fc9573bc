/** What `tasker check` asks of the process that loads the job files, and what that answers. All of it is JSON. */
import type { Database } from "../database.ts";
import { redact } from "../view/redact.ts";

/** What is to be checked. */
export interface Asked {
  /** Absolute paths of the job files. */
  readonly files: readonly string[];
  /** Zone of schedules that name none. */
  readonly timezone: string;
  readonly database: (Database & { readonly named: boolean }) | null;
  /** Ids of jobs that are not to be touched any more: they ended the process. */
  readonly leftOut: readonly string[];
}

/** Something that is wrong; `file` as people read it, `stack` has the author's frames alone. */
export interface Complaint {
  readonly message: string;
  readonly file: string | null;
  readonly job: string | null;
  readonly stack: string | null;
}

export interface CheckedJob {
  readonly id: string;
  readonly file: string | null;
  readonly schedules: readonly CheckedSchedule[];
}
export interface CheckedSchedule {
  readonly id: string;
  /** As it was written: `0 9 * * *  Europe/Paris`, `every 90s`, `once`. */
  readonly rule: string;
  /** ISO text; null: it does not tick any more. */
  readonly next: string | null;
}

/** Stored payloads, or journals of runs that wait, that have one thing wrong. */
export interface Group {
  readonly what: "pending run" | "schedule" | "waiting run";
  readonly job: string;
  /** Null: there is no such job. */
  readonly why: string | null;
  /** Of journals: whether the code would park the runs; false: that can't be said. */
  readonly parks?: boolean;
  readonly count: number;
  /** The first of them, three at most. */
  readonly ids: readonly string[];
}

/** What was found of what is stored. `checked` and `broken` count runs. */
export interface Pending {
  readonly checked: number;
  readonly broken: number;
  readonly schedules: { readonly checked: number; readonly broken: number };
  /** Runs that wait, but for parked ones. `left`: not replayed, as enough of their job were. */
  readonly journals: { readonly checked: number; readonly broken: number; readonly left: number };
  readonly groups: readonly Group[];
}

export interface Report {
  readonly jobs: readonly CheckedJob[];
  readonly errors: readonly Complaint[];
  readonly warnings: readonly Complaint[];
  readonly notes: readonly Complaint[];
  /** Null: no database was looked at. */
  readonly pending: Pending | null;
}

/** What the process is at: importing a file, or reading a schedule or payload of a job. */
export interface Step {
  readonly of: "file" | "job";
  readonly name: string;
}

/** One line that the process says: what it is at now (null: it reads the database), how it ends before its time (`place`: file, line and column), or the report. */
export type Said =
  | { readonly at: Step | null }
  | { readonly end: "idle" | "exit"; readonly code: number; readonly place: string | null }
  | { readonly report: Report };

/** A complaint of its message, without passwords, and what else is known. */
export function complaint(message: string, more: Partial<Omit<Complaint, "message">> = {}): Complaint {
  const { file = null, job = null, stack = null } = more;
  return { message: redact(message), file, job, stack: stack && redact(stack) };
}
