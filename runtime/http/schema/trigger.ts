/** What is triggered. */
import { z } from "zod";
import { about, jobId, meta, name, priority, span, when } from "./value.ts";

export const retry = z.strictObject({
  attempts: z.int().min(1).max(1000).optional(),
  backoff: z.enum(["fixed", "exponential"]).optional(),
  delay: span.optional(),
  maxDelay: span.optional(),
  jitter: z.boolean().optional(),
});

const key = z.string().min(1).max(256);

export const triggerOptions = name(
  "TriggerOptions",
  z.strictObject({
    delay: about("From now; not together with `runAt`", span).optional(),
    runAt: about("One in the past means now", when).optional(),
    idempotencyKey: about(
      "One key makes one run of a job, for any number of callers",
      z.union([
        key,
        z.strictObject({
          key,
          keep: about("How long a completed run still holds its key; 24h by default", span).optional(),
          onConflict: z.enum(["return", "replace", "error"]).optional(),
        }),
      ]),
    ).optional(),
    priority: about("0–9, higher first", priority).optional(),
    queue: z.string().optional(),
    tags: about("Added to the job's own; at most 10 together", z.array(z.string()).max(10)).optional(),
    ttl: about("It fails as `expired` if it has not started this long after it fell due", span).optional(),
    retry: retry.optional(),
    timeout: about("Of an attempt", span).optional(),
  }),
);

const fields = {
  payload: about(
    "Natural JSON, as the job's schema takes it; may be left out where that allows",
    z.unknown(),
  ).optional(),
  payloadMeta: meta.optional(),
  options: triggerOptions.optional(),
};

export const trigger = name("Trigger", z.strictObject(fields));
export const batchItem = name("BatchItem", z.strictObject({ job: jobId, ...fields }));
