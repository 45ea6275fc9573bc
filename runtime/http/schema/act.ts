/** Acts on runs. */
import { z } from "zod";
import { entryKinds } from "../../../sdk/port/flow.ts";
import { runOptions } from "./run.ts";
import { about, count, instant, jobId, meta, name, priority, reason, runId, span, status, when } from "./value.ts";

/** Which runs: fields are combined with AND, lists with OR, but for tags, which must all be there. */
export const filterFields = {
  ids: z.array(runId).optional(),
  status: z.array(status).optional(),
  reason: z.array(reason).optional(),
  job: z.array(jobId).optional(),
  queue: z.array(z.string()).optional(),
  tags: about("All of them must be there", z.array(z.string())).optional(),
  key: about("The idempotency key", z.string()).optional(),
  createdAfter: when.optional(),
  createdBefore: when.optional(),
  finishedAfter: when.optional(),
  finishedBefore: when.optional(),
  payload: about(
    "Fields of the payload by dotted path, compared as text",
    z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  ).optional(),
  error: about("A part of the error's name or message", z.string()).optional(),
  hooks: about("With the runs that execute hooks", z.boolean()).optional(),
};
export const filter = name("RunFilter", z.strictObject(filterFields));

export const many = {
  ids: about("These runs; or a filter", z.array(runId).min(1).max(10_000)).optional(),
  filter: about("All runs that match, at most 100,000; without a status, those that the act takes", filter).optional(),
  preview: about("Only answers how many there are", z.boolean()).optional(),
};

export const fix = z.strictObject({
  renameStep: z.strictObject({ from: z.string(), to: z.string() }).optional(),
  skip: z.string().optional(),
  from: z.string().optional(),
  pin: about(
    "Only nodes with this version of the code take it from now on; true: that of its journal; false: all do",
    z.union([z.string().min(1).max(256), z.boolean()]),
  ).optional(),
});

/** What became of an act on a run. */
export const act = name(
  "Act",
  z.object({
    id: runId,
    done: about(
      "`done`, or `asked` of the node that holds it; `refused`: it is in another state; `missing`: it is not there",
      z.enum(["done", "asked", "refused", "missing"]),
    ),
    status: about("What it is now, where that is known", status.nullable()),
    made: about("The new run, where the act makes one", runId).optional(),
    why: about("What else than its state was against it", z.string()).optional(),
  }),
);
export const acts = name(
  "Acts",
  z.object({ matched: about("How many runs there are", count), items: about("Empty for a preview", z.array(act)) }),
);
export const acted = name("Acted", z.object({ id: runId, done: z.enum(["done", "asked"]) }));

export const replay = z.strictObject({
  from: about("Of a workflow: the step that is done again, with all that came after it", z.string()).optional(),
  payload: about("Instead of that of the old run", z.unknown()).optional(),
  payloadMeta: meta.optional(),
});

export const change = name(
  "Change",
  z.strictObject({
    runAt: about("One in the past means now", when).optional(),
    delay: about("From now; not together with `runAt`", span).optional(),
    payload: about("Checked as by a trigger", z.unknown()).optional(),
    payloadMeta: meta.optional(),
    attempts: about("All tries", z.int().min(1).max(1000)).optional(),
    priority: priority.optional(),
  }),
);

export const entry = name(
  "Entry",
  z.object({
    n: about("Its place in the journal, from 1", z.int().min(1)),
    kind: z.enum(entryKinds),
    key: z.string(),
    at: instant,
    value: about("Natural JSON; absent where it has none", z.unknown()).optional(),
    valueMeta: meta.optional(),
    data: about("What else is known: the error, the instant, the sender", z.record(z.string(), z.unknown()).nullable()),
    runs: about("Runs that it made", z.array(runId).nullable()),
  }),
);

/** A run as a store takes it: what a client that knows the job's definition has worked out. */
export const newRun = name(
  "NewRun",
  z.strictObject({
    job: jobId,
    queue: z.string().min(1).max(128),
    priority,
    dueAt: about("Null: `delayMs` from now", when.nullable()),
    delayMs: count,
    payload: z.unknown().optional(),
    payloadMeta: meta.optional(),
    tags: z.array(z.string().max(128)).max(10),
    key: z
      .strictObject({
        key: z.string().min(1).max(256),
        keepMs: count,
        onConflict: z.enum(["return", "replace", "error"]),
        hash: about("Of the payload, to tell a repeat from a conflict", z.string().max(128)),
        always: about("A run that failed or was canceled holds it, too", z.boolean()).optional(),
      })
      .nullable(),
    ttlMs: count.nullable(),
    options: runOptions.nullable(),
    replayOf: runId.nullable(),
    attach: z.boolean().optional(),
    journal: about(
      "Of a run that replays another: what its handler is given from the start",
      z.array(entry),
    ).optional(),
  }),
);
