/** A job as the engine sees it: types erased, defaults filled in, checked by `defineJob`. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Context } from "./context.ts";
import type { RetryPolicy } from "./retry.ts";
import type { NewSchedule } from "../port/target.ts";
import type { ErrorRecord } from "../port/text.ts";

/** Opened once a runtime, on first use, and closed when it stops; its value is `ctx[name]`. */
export interface ServiceSpec {
  readonly kind: "service";
  readonly name: string;
  open(): unknown;
  close(value: unknown): unknown;
}
/** Wraps each attempt; what it hands to `next` is added to the context. */
export interface MiddlewareSpec {
  readonly kind: "middleware";
  run(
    args: { readonly payload: unknown; readonly ctx: Context },
    next: (extra?: object) => Promise<unknown>,
  ): Promise<unknown>;
}

/** What a hook learns of the run that ended. `result` after success, `error` after failure. */
export interface Ended {
  /** `run_…` */
  readonly run: string;
  /** The job's id. */
  readonly job: string;
  /** Why, such as `timeout`; null where the status says it all. */
  readonly reason: string | null;
  /** Null unless it completed. */
  readonly result: unknown;
  /** The error that it ended with; null if there is none. */
  readonly error: ErrorRecord | null;
}
export interface HookSpecs {
  readonly onStart: ((payload: unknown, ctx: Context) => unknown) | null;
  readonly onSuccess: ((payload: unknown, ended: Ended, ctx: Context) => unknown) | null;
  readonly onFailure: ((payload: unknown, ended: Ended, ctx: Context) => unknown) | null;
  readonly onCancel: ((payload: unknown, ended: Ended, ctx: Context) => unknown) | null;
}

/** A declared schedule, checked. */
export interface DeclaredSchedule {
  /** "" if it does not have one. */
  readonly key: string;
  /** The schedule as stores take it, its functions asked again. `zone` is where its cron is read if it names none.
   *  @throws {InvalidInput} {InvalidPayload} */
  read(zone: string): NewSchedule | Promise<NewSchedule>;
}

export interface JobSpec {
  readonly id: string;
  readonly description: string | null;
  readonly schema: StandardSchemaV1;
  readonly output: StandardSchemaV1 | null;
  readonly queue: string;
  readonly priority: number;
  readonly tags: readonly string[];
  readonly retry: RetryPolicy;
  readonly timeoutMs: number;
  readonly ttlMs: number | null;
  readonly hooks: HookSpecs;
  readonly use: readonly (ServiceSpec | MiddlewareSpec)[];
  readonly schedules: readonly DeclaredSchedule[];
  readonly handler: (payload: unknown, ctx: Context) => unknown;
  /** JSON Schema text of the wire form of the input; null where the schema can't tell. Computed on first read. */
  readonly jsonSchema: string | null;
  /** The file that called `defineJob`, where known. */
  readonly file: string | null;
}
