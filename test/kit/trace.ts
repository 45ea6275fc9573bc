/** A real OpenTelemetry SDK, whose spans stay in memory. */
import { context, propagation, trace, type Attributes, type Link, type TextMapPropagator } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from "@opentelemetry/core";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
  type Sampler,
} from "@opentelemetry/sdk-trace-base";

export interface Spans {
  /** Those that have ended, in the order of their ends. */
  all(): readonly ReadableSpan[];
  /** The one of this name. @throws {Error} if there is none, or more than one */
  one(name: string): ReadableSpan;
  named(name: string): readonly ReadableSpan[];
  stop(): void;
}

/** Sets up an SDK for the process, as an application does, with W3C's propagators. */
export function openTelemetry(
  options: { readonly sampler?: Sampler; readonly propagator?: TextMapPropagator } = {},
): Spans {
  const exporter = new InMemorySpanExporter();
  const { sampler, propagator } = options;
  const provider = new BasicTracerProvider({
    ...(sampler && { sampler }),
    spanProcessors: [new SimpleSpanProcessor(exporter)],
  });
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(
    propagator ??
      new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()] }),
  );
  const named = (name: string): readonly ReadableSpan[] =>
    exporter.getFinishedSpans().filter((span) => span.name === name);
  return {
    all: () => exporter.getFinishedSpans(),
    named,
    one(name) {
      const [span, ...more] = named(name);
      if (span && more.length === 0) return span;
      const names = exporter.getFinishedSpans().map((each) => each.name);
      throw new Error(`${more.length === 0 ? "no span" : "several spans"} "${name}" among ${names.join(", ")}`);
    },
    stop() {
      for (const api of [trace, context, propagation]) api.disable();
    },
  };
}

/** The trace and the parent of a span, by their ids. */
export function placeOf(span: ReadableSpan): {
  readonly trace: string;
  readonly id: string;
  readonly parent: string | null;
} {
  const { traceId, spanId } = span.spanContext();
  return { trace: traceId, id: spanId, parent: span.parentSpanContext?.spanId ?? null };
}

export function linksOf({ links }: ReadableSpan): readonly string[] {
  return links.map(({ context: { spanId } }: Link) => spanId);
}

export function attributesOf({ attributes }: ReadableSpan): Attributes {
  return { ...attributes };
}
