import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { DurationText } from "../port/duration.ts";
import type { RetryDelay, RetryOptions } from "./retry.ts";
import type { EventSpec } from "./event.ts";

/** What a step's function is given. */
export interface StepContext {
  /** Aborts with `ctx.signal`, and at the step's timeout. */
  readonly signal: AbortSignal;
  /** Counts the tries of this step from 1. */
  readonly attempt: number;
  /** The same for every try of this step, and no other step's: pass it to services that ignore repeats. */
  readonly idempotencyKey: string;
}
export interface StepOptions {
  /** The job's own by default. Tries of a step spend no attempt of the run. */
  readonly retry?: RetryOptions | RetryDelay | undefined;
  /** Of one try; none by default. The attempt's own timeout holds, too. */
  readonly timeout?: DurationText | undefined;
}

/** How to wait for an event. */
export interface WaitOptions<Payload> {
  /** Passes by what it answers false for; that stays for another wait. Must be a pure function. */
  readonly match?: ((payload: Payload) => boolean) | undefined;
  /** Of a wait for an event that is named, not defined. */
  readonly schema?: StandardSchemaV1<unknown, Payload> | undefined;
}
/** With a time limit, a wait may come to nothing. */
export interface LimitedWait<Payload> extends WaitOptions<Payload> {
  /** The wait resolves with null after this. */
  readonly timeout: DurationText;
}

/** A token that a person or another system answers, once: hand out its `id`. */
export interface Token<Payload> {
  /** `tok_…`; `complete(id, payload)` answers it. Whoever has it can do so. */
  readonly id: string;
  /** Resolves with the answer. */
  wait(): Promise<Payload>;
  /** Resolves with null if none came in time. */
  wait(options: { readonly timeout: DurationText }): Promise<Payload | null>;
}

/** Where `ctx.tx` gets its transactions: a pool of pg, a Kysely, or a function that runs work in one, such as `(work) => db.transaction(work)`
 *  for Drizzle and `(work) => sql.begin(work)` for postgres.js. */
export type TxSource<T> =
  | ((work: (tx: T) => Promise<void>) => Promise<unknown>)
  | { transaction(): { execute(work: (tx: T) => Promise<void>): Promise<unknown> } }
  | { connect: { (): Promise<T>; (callback: never): void } };

/** Durable parts of a handler. What one of these resolved with is remembered: a later attempt runs the handler from its top, and gets the same
 *  answers without doing the work again. So what is outside of steps must do the same each time it is run. */
export interface Workflow {
  /** Calls `fn`, and goes on once its result is stored. A later attempt gets the stored result, and does not call `fn`.
   *  A name that is used again gets a number: `charge`, `charge#2`.
   *  @throws {StepFailed} once its tries are spent; again in each later attempt */
  step<T>(name: string, fn: (step: StepContext) => T | PromiseLike<T>, options?: StepOptions): Promise<T>;
  /** Waits. From a second on, no slot, no connection and no memory of a process is held. */
  sleep(delay: DurationText): Promise<void>;
  sleep(name: string, delay: DurationText): Promise<void>;
  /** Waits until an instant of the store's clock; not at all if that is past. */
  sleepUntil(instant: Date): Promise<void>;
  sleepUntil(name: string, instant: Date): Promise<void>;
  /** Waits for what `signal` sends to this run; what was sent before counts, too, in the order in which it was sent. Each one is taken once.
   *  What does not match the schema is passed by, with a line in the run's log. */
  waitFor<Payload>(event: EventSpec<string, Payload> | string, options: LimitedWait<Payload>): Promise<Payload | null>;
  waitFor<Payload>(event: EventSpec<string, Payload> | string, options?: WaitOptions<Payload>): Promise<Payload>;
  /** A step whose rows and whose result commit together: `fn` writes in a transaction of `db`, which must be the database of the store. So it takes
   *  effect exactly once, whatever fails.
   *  @throws {StepFailed} as `step` does. @throws {NotSupported} on a store without transactions */
  tx<T, Client>(
    db: TxSource<Client>,
    fn: (tx: Client, step: StepContext) => T | PromiseLike<T>,
    options?: Omit<StepOptions, "timeout"> & { readonly name?: string | undefined },
  ): Promise<T>;
  /** Makes a token that is answered with `complete(token.id, payload)`. */
  token<Payload = unknown>(options?: {
    readonly schema?: StandardSchemaV1<unknown, Payload> | undefined;
  }): Promise<Token<Payload>>;
  /** Whether this run reached this place first with the code that has this change: false in runs that had been past it before. */
  version(change: string): Promise<boolean>;
}
