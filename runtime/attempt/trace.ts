/** The span of an attempt, where somebody traces. */
import { slot } from "../../sdk/client/scope.ts";
import { InvalidInput } from "../../sdk/port/error.ts";
import { errorRecord, fieldOf } from "../../sdk/port/text.ts";
import type { Came, Traced, Tracer } from "../../sdk/port/trace.ts";
import type { Leased } from "../core/lease.ts";
import type { Outcome } from "../store/port.ts";

/** Sees to it that this process is traced; an application may have begun with that.
 *  @throws {InvalidInput} if @opentelemetry/api is not installed */
export async function traced(): Promise<void> {
  if (slot().tracer) return;
  try {
    const { telemetry } = await import("../../sdk/trace/index.ts");
    telemetry();
  } catch (cause) {
    if (fieldOf(cause, "code") !== "ERR_MODULE_NOT_FOUND") throw cause;
    const wanted = "telemetry needs OpenTelemetry's API, which is not installed; run: npm install @opentelemetry/api";
    throw new InvalidInput(wanted, { path: "telemetry", cause });
  }
}

/** Begins the span of an attempt. */
export function trace(leased: Leased, tracer: Tracer): Traced {
  const { lease, attempt } = leased;
  const begun = leased.begun!;
  const { id, job, queue, priority, tags, options, createdMs } = lease;
  const run = { id, job, queue, priority, tags, options, createdMs };
  return (begun.span = tracer.attempt({ ...run, attempt, startedMs: begun.atMs }));
}

/** How an attempt ends, for its span. */
export function cameOf(outcome: Outcome): Came {
  switch (outcome.to) {
    case "completed":
      return { to: outcome.reason ?? outcome.to, error: null, retryInMs: null };
    case "failed":
      return { to: outcome.reason, error: outcome.error, retryInMs: null };
    case "pending":
      return {
        to: outcome.outcome,
        error: outcome.spent ? outcome.error : null,
        retryInMs: outcome.spent ? outcome.delayMs : null,
      };
    case "waiting":
      return { to: outcome.reason === "parked" ? "parked" : "waiting", error: outcome.error, retryInMs: null };
    default:
      return { to: outcome.to, error: null, retryInMs: null };
  }
}

/** How one ends of which nothing counts any more. */
export function lostTo(error: Error | null): Came {
  return { to: "lost", error: error && errorRecord(error), retryInMs: null };
}
