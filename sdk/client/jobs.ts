/** Jobs that a program knows by their ids alone. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { AnyJob, Job } from "./job.ts";

/** By a job's id what `trigger` takes as `input`, and what `result()` gives as `output`. A file that `tasker types` writes fills it
 *  in; while it is empty, any id goes, with any payload. */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- it is there to be merged into
export interface Jobs {}

/** The ids of `Jobs`. */
export type JobId = Extract<keyof Jobs, string>;

/** A job of `Jobs`, as far as its id tells: `schedules.upsert<KnownJob<"remind">>({ job: "remind", … })`. */
export type KnownJob<Id extends JobId = JobId> = {
  [I in Id]: Jobs[I] extends { readonly input: infer Input; readonly output: infer Output }
    ? Job<I, StandardSchemaV1<Input>, Output>
    : never;
}[Id];

/** What a call by id may name: the jobs of `Jobs`, or any job while that is empty. */
export type Triggerable = [JobId] extends [never] ? AnyJob : KnownJob;
