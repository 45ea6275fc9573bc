/** Runs, as they are shown. */
import { z } from "zod";
import { about, count, instant, jobId, meta, name, pageOf, priority, reason, runId, status, whole } from "./value.ts";

export const errorRecord = name(
  "Failure",
  z.object({ name: z.string(), message: z.string(), stack: z.string().nullable() }),
);

export const storedRetry = z.strictObject({
  attempts: z.int().min(1).max(1000).optional(),
  backoff: z.enum(["fixed", "exponential"]).optional(),
  delayMs: count.optional(),
  maxDelayMs: count.optional(),
  jitter: z.boolean().optional(),
});

const options = name(
  "RunOptions",
  z.object({
    retry: storedRetry.optional(),
    timeoutMs: count.optional(),
    hook: z.object({ kind: z.enum(["success", "failure", "cancel"]), of: whole }).optional(),
    schedule: z
      .object({ key: z.string(), tick: z.number(), previous: z.number().nullable(), next: z.number().nullable() })
      .optional(),
    dueMs: count.optional(),
    trace: z.record(z.string(), z.string()).optional(),
    parent: z.object({ run: whole, key: z.string() }).optional(),
  }),
);
export { options as runOptions };

const at = instant.nullable();

export const run = name(
  "Run",
  z.object({
    id: runId,
    job: jobId,
    queue: z.string(),
    priority,
    status,
    reason: about("Why it has its status, where that does not say it all", reason.nullable()),
    canceling: about("True while a cancel waits for the node that runs it", z.boolean()),
    dueAt: about("When it is to start, or was", instant),
    createdAt: instant,
    expiresAt: at,
    startedAt: about("Start of the latest attempt", at),
    finishedAt: about("End of the latest attempt", at),
    node: z.string().nullable(),
    attempt: about("Attempts that have ended", count),
    crashes: count,
    token: about("The fencing token of its latest lease", whole),
    tags: z.array(z.string()),
    key: about("Its idempotency key", z.string().nullable()),
    error: errorRecord.nullable(),
    progress: z.object({ value: z.number(), detail: z.string().nullable() }).nullable(),
    options: options.nullable(),
    replayOf: runId.nullable(),
    note: about("What `ctx.skip` was given", z.string().nullable()),
    version: z.string().nullable(),
    hook: z.object({ kind: z.enum(["success", "failure", "cancel"]), of: runId }).nullable(),
    schedule: z.object({ id: z.string(), tick: instant }).nullable(),
    payload: about("Natural JSON: a date is its ISO text", z.unknown()),
    payloadMeta: meta.optional(),
    result: about("Natural JSON; null unless it has completed", z.unknown()),
    resultMeta: meta.optional(),
  }),
);

export const runs = pageOf("Runs", run);

export const attempts = pageOf(
  "Attempts",
  name(
    "Attempt",
    z.object({
      run: runId,
      token: whole,
      n: about("Counts the run's attempts from 1", count),
      job: jobId,
      node: z.string().nullable(),
      startedAt: at,
      endedAt: instant,
      outcome: z.enum(["error", "timeout", "crashed", "snoozed", "released", "canceled", "parked"]),
      error: errorRecord.nullable(),
      retryAt: about("When the next attempt was planned", at),
    }),
  ),
);

export const logs = pageOf(
  "LogLines",
  name(
    "LogLine",
    z.object({
      run: runId,
      attempt: count,
      at: instant,
      level: z.enum(["debug", "info", "warn", "error"]),
      message: z.string(),
      data: z.unknown(),
    }),
  ),
);

/** The answer to a trigger. */
export const added = name(
  "Added",
  z.object({
    id: runId,
    created: about("False: the idempotency key already had a run, and this is that one", z.boolean()),
    conflict: about("True: that run has another payload", z.boolean()),
    asked: about(
      "It was to be replaced, and the node that has it was asked to give it back",
      z.literal(true),
    ).optional(),
    run: about("With `wait`, if the run has ended by then", run).optional(),
  }),
);
