/** How the context of a span travels with a run: as the propagators of the application write it. */
import { propagation, ROOT_CONTEXT, type Context } from "@opentelemetry/api";
import type { NewRun, RunOptions } from "../port/target.ts";

type Carrier = NonNullable<RunOptions["trace"]>;

/** Runs that carry a context. Without one they stay as they are. Those of a batch are marked: they link to it. */
export function carrying(runs: readonly NewRun[], active: Context, baggage: boolean): readonly NewRun[] {
  const written: Record<string, string> = {};
  propagation.inject(active, written);
  const { baggage: bag, ...rest } = written;
  const trace: Carrier = {
    ...rest,
    ...(baggage && bag !== undefined && { baggage: bag }),
    ...(runs.length > 1 && { batch: "1" }),
  };
  if (Object.keys(rest).length === 0) return runs;
  return runs.map((run) => ({ ...run, options: { ...run.options, trace } }));
}

/** The context that a run carries, with nothing of what is active here. */
export function carried(trace: Carrier | undefined): Context {
  return trace ? propagation.extract(ROOT_CONTEXT, trace) : ROOT_CONTEXT;
}

export function isBatch(trace: Carrier | undefined): boolean {
  return trace?.["batch"] !== undefined;
}
