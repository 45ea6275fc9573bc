import {
  context,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Context,
  type Span,
  type Tracer as Api,
} from "@opentelemetry/api";
import type { NewRun } from "../port/target.ts";
import { errorRecord, type ErrorRecord } from "../port/text.ts";
import type { Attempted, Came, SpanIds, Traced, Tried } from "../port/trace.ts";
import { processing, sending, spanName } from "./attribute.ts";
import { carried, carrying, isBatch } from "./carrier.ts";

/** How spans are made. */
export interface Making {
  readonly api: Api;
  /** A run that starts this long after its trigger has a trace of its own; ms. */
  readonly followMs: number;
  readonly baggage: boolean;
}

/** The span of one attempt, below that of the trigger, or linked to it. */
export class AttemptSpan implements Traced {
  readonly ids: SpanIds;
  readonly #making: Making;
  readonly #span: Span;
  readonly #context: Context;
  #over = false;

  constructor(run: Attempted, making: Making) {
    const from = carried(run.options?.trace);
    const sender = trace.getSpanContext(from);
    const isNear = !isBatch(run.options?.trace) && run.startedMs - run.createdMs <= making.followMs;
    const base = sender && isNear ? from : trace.deleteSpan(from);
    const options = {
      kind: SpanKind.CONSUMER,
      attributes: processing(run),
      ...(sender && !isNear && { links: [{ context: sender }] }),
    };
    this.#making = making;
    this.#span = making.api.startSpan(spanName("process", run.job), options, base);
    this.#context = trace.setSpan(base, this.#span);
    this.ids = idsOf(this.#span);
  }

  run(call: () => void): void {
    context.with(this.#context, call);
  }

  step<C extends Tried, A extends readonly unknown[], T>(
    name: string,
    fn: (tried: C, ...rest: A) => T | PromiseLike<T>,
  ): (tried: C, ...rest: A) => Promise<T> {
    const around = context.active() === ROOT_CONTEXT ? this.#context : context.active();
    return (tried, ...rest) => {
      const attributes = { "tasker.step.name": name, "tasker.step.attempt": tried.attempt };
      const span = this.#making.api.startSpan(`step ${name}`, { attributes }, around);
      const { signal } = tried;
      let over = false;
      const stopped = (): void => end(errorRecord(signal.reason));
      const end = (error: ErrorRecord | null): void => {
        if (over) return;
        over = true;
        signal.removeEventListener("abort", stopped);
        if (error) fail(span, error);
        span.end();
      };
      signal.addEventListener("abort", stopped, { once: true });
      return context.with(trace.setSpan(around, span), () => watched(() => fn(tried, ...rest), end));
    };
  }

  send(runs: readonly NewRun[]): readonly NewRun[] {
    const { job, attributes } = sending(runs);
    const { api, baggage } = this.#making;
    const span = api.startSpan(spanName("send", job), { kind: SpanKind.PRODUCER, attributes }, this.#context);
    span.end(); // the store writes them when it comes to that
    return carrying(runs, trace.setSpan(this.#context, span), baggage);
  }

  end({ to, error, retryInMs }: Came): void {
    if (this.#over) return;
    this.#over = true;
    const span = this.#span;
    span.setAttribute("tasker.outcome", to);
    if (error) fail(span, error);
    if (retryInMs !== null) span.addEvent("tasker.retry", { "tasker.retry.delay": retryInMs / 1000 });
    span.end();
  }
}

/** Calls `fn`, and `end` once it is over. */
async function watched<T>(fn: () => T | PromiseLike<T>, end: (error: ErrorRecord | null) => void): Promise<T> {
  try {
    const value = await fn();
    end(null);
    return value;
  } catch (error) {
    end(errorRecord(error));
    throw error;
  }
}

export function fail(span: Span, { name, message, stack }: ErrorRecord): void {
  span.recordException({ name, message, ...(stack !== null && { stack }) });
  span.setAttribute("error.type", name);
  span.setStatus({ code: SpanStatusCode.ERROR, message });
}

export function idsOf(span: Span): SpanIds {
  const { traceId, spanId } = span.spanContext();
  return { trace_id: traceId, span_id: spanId };
}
