/** What a defined job is to those who trigger it. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { RetryOptions } from "../define/retry.ts";
import type { JobSpec } from "../define/spec.ts";
import type { DurationText } from "../port/duration.ts";
import type { Priority } from "../port/option.ts";
import type { Tx } from "../port/target.ts";
import type { RunHandle } from "./handle.ts";

/** One key makes one run of a job, for any number of callers. */
export interface KeyOptions {
  /** 1–256 characters. */
  readonly key: string;
  /** How long a completed run still holds its key, after its end; 24h by default. A failed or canceled one frees it at
   *  once. */
  readonly keep?: DurationText | undefined;
  /** If the key has a run: `return` it (default), `replace` it while it has not started, or fail with KeyConflict. */
  readonly onConflict?: "return" | "replace" | "error" | undefined;
}

export interface TriggerOptions {
  /** From now, by the store's clock. Not together with `runAt`. */
  readonly delay?: DurationText | undefined;
  /** One in the past means now. */
  readonly runAt?: Date | undefined;
  readonly idempotencyKey?: string | KeyOptions | undefined;
  /** 0–9, higher first among the due runs of a queue; the job's by default. */
  readonly priority?: Priority | undefined;
  readonly queue?: string | undefined;
  /** Added to the job's own: at most 10 together. */
  readonly tags?: readonly string[] | undefined;
  /** The run fails as `expired` if it has not started this long after it fell due. */
  readonly ttl?: DurationText | undefined;
  /** Replaces parts of the job's policy, for this run. */
  readonly retry?: RetryOptions | undefined;
  readonly timeout?: DurationText | undefined;
  /** A pg client in a transaction, or a transaction of Kysely, Drizzle or postgres.js: the run exists exactly if that commits. */
  readonly tx?: Tx | undefined;
}

/** Options of one item of a batch; its transaction is the batch's. */
export type BatchOptions = Omit<TriggerOptions, "tx">;
export type BatchItem<Input> = undefined extends Input
  ? { readonly payload?: Input; readonly options?: BatchOptions | undefined }
  : { readonly payload: Input; readonly options?: BatchOptions | undefined };

/** Payload and options; a payload that may be undefined may be left out. */
export type TriggerArgs<Input> = undefined extends Input
  ? [payload?: Input, options?: TriggerOptions]
  : [payload: Input, options?: TriggerOptions];

/** A defined job: what the engine runs, and what application code triggers. */
export interface Job<
  Id extends string = string,
  Schema extends StandardSchemaV1 = StandardSchemaV1,
  Result = unknown,
> extends JobSpec {
  readonly id: Id;
  readonly schema: Schema;
  /** Adds one run. It is durable once this resolves, or once `tx` commits.
   *  @throws {InvalidPayload} {NotStorable} {InvalidInput} {KeyConflict} {NotConfigured} {StoreUnavailable} */
  trigger(...args: TriggerArgs<StandardSchemaV1.InferInput<Schema>>): Promise<RunHandle<Result>>;
  /** Adds many, as many single triggers would: a handle or an error per item, in order. Any number; the store takes
   *  1000 at a time. */
  batchTrigger(
    items: readonly BatchItem<StandardSchemaV1.InferInput<Schema>>[],
    options?: { readonly tx?: Tx | undefined },
  ): Promise<readonly (RunHandle<Result> | Error)[]>;
}
export type AnyJob = Job;

/** What a job's `trigger` takes. */
export type InputOf<J> = J extends { readonly schema: infer Schema extends StandardSchemaV1 }
  ? StandardSchemaV1.InferInput<Schema>
  : never;
/** What a job's `result()` resolves with. */
export type ResultOf<J> = J extends Job<string, StandardSchemaV1, infer Result> ? Result : never;
