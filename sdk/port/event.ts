/** What happens to runs, schedules, queues and nodes, and which of it somebody wants to hear. */
import { homeOf } from "./pin.ts";
import type { Status } from "./status.ts";
import type { Progress } from "./target.ts";
import type { ErrorRecord } from "./text.ts";

/** What happened to a run. `run.failed` is final only: an attempt's error that is tried again comes with `run.retrying`.
 *  Ends are published once the store has recorded them. */
export interface RunEvent {
  readonly type:
    | "run.scheduled"
    | "run.started"
    | "run.progress"
    | "run.completed"
    | "run.retrying"
    | "run.failed"
    | "run.canceled"
    | "run.waiting"
    | "run.resumed"
    | "run.edited"
    | "run.deleted"
    | "step.completed";
  /** By the store's clock. */
  readonly at: Date;
  /** `run_…` */
  readonly run: string;
  /** The job's id. */
  readonly job: string;
  readonly queue: string;
  readonly tags: readonly string[];
  /** Counts from 1; 0 before the first. */
  readonly attempt: number;
  /** Of the attempt that ended, or of the last try of the step. */
  readonly durationMs?: number;
  /** Of the attempt that failed. */
  readonly error?: ErrorRecord | null;
  /** Of `run.retrying`: until the next attempt. */
  readonly retryInMs?: number;
  /** Why the run has its status, such as `timeout`. Of `run.resumed`, why it goes on: `sleep` for an instant that has come, `signal`, `timeout` for the time
   *  limit of a wait, `child`, or `parked` for a journal that was mended; `canceled` or `failed` where a person's act brought it back from that. */
  readonly reason?: string | null;
  /** Of `step.completed`: the step's name, with its number where it has one. */
  readonly step?: string;
  /** Of `run.progress`. */
  readonly progress?: Progress;
}

/** Finished runs were deleted by a filter. */
export interface PurgeEvent {
  readonly type: "runs.purged";
  /** By the store's clock. */
  readonly at: Date;
  readonly count: number;
}

/** What happened to a node. */
export interface NodeEvent {
  readonly type: "node.started" | "node.stopping" | "node.stopped";
  /** By the store's clock. */
  readonly at: Date;
  /** The node's name. */
  readonly node: string;
}

/** What an act did to a queue. */
export interface QueueEvent {
  readonly type: "queue.paused" | "queue.resumed";
  /** By the store's clock. */
  readonly at: Date;
  readonly queue: string;
}

export interface OfSchedule {
  /** By the store's clock. */
  readonly at: Date;
  /** `job@key`, or the job alone where it has one schedule. */
  readonly schedule: string;
  readonly job: string;
}
export interface OfTick extends OfSchedule {
  /** The rule's instant, before any spread. */
  readonly tick: Date;
}
/** What a schedule's tick came to, or what an act did to the schedule. */
export type ScheduleEvent =
  | (OfTick & { readonly type: "schedule.ticked"; readonly run: string })
  /** Ticks without a run, `from` the oldest to `tick`. `overlap`: a run of it is live. `missed`: nobody was up, and `catchUp` does not
   *  want them. */
  | (OfTick & { readonly type: "schedule.skipped"; readonly from: Date; readonly reason: "overlap" | "missed" })
  /** `changed`: it was made or replaced. */
  | (OfSchedule & {
      readonly type: "schedule.changed" | "schedule.paused" | "schedule.resumed" | "schedule.removed";
    });

/** Whatever happens. */
export type Event = RunEvent | PurgeEvent | NodeEvent | QueueEvent | ScheduleEvent;
/** An event whose instant is yet to be filled in. */
export type Untimed = Event extends infer E ? (E extends Event ? Omit<E, "at"> : never) : never;

/** Stands where events were lost. */
export interface Gap {
  readonly type: "gap";
  /** By the store's clock. */
  readonly at: Date;
  /** How many; null: nobody knows. */
  readonly lost: number | null;
  /** The node that ended without a word: its last tenth of a second is missing. */
  readonly node?: string;
}

/** Which events. Fields are combined with AND, their values with OR, except `tags`, which must all be there. Node events have
 *  no job, queue, run or tags, and those of schedules no queue and tags, so a filter that asks for one leaves them out. */
export interface Filter {
  readonly types?: readonly Event["type"][] | undefined;
  /** Those after which a run has one of these statuses. */
  readonly statuses?: readonly Status[] | undefined;
  /** Ids of jobs. */
  readonly jobs?: readonly string[] | undefined;
  /** Runs that are pinned to a version count to the queue that they were added to. */
  readonly queues?: readonly string[] | undefined;
  /** `run_…` */
  readonly runs?: readonly string[] | undefined;
  /** All of them must be there. */
  readonly tags?: readonly string[] | undefined;
}

/** Each type, and the status that a run has after it. */
const after = {
  "run.scheduled": "pending",
  "run.started": "running",
  "run.progress": "running",
  "run.completed": "completed",
  "run.retrying": "pending",
  "run.failed": "failed",
  "run.canceled": "canceled",
  "run.waiting": "waiting",
  "run.resumed": "running",
  "run.edited": "pending",
  "run.deleted": null,
  "step.completed": "running",
  "runs.purged": null,
  "node.started": null,
  "node.stopping": null,
  "node.stopped": null,
  "queue.paused": null,
  "queue.resumed": null,
  "schedule.ticked": null,
  "schedule.skipped": null,
  "schedule.changed": null,
  "schedule.paused": null,
  "schedule.resumed": null,
  "schedule.removed": null,
} as const satisfies Record<Event["type"], Status | null>;

export const eventTypes = Object.keys(after) as readonly Event["type"][];

/** Runs that a person's act brought back wait; a workflow that goes on runs. */
function statusAfter(event: Event): Status | null {
  if (event.type !== "run.resumed") return after[event.type];
  return event.reason === "canceled" || event.reason === "failed" ? "pending" : after[event.type];
}

export function matches(filter: Filter, event: Event): boolean {
  const { types, statuses, jobs, queues, runs, tags } = filter;
  if (types && !types.includes(event.type)) return false;
  if (statuses) {
    const status = statusAfter(event);
    if (status === null || !statuses.includes(status)) return false;
  }
  if (!jobs && !queues && !runs && !tags) return true;
  const about = event as Partial<RunEvent>;
  const isOne = (value: string | undefined, of?: readonly string[]): boolean =>
    !of || (value !== undefined && of.includes(value));
  const own = about.tags;
  return (
    isOne(about.job, jobs) &&
    isOne(about.queue && homeOf(about.queue), queues) &&
    isOne(about.run, runs) &&
    (!tags || (own !== undefined && tags.every((tag) => own.includes(tag))))
  );
}
