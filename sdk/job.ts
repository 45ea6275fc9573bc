/** Where a job's definition meets the verbs of application code. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { batchTriggerAndWait, triggerAndWait } from "./client/child.ts";
import type { Job } from "./client/job.ts";
import { triggerBatch, triggerJob } from "./client/trigger.ts";
import { frameOf } from "./port/frame.ts";
import { specOf, type JobOptions, type ResultBy, type Returnable } from "./define/job.ts";
import { jsonSchemaOf } from "./define/schema.ts";
import type { Extension } from "./define/use.ts";

/** Defines a job. Defining it starts nothing: a runtime runs the jobs that it is given, `tasker start` those that job
 *  files export.
 *  @throws {InvalidInput} naming the option that is invalid. */
export function defineJob<
  const Id extends string,
  Schema extends StandardSchemaV1,
  Returned extends Returnable<Out>,
  Out extends StandardSchemaV1 | undefined = undefined,
  const Use extends readonly Extension[] = [],
>(options: JobOptions<Id, Schema, Out, Use, Returned>): Job<Id, Schema, ResultBy<Out, Returned>> {
  return jobOf(options, definedIn(defineJob));
}

/** A job that is defined in a given file. */
export function jobOf<
  Id extends string,
  Schema extends StandardSchemaV1,
  Out,
  const Use extends readonly Extension[],
  Returned,
>(options: JobOptions<Id, Schema, Out, Use, Returned>, file: string | null): Job<Id, Schema, ResultBy<Out, Returned>> {
  const spec = specOf(options, file);
  let jsonSchema: string | null | undefined;
  const job: Job<Id, Schema, ResultBy<Out, Returned>> = {
    ...spec,
    id: options.id,
    schema: options.schema,
    get jsonSchema() {
      if (jsonSchema === undefined) jsonSchema = jsonSchemaOf(options.schema);
      return jsonSchema;
    },
    trigger: (...[payload, triggerOptions]) => triggerJob(job, payload, triggerOptions),
    batchTrigger: (items, batchOptions) => triggerBatch(job, items, batchOptions),
    triggerAndWait: (...[payload, childOptions]) => triggerAndWait(job, payload, childOptions),
    batchTriggerAndWait: (items, batchOptions) => batchTriggerAndWait(job, items, batchOptions),
  };
  return job;
}

/** The file of whoever called `callee`; null where the stack does not tell. */
export function definedIn(callee: (...args: never[]) => unknown): string | null {
  const holder: { stack?: string } = {};
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = 1;
  Error.captureStackTrace(holder, callee);
  Error.stackTraceLimit = before;
  return (
    String(holder.stack)
      .split("\n")
      .map(frameOf)
      .find((place) => place !== null)?.file ?? null
  );
}
