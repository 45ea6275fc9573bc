import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { DurationText } from "../port/duration.ts";
import { InvalidInput, invalid } from "../port/error.ts";
import {
  checkKeys,
  checkName,
  checkPriority,
  checkSpan,
  checkTags,
  checkText,
  isList,
  type Priority,
} from "../port/option.ts";
import type { Context } from "./context.ts";
import { policy, type RetryDelay, type RetryOptions } from "./retry.ts";
import { declaredOf, type ScheduleOptions, type Several } from "./schedule.ts";
import { isSchema } from "./schema.ts";
import type { Ended, HookSpecs, JobSpec } from "./spec.ts";
import { refuseTaken, type ContextOf, type Extension } from "./use.ts";

/** What a handler may return: whatever `output` parses, or anything if there is no `output`. */
export type Returnable<Out> = Out extends StandardSchemaV1
  ? StandardSchemaV1.InferInput<Out> | Promise<StandardSchemaV1.InferInput<Out>>
  : unknown;
/** What `result()` resolves with: the output of `output`, or what the handler returns. */
export type ResultBy<Out, Returned> = Out extends StandardSchemaV1
  ? StandardSchemaV1.InferOutput<Out>
  : Awaited<Returned>;

/** Called when a run starts or has ended, at least once, whoever ended it. Each is tried like a run of its own, but for
 *  `onStart`. */
export interface Hooks<Payload, Result> {
  /** In each attempt, before the handler; if it throws, the attempt has failed. */
  readonly onStart?: ((payload: Payload, ctx: Context) => unknown) | undefined;
  /** After the run has completed. */
  readonly onSuccess?:
    ((payload: Payload, ended: Ended & { readonly result: Result }, ctx: Context) => unknown) | undefined;
  /** After the run has failed for good: by an error, a timeout, a crash or its ttl. */
  readonly onFailure?: ((payload: Payload, ended: Ended, ctx: Context) => unknown) | undefined;
  /** After the run was canceled. */
  readonly onCancel?: ((payload: Payload, ended: Ended, ctx: Context) => unknown) | undefined;
}

/** What `defineJob` takes. */
export interface JobOptions<
  Id extends string,
  Schema extends StandardSchemaV1,
  Out,
  Use extends readonly Extension[],
  Returned,
> {
  /** Unique in the store: 1–128 letters, digits and `_ . : / -`. */
  readonly id: Id;
  /** Any Standard Schema. `trigger` takes its input; the handler gets its output, parsed once per attempt. */
  readonly schema: Schema;
  /** Checks and types the result. */
  readonly output?: Out;
  /** Three attempts, exponential from 1s, by default. A function is asked after each failed attempt. */
  readonly retry?: RetryOptions | RetryDelay | undefined;
  /** Of one attempt; 15m by default. */
  readonly timeout?: DurationText | undefined;
  /** A run that has not started this long after it fell due fails as `expired`; never by default. */
  readonly ttl?: DurationText | undefined;
  /** `default` by default. */
  readonly queue?: string | undefined;
  /** 0–9, higher first; 0 by default. */
  readonly priority?: Priority | undefined;
  /** At most 10, of at most 128 characters. */
  readonly tags?: readonly string[] | undefined;
  /** For people; shown by `tasker jobs`. */
  readonly description?: string | undefined;
  /** When it runs by itself: one schedule or several, each with its payload. */
  readonly schedule?:
    | ScheduleOptions<StandardSchemaV1.InferInput<Schema>>
    | Several<ScheduleOptions<StandardSchemaV1.InferInput<Schema>>>
    | undefined;
  /** Called when a run starts or has ended. */
  readonly hooks?:
    | Hooks<
        StandardSchemaV1.InferOutput<Schema>,
        Out extends StandardSchemaV1 ? StandardSchemaV1.InferOutput<Out> : unknown
      >
    | undefined;
  /** Services and middleware; what they give is on `ctx`. */
  readonly use?: Use;
  /** Called in each attempt; what it returns, or resolves with, is the result. */
  readonly handler: (payload: StandardSchemaV1.InferOutput<Schema>, ctx: ContextOf<Use>) => Returned;
}

