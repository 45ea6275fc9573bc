/** What follows runs through processes, if somebody wants that: OpenTelemetry, behind a port. */
import type { Added, NewRun, RunRecord } from "./target.ts";
import type { ErrorRecord } from "./text.ts";

/** Names a span, as lines of logs do. */
export interface SpanIds {
  readonly trace_id: string;
  readonly span_id: string;
}

export interface Tracer {
  /** Adds runs within a span of its own; they carry its context. */
  send(runs: readonly NewRun[], add: (runs: readonly NewRun[]) => Promise<Answers>): Promise<Answers>;
  /** An attempt begins. */
  attempt(run: Attempted): Traced;
  /** The span that is active here, if any. */
  active(): SpanIds | undefined;
}
type Answers = readonly (Added | Error)[];

/** An attempt, as its span describes it. */
export interface Attempted extends Pick<RunRecord, "id" | "job" | "queue" | "priority" | "tags" | "options"> {
  readonly createdMs: number;
  /** By the store's clock, as `createdMs`. */
  readonly startedMs: number;
  /** Counts from 1. */
  readonly attempt: number;
}

/** The span of an attempt. */
export interface Traced {
  readonly ids: SpanIds;
  /** Calls the handler, with the span active. */
  run(call: () => void): void;
  /** The function of a step, so that each call has a span, below the one that is active now. */
  step<C extends Tried, A extends readonly unknown[], T>(
    name: string,
    fn: (tried: C, ...rest: A) => T | PromiseLike<T>,
  ): (tried: C, ...rest: A) => Promise<T>;
  /** Runs that a workflow is about to add: they carry the context of a span of their own. */
  send(runs: readonly NewRun[]): readonly NewRun[];
  /** The attempt is over. Only the first time counts. */
  end(came: Came): void;
}
/** One try of a step. */
export interface Tried {
  readonly attempt: number;
  readonly signal: AbortSignal;
}
/** What an attempt came to. */
export interface Came {
  /** `completed`, `error`, `timeout`, `snoozed` … */
  readonly to: string;
  /** Where it failed. */
  readonly error: ErrorRecord | null;
  /** Until the next attempt, where one follows. */
  readonly retryInMs: number | null;
}
