import type { DurationText } from "../port/duration.ts";
import type { Workflow } from "./flow.ts";
import type { Priority } from "../port/option.ts";
import type { RunRecord } from "../port/target.ts";

/** Lines kept with the run. At most 1,000 an attempt and 8 KiB each; also written to the node's own log. */
export interface Log {
  debug(message: string, data?: unknown): void;
  info(message: string, data?: unknown): void;
  warn(message: string, data?: unknown): void;
  error(message: string, data?: unknown): void;
}

/** The run that a handler works on. */
export interface ContextRun extends Pick<RunRecord, "job" | "queue" | "createdAt" | "tags" | "key"> {
  /** `run_…` */
  readonly id: string;
  /** When this attempt was due; of a workflow that has waited, as it was before its first wait: waits don't move it. */
  readonly dueAt: Date;
  /** 0–9, higher first. */
  readonly priority: Priority;
}

/** The tick of a schedule that a run was made for. Instants are the rule's, before any spread. */
export interface ContextSchedule {
  /** `job@key`, or the job alone where it has one schedule. */
  readonly id: string;
  /** "" where the schedule does not have a key. */
  readonly key: string;
  /** The instant that this run stands for, however late it starts. */
  readonly tick: Date;
  /** The rule's ticks before and after it: `previous` to `tick` are the bounds of what a report covers. */
  readonly previous: Date | null;
  /** Null if no tick follows. */
  readonly next: Date | null;
}

/** What a handler is given beside its payload. Services and middleware of the job's `use` add to it. */
export interface Context extends Workflow {
  /** The run that this attempt is of. */
  readonly run: ContextRun;
  /** Null unless a schedule made the run. */
  readonly schedule: ContextSchedule | null;
  /** The number of this attempt, from 1. Every start counts, also one that crashed, was put off or was given back; `retry.attempts` limits
   *  failures alone. */
  readonly attempt: number;
  /** Aborts at the timeout, on cancel, when the lease is lost, and when the grace of a shutdown ends. */
  readonly signal: AbortSignal;
  /** Lines that are kept with the run. */
  readonly log: Log;
  /** Stores how far the run is, in numbers and in words; the newest value wins, at most two writes a second. */
  progress(value: number, detail?: string): void;
  /** The same for every attempt of this run: pass it to services that ignore repeats. */
  readonly idempotencyKey: string;
  /** Grows with every attempt: a resource that remembers the highest one can refuse a stale writer. */
  readonly fencingToken: number;
  /** Ends the run as completed, reason `skipped`. */
  skip(reason: string): never;
  /** Ends this attempt without spending it; the run starts again after `delay`. */
  snooze(delay: DurationText): never;
}
