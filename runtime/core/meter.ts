import type { Outcome, Swept } from "../store/port.ts";

/** What runs are counted by. */
export interface Counted {
  /** The job's id. */
  readonly job: string;
  readonly queue: string;
}

/** Hears what a runtime does, as it does it: for metrics. Every run waits for what is done here, so it must be short; it must not throw. */
export interface Meter {
  /** This runtime itself has added runs: one for a tick of a schedule, or those that a workflow made. */
  added(runs: Counted, count: number): void;
  /** A handler is called, so long after its run fell due. */
  started(run: Counted, waitMs: number): void;
  /** The store has taken what became of a lease. `runMs`: from the call of the handler to its outcome; null if it was not called. */
  ended(run: Counted, outcome: Outcome, runMs: number | null): void;
  /** The store has answered a claim, or a batch of outcomes, after so long. */
  answered(call: "lease" | "settle", ms: number): void;
  /** A tick made its run so long after its instant, at least 0. Ticks without a run come together: an `overlap`, or a stretch that was `missed`. */
  ticked(job: string, what: "ticked" | "overlap" | "missed", lateMs: number): void;
  /** Runs of dead processes were taken back, and those that had expired ended. */
  swept(runs: Swept): void;
}
