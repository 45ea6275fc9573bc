/** What a node counts of its runs. Adding takes about 100 ns. */
import type { Counted } from "../core/meter.ts";
import type { Outcome } from "../store/port.ts";
import type { Sample } from "./family.ts";

/** Upper bounds, s. */
export const bounds = {
  wait: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600],
  run: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600],
  lag: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600],
  call: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
} as const;

/** How many spans of time were at most so long. */
export class Spans {
  readonly #bounds: readonly number[];
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  add(ms: number): void {
    const seconds = ms / 1000;
    let at = 0;
    while (at < this.#bounds.length && seconds > this.#bounds[at]!) at++;
    this.#counts[at]!++;
    this.#sum += seconds;
  }

  /** As a histogram; nothing while there is none. */
  samples(labels: Sample["labels"]): readonly Sample[] {
    let count = 0;
    const buckets = [...this.#bounds, "+Inf"].map((le, at): Sample => {
      count += this.#counts[at]!;
      return { suffix: "_bucket", labels: { ...labels, le }, value: count };
    });
    if (count === 0) return [];
    return [...buckets, { suffix: "_sum", labels, value: this.#sum }, { suffix: "_count", labels, value: count }];
  }
}

/** Counts by name. */
export class Counts {
  readonly #counts = new Map<string, number>();

  add(name: string, count = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + count);
  }

  samples(labelsOf: (name: string) => Sample["labels"]): readonly Sample[] {
    return [...this.#counts].map(([name, value]) => ({ labels: labelsOf(name), value }));
  }
}

/** The runs of one job in one queue. */
export class Row {
  readonly labels: { readonly job_name: string; readonly queue: string };
  enqueued = 0;
  readonly deduplicated = new Counts();
  /** By reason, or by status where there is none. */
  readonly finished = new Counts();
  readonly attempts = new Counts();
  readonly waits = new Spans(bounds.wait);
  readonly lengths = new Spans(bounds.run);

  constructor({ job, queue }: Counted) {
    this.labels = { job_name: job, queue };
  }

  /** Counts that are mostly wanted are there, if 0. */
  begin(): void {
    for (const reason of ["completed", "error"]) this.finished.add(reason, 0);
  }

  ended(outcome: Outcome, runMs: number | null): void {
    const isFinal = outcome.to !== "pending" && outcome.to !== "waiting";
    if (isFinal) this.finished.add(outcome.reason ?? outcome.to);
    if (runMs === null) return;
    this.attempts.add(attemptOf(outcome));
    this.lengths.add(runMs);
  }
}

/** What an attempt came to, as records of attempts say it; and what they leave out. */
function attemptOf(outcome: Outcome): string {
  switch (outcome.to) {
    case "pending":
      return outcome.outcome;
    case "waiting":
      return outcome.reason === "parked" ? "parked" : "waiting";
    case "failed":
      return outcome.reason;
    default:
      return outcome.to;
  }
}

/** The status of the runs that ended for a reason. */
export const statusOf: Readonly<Record<string, "completed" | "failed" | "canceled">> = {
  ...{ completed: "completed", skipped: "completed" },
  ...{ error: "failed", timeout: "failed", crashed: "failed", expired: "failed" },
  ...{ canceled: "canceled", user: "canceled", superseded: "canceled", parent: "canceled" },
};

/** So many pairs of a job and a queue are told apart; the rest is counted together. */
export const most = 1000;
export const others = "(others)";

/** Counts by job and queue, of which there may be any number. */
export class Tally {
  readonly #jobs = new Map<string, Map<string, Row>>();
  readonly #rest = new Row({ job: others, queue: others });
  readonly rows: Row[] = [];

  row(of: Counted): Row {
    return this.#jobs.get(of.job)?.get(of.queue) ?? this.#fresh(of);
  }

  #fresh({ job, queue }: Counted): Row {
    if (this.rows.length >= most) {
      if (this.rows.length === most) this.rows.push(this.#rest);
      return this.#rest;
    }
    const row = new Row({ job, queue });
    this.rows.push(row);
    const queues = this.#jobs.get(job) ?? new Map<string, Row>();
    this.#jobs.set(job, queues.set(queue, row));
    return row;
  }
}