const keys: ReadonlySet<string> = new Set<keyof JobOptions<string, StandardSchemaV1, undefined, [], unknown>>([
  ...(["id", "schema", "output", "retry", "timeout", "ttl", "queue", "priority"] as const),
  ...(["tags", "description", "schedule", "hooks", "use", "handler"] as const),
]);

type Erased = JobOptions<string, StandardSchemaV1, StandardSchemaV1 | undefined, readonly Extension[], unknown>;

/** The options with their defaults, checked; types are erased.
 *  @throws {InvalidInput} naming the option that is invalid. */
export function specOf<
  Id extends string,
  Schema extends StandardSchemaV1,
  Out,
  Use extends readonly Extension[],
  Returned,
>(options: JobOptions<Id, Schema, Out, Use, Returned>, file: string | null): Omit<JobSpec, "jsonSchema"> {
  if (typeof options !== "object" || options === null)
    throw new InvalidInput("defineJob takes one object: { id, schema, handler }");
  // an attempt parses with `schema` and opens `use` before it calls: that proves payload and ctx
  const given = options as unknown as Omit<Erased, "handler" | "hooks"> &
    Pick<JobSpec, "handler"> & { readonly hooks?: Partial<HookSpecs> };
  const id = checkName("id", given.id);
  return explained(id, () => {
    checkKeys("defineJob", given, keys);
    checkParts(given);
    return {
      id,
      description: given.description === undefined ? null : checkText("description", given.description, 1000),
      schema: given.schema,
      output: given.output ?? null,
      queue: given.queue === undefined ? "default" : checkName("queue", given.queue),
      priority: given.priority === undefined ? 0 : checkPriority(given.priority),
      tags: given.tags === undefined ? [] : checkTags(given.tags),
      retry: policy(given.retry),
      timeoutMs: given.timeout === undefined ? 15 * 60_000 : checkSpan("timeout", given.timeout),
      ttlMs: given.ttl === undefined ? null : checkSpan("ttl", given.ttl),
      hooks: hooksOf(given.hooks ?? {}),
      use: extensionsOf(given.use ?? []),
      schedules: declaredOf({ id, schema: given.schema }, given.schedule),
      handler: given.handler,
      file,
    };
  });
}

function checkParts({ schema, output, handler }: Partial<Record<"schema" | "output" | "handler", unknown>>): void {
  if (!isSchema(schema))
    throw invalid(
      "schema",
      "schema is not a Standard Schema; write schema: z.object({ … }), or z.void() for no payload",
    );
  if (output !== undefined && !isSchema(output))
    throw invalid("output", "output is not a Standard Schema; leave it out or write z.object({ … })");
  if (typeof handler !== "function")
    throw invalid("handler", "handler is not a function; write handler: async (payload, ctx) => { … }");
}

const hookKeys = ["onStart", "onSuccess", "onFailure", "onCancel"] as const;

function hooksOf(hooks: Partial<HookSpecs>): HookSpecs {
  if (typeof hooks !== "object" || hooks === null) throw invalid("hooks", "hooks are not an object");
  checkKeys("hooks", hooks, new Set(hookKeys));
  for (const key of hookKeys)
    if (hooks[key] !== undefined && typeof hooks[key] !== "function")
      throw invalid(`hooks.${key}`, `hooks.${key} is not a function`);
  const { onStart = null, onSuccess = null, onFailure = null, onCancel = null } = hooks;
  return { onStart, onSuccess, onFailure, onCancel };
}

function extensionsOf(use: readonly Extension[]): JobSpec["use"] {
  if (
    !isList(use) ||
    !use.every((one: Partial<Extension> | null) => one?.kind === "service" || one?.kind === "middleware")
  )
    throw invalid("use", "use is not a list of what defineService and defineMiddleware make");
  const names = use.flatMap((one) => (one.kind === "service" ? [one.name] : []));
  refuseTaken(names);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) throw invalid("use", `use has two services named "${twice}"; rename one of them`);
  return [...use];
}

function explained<T>(id: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    if (cause instanceof InvalidInput)
      throw new InvalidInput(`job "${id}": ${cause.message}`, { path: cause.path ?? undefined, cause });
    throw cause;
  }
}
