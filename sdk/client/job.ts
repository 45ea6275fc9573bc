/** What a defined job is to those who trigger it. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { JobSpec } from "../define/spec.ts";
import type { Tx } from "../port/target.ts";
import type { RunHandle } from "./handle.ts";
import type { TriggerOptions } from "./option.ts";

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
