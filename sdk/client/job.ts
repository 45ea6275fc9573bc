/** What a defined job is to those who trigger it. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { RunFailed } from "../port/error.ts";
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
  /** In a handler: makes a run and waits for its result, holding no slot meanwhile. It is made once, and canceled with this run.
   *  @throws {RunFailed} if it fails or is canceled. @throws {InvalidInput} outside of a handler */
  triggerAndWait(
    ...args: undefined extends StandardSchemaV1.InferInput<Schema>
      ? [payload?: StandardSchemaV1.InferInput<Schema>, options?: ChildOptions]
      : [payload: StandardSchemaV1.InferInput<Schema>, options?: ChildOptions]
  ): Promise<Result>;
  /** In a handler: makes many runs and waits for all, in order. `failure`: what happens when one does not complete. `collect` (default) waits for
   *  all, `throw` fails at once, `cancel` cancels the others and fails.
   *  @throws {RunFailed} for the first that does not complete, unless all are collected */
  batchTriggerAndWait(
    items: readonly BatchItem<StandardSchemaV1.InferInput<Schema>>[],
    options?: { readonly failure?: "collect" | "throw" | "cancel" | undefined },
  ): Promise<readonly ChildResult<Result>[]>;
}
export type AnyJob = Job;

/** Options of a run that a workflow waits for. */
export type ChildOptions = Omit<TriggerOptions, "tx" | "idempotencyKey">;

/** How a run ended that a workflow waited for. */
export type ChildResult<Result> =
  | { readonly ok: true; readonly run: string; readonly result: Result }
  | { readonly ok: false; readonly run: string; readonly error: RunFailed };

/** What a job's `trigger` takes. */
export type InputOf<J> = J extends { readonly schema: infer Schema extends StandardSchemaV1 }
  ? StandardSchemaV1.InferInput<Schema>
  : never;
/** What a job's `result()` resolves with. */
export type ResultOf<J> = J extends Job<string, StandardSchemaV1, infer Result> ? Result : never;
