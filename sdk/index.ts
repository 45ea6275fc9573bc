/** What authors and applications import. Nothing else of this folder is public. */
export { defineJob } from "./job.ts";
export { flow } from "./flow.ts";
export type { Before, Branch, Chain, EndOf, Fed, FlowJob, FlowOptions, FlowStep, With } from "./flow.ts";
export type { Hooks, JobOptions, ResultBy, Returnable } from "./define/job.ts";
export type {
  AnyJob,
  BatchItem,
  BatchOptions,
  ChildOptions,
  ChildResult,
  InputOf,
  Job,
  ResultOf,
  TriggerArgs,
} from "./client/job.ts";
export type { KeyOptions, TriggerOptions } from "./client/option.ts";
export type * from "./client/jobs.ts"; // all of it: only what `export *` gives can be merged into from outside
export { complete, signal, signalWithTrigger } from "./client/signal.ts";
export type { SignalOf, SignalOptions } from "./client/signal.ts";
export { trigger } from "./client/trigger.ts";
export type { ById } from "./client/trigger.ts";
export type { RunHandle } from "./client/handle.ts";
export { defineMiddleware, defineService } from "./define/use.ts";
export type { ContextOf, Extension, Extras, FreeName, Middleware, Next, Passed, Service, Taken } from "./define/use.ts";
export type { RetryDelay, RetryOptions } from "./define/retry.ts";
export { RetryAfterError, snooze } from "./define/signal.ts";

export { close, configure, defineConfig } from "./client/config.ts";
export type { Config, Connection } from "./client/config.ts";
export type { Webhook } from "./client/webhook.ts";

export type { HttpToken, Role, Tokens } from "./client/token.ts";

export type { History, Plain } from "./client/history.ts";
export type { Fix } from "./client/mend.ts";
export type { ReplayOptions } from "./client/replay.ts";
export { nodes, queues, runs, stats } from "./client/runs.ts";
export type { EventQuery } from "./client/events.ts";
export type { FeedEvent } from "./client/hub.ts";
export type { Attempt, Change, LogLine, PurgeQuery, RunQuery, RunRef } from "./client/runs.ts";
export { schedules } from "./client/schedules.ts";
export type { PreviewTick, Schedule, ScheduleQuery, ScheduleRef, Upsert } from "./client/schedules.ts";
export type { RunsOf, ScheduleOptions, Several } from "./define/schedule.ts";
export type { CronWhen, EveryWhen, OnceWhen, TickPolicy, When } from "./define/rule.ts";
export type { Dst } from "./cron/cron.ts";
export type { Run } from "./client/run.ts";
export type { Percentiles, Point, Series, SeriesQuery } from "./client/series.ts";
export type { Why } from "./client/why.ts";
export type { Because, Place } from "./client/why/because.ts";
export { defineEvent } from "./define/event.ts";
export type { EventSpec } from "./define/event.ts";
export type { LimitedWait, StepContext, StepOptions, Token, TxSource, WaitOptions, Workflow } from "./define/flow.ts";
export type { Context, ContextRun, ContextSchedule, Log } from "./define/context.ts";
export type { DurationText } from "./port/duration.ts";
export type {
  Event,
  Gap,
  NodeEvent,
  OfSchedule,
  OfTick,
  PurgeEvent,
  QueueEvent,
  RunEvent,
  ScheduleEvent,
} from "./port/event.ts";
export type { Priority } from "./port/option.ts";
export type { Ended } from "./define/spec.ts";
export type { Final, Reason, Status } from "./port/status.ts";
export type {
  Counts,
  HookKind,
  NodeStat,
  Page,
  Paging,
  Progress,
  QueueRecord,
  QueueStat,
  RateStat,
  Rule,
  Stats,
  Tx,
} from "./port/target.ts";
export type { ErrorRecord } from "./port/text.ts";

export {
  AbortError,
  AttemptTimeout,
  CallsMixed,
  Diverged,
  DuplicateJob,
  InvalidInput,
  InvalidPayload,
  JobNotFound,
  KeyConflict,
  LeaseLost,
  NotConfigured,
  NotSupported,
  NotStorable,
  RunCanceled,
  RunFailed,
  RunNotFound,
  ScheduleNotFound,
  StepFailed,
  StepTimeout,
  JournalFull,
  Stopping,
  StoreUnavailable,
  StoreUnusable,
  TaskerError,
  WaitTimeout,
  WrongState,
} from "./port/error.ts";
export type { Issue } from "./port/error.ts";
