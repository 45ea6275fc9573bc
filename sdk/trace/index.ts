/** Spans for OpenTelemetry. */
import { context, SpanKind, trace, type Span } from "@opentelemetry/api";
import { slot } from "../client/scope.ts";
import type { DurationText } from "../port/duration.ts";
import { formatId } from "../port/id.ts";
import { checkDuration, checkFlag, checkKeys } from "../port/option.ts";
import type { Added, NewRun } from "../port/target.ts";
import { asError, errorRecord } from "../port/text.ts";
import type { Attempted, SpanIds, Traced, Tracer } from "../port/trace.ts";
import { AttemptSpan, fail, idsOf, type Making } from "./attempt.ts";
import { sending, spanName } from "./attribute.ts";
import { carrying } from "./carrier.ts";

export interface TelemetryOptions {
  /** An attempt that starts within this after its trigger is in the trace of that; a later one, and those of a batch, have traces of their own that
   *  link to it. `30s` by default. */
  readonly follow?: DurationText | undefined;
  /** Runs also carry the baggage of their trigger, which is stored with them then. False by default. */
  readonly baggage?: boolean | undefined;
}

/** Makes spans from now on, in this process: of triggers, and of what its runtimes run. They go where the application sends its own, which it may
 *  set up before or after. What it answers ends that.
 *  @throws {InvalidInput} for an option that is invalid */
export function telemetry(options: TelemetryOptions = {}): () => void {
  checkKeys("telemetry", options, new Set(["follow", "baggage"]));
  const { follow = "30s", baggage = false } = options;
  const api = trace.getTracer("tasker");
  const tracer = new Spans({ api, followMs: checkDuration("follow", follow), baggage: checkFlag("baggage", baggage) });
  const place = slot();
  place.tracer = tracer;
  return () => {
    if (place.tracer === tracer) place.tracer = null;
  };
}

class Spans implements Tracer {
  readonly #making: Making;

  constructor(making: Making) {
    this.#making = making;
  }

  async send(
    runs: readonly NewRun[],
    add: (runs: readonly NewRun[]) => Promise<readonly (Added | Error)[]>,
  ): Promise<readonly (Added | Error)[]> {
    const { job, attributes } = sending(runs);
    const span = this.#making.api.startSpan(spanName("send", job), { kind: SpanKind.PRODUCER, attributes });
    const within = trace.setSpan(context.active(), span);
    try {
      const answers = await context.with(within, () => add(carrying(runs, within, this.#making.baggage)));
      sent(span, answers);
      return answers;
    } catch (error) {
      fail(span, errorRecord(error));
      throw error;
    } finally {
      span.end();
    }
  }

  attempt(run: Attempted): Traced {
    return new AttemptSpan(run, this.#making);
  }

  active(): SpanIds | undefined {
    const span = trace.getActiveSpan();
    return span && idsOf(span);
  }
}

/** What became of runs: of one, which it is. */
function sent(span: Span, answers: readonly (Added | Error)[]): void {
  const refused = answers.find((answer) => answer instanceof Error);
  if (refused) fail(span, errorRecord(asError(refused)));
  const [only] = answers;
  if (answers.length !== 1 || !only || only instanceof Error) return;
  span.setAttribute("messaging.message.id", formatId(only.id));
  if (!only.created) span.setAttribute("tasker.deduplicated", true);
}
