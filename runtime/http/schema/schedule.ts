/** Schedules. */
import { z } from "zod";
import { storedRetry } from "./run.ts";
import { retry } from "./trigger.ts";
import { about, count, instant, jobId, meta, name, priority, reason, runId, span, status, when } from "./value.ts";

const dst = z.strictObject({
  gap: z.enum(["next", "skip"]).optional(),
  overlap: z.enum(["first", "last", "both"]).optional(),
});
const overlap = z.enum(["allow", "skip", "cancel"]);

/** When a schedule ticks, and what a tick does, as authors write it. */
export const ruleFields = {
  cron: about("5 or 6 fields, seconds first: `0 30 2 * * *`, `@daily`", z.string().max(1000)).optional(),
  timezone: about("IANA name, such as Europe/Paris", z.string().max(100)).optional(),
  dst: about("What happens at clock changes", dst).optional(),
  every: span.optional(),
  anchor: when.optional(),
  subSecond: z.boolean().optional(),
  runAt: about("Once", when).optional(),
  overlap: overlap.optional(),
  catchUp: z
    .union([z.enum(["none", "last"]), z.strictObject({ max: z.int().min(1).max(1000), within: span })])
    .optional(),
  spread: span.optional(),
  startsAt: when.optional(),
  endsAt: when.optional(),
  limit: z.int().min(1).optional(),
};
export const rule = name("ScheduleRule", z.strictObject(ruleFields));

const runsOf = {
  payload: about("What its runs get, as the job's schema takes it", z.unknown()).optional(),
  payloadMeta: meta.optional(),
  queue: about("Of its runs; the job's own by default", z.string().nullable()).optional(),
  priority: about("Of its runs; the job's own by default", priority.nullable()).optional(),
  tags: about("Added to the job's own", z.array(z.string()).max(10)).optional(),
};
const retried = { retry: about("Replaces parts of the job's policy", retry).optional() };
export const settings = name("ScheduleSettings", z.strictObject({ ...ruleFields, ...runsOf, ...retried }));

const ms = z.number().min(-8.64e15).max(8.64e15);
/** A rule as it is stored, with defaults filled in. */
export const storedRule = name(
  "StoredRule",
  z.strictObject({
    cron: z.string().optional(),
    timezone: z.string().optional(),
    dst: dst.optional(),
    everyMs: count.optional(),
    anchorMs: ms.optional(),
    atMs: ms.optional(),
    spreadMs: count.optional(),
    startsMs: ms.optional(),
    endsMs: ms.optional(),
    limit: z.int().min(1).optional(),
    retry: storedRetry.optional(),
    overlap,
    catchUp: z.strictObject({ max: count, withinMs: count.nullable() }),
  }),
);

const named = { job: jobId, key: about('"" where the job has one schedule', z.string().max(128)) };
export const upsert = name("NewSchedule", z.strictObject({ ...named, ...ruleFields, ...runsOf, ...retried }));
export const stored = name("StoredSchedule", z.strictObject({ ...named, rule: storedRule, ...runsOf }));

export const schedule = name(
  "Schedule",
  z.object({
    id: about("`job@key`, or the job alone where the key is empty", z.string()),
    ...named,
    rule: storedRule,
    payload: z.unknown(),
    payloadMeta: meta.optional(),
    queue: z.string().nullable(),
    priority: priority.nullable(),
    tags: z.array(z.string()),
    declared: about("Its job's code declares it", z.boolean()),
    paused: z.boolean(),
    nextAt: about("When its next run starts", instant.nullable()),
    lastTick: instant.nullable(),
    last: z.object({ run: runId, status, reason: reason.nullable() }).nullable(),
    count: about("How many runs it has made", count),
    served: about("A live node has its job", z.boolean()),
    createdAt: instant,
    updatedAt: instant,
  }),
);

export const tick = name(
  "Tick",
  z.object({
    tick: instant,
    dueAt: about("With the spread", instant),
    changes: about(
      "Clock changes since the tick before; offsets in minutes",
      z.array(z.object({ at: instant, before: z.number(), after: z.number() })),
    ),
  }),
);
