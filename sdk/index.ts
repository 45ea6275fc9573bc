/** What authors and applications import. Nothing else of this folder is public. */
export { defineJob } from "./job.ts";
export type { AnyJob, Hooks, InputOf, Job, JobOptions, ResultBy, ResultOf, Returnable } from "./job.ts";
export type * from "./jobs.ts"; // all of it: only what `export *` gives can be merged into from outside
export { trigger } from "./trigger.ts";
export type { BatchItem, BatchOptions, ById, KeyOptions, TriggerArgs, TriggerOptions } from "./trigger.ts";
export type { RunHandle } from "./handle.ts";
export { defineMiddleware, defineService } from "./use.ts";
export type { ContextOf, Extension, Extras, FreeName, Middleware, Next, Passed, Service, Taken } from "./use.ts";
export type { RetryDelay, RetryOptions } from "./retry.ts";
export { RetryAfterError, snooze } from "./signal.ts";

export { close, configure, defineConfig } from "./config.ts";
export type { Config, Connection } from "./config.ts";
export type { Openable } from "./source.ts";

export { nodes, queues, runs, stats } from "./desk.ts";
export type { Attempt, Change, LogLine, PurgeQuery, RunQuery, RunRef } from "./desk.ts";
export { schedules } from "./schedules.ts";
export type { PreviewTick, Schedule, ScheduleQuery, ScheduleRef, Upsert } from "./schedules.ts";
export type { DeclaredSchedule, RunsOf, ScheduleOptions } from "./schedule.ts";
export type { CronWhen, EveryWhen, OnceWhen, TickPolicy, When } from "./rule.ts";
export type { Dst } from "./cron.ts";
export type { Run } from "./run.ts";
export type { Context, ContextRun, ContextSchedule, Log } from "./context.ts";
export type { DurationText } from "./duration.ts";
export type { Ended, HookSpecs, JobSpec, MiddlewareSpec, RetryFunction, RetryPolicy, ServiceSpec } from "./spec.ts";
export type { Wire } from "./codec.ts";
export type { Final, Reason, Status } from "./status.ts";
export type {
  Act,
  Added,
  Adds,
  AttemptRecord,
  Desk,
  Edit,
  ErrorRecord,
  Find,
  HookKind,
  JobRecord,
  LogRecord,
  NewKey,
  NewRun,
  NewSchedule,
  NodeStat,
  Page,
  Paging,
  Progress,
  QueueRecord,
  QueueStat,
  RateStat,
  Rule,
  RunFilter,
  RunOptions,
  RunRecord,
  ScheduleFilter,
  ScheduleName,
  ScheduleRecord,
  Schedules,
  Stats,
  Target,
  TickInfo,
  Tx,
} from "./target.ts";

export {
  AbortError,
  AttemptTimeout,
  DuplicateJob,
  InvalidInput,
  InvalidPayload,
  JobNotFound,
  KeyConflict,
  LeaseLost,
  NotConfigured,
  NotStorable,
  RunCanceled,
  RunFailed,
  RunNotFound,
  ScheduleNotFound,
  Stopping,
  StoreUnavailable,
  StoreUnusable,
  TaskerError,
  WaitTimeout,
  WrongState,
} from "./error.ts";
export type { Issue } from "./error.ts";
