/** What a process counts as it happens. */
import type { Counting } from "../../sdk/client/scope.ts";
import type { JobSpec } from "../../sdk/define/spec.ts";
import type { Meter } from "../core/meter.ts";
import type { Swept } from "../store/port.ts";
import { Family, type About, type Sample } from "./family.ts";
import { bounds, Counts, Spans, statusOf, Tally, type Row } from "./tally.ts";

/** Of runs that a sweep ended, it knows no more than how many. */
const unknown = { job: "", queue: "" };
const none = { recovered: [], crashed: [], canceled: [], expired: [] } as const;

/** Hears a runtime, and what application code of this process adds. */
export class Counter implements Meter {
  readonly #tally = new Tally();
  readonly #ticks = new Map<string, { readonly fires: Counts; readonly lags: Spans }>();
  readonly #taken = new Counts();
  readonly #calls = { lease: new Spans(bounds.call), settle: new Spans(bounds.call) };

  constructor() {
    this.swept(none); // a series that begins at 1 has no increase
  }

  readonly counting: Counting = (runs, answers) => {
    for (let i = 0; i < answers.length; i++) {
      const answer = answers[i]!;
      if (answer instanceof Error) continue;
      const row = this.#tally.row(runs[i]!);
      if (answer.created) row.enqueued++;
      else row.deduplicated.add(answer.conflict ? "conflict" : "same");
    }
  };

  added(...[runs, count]: Parameters<Meter["added"]>): void {
    this.#tally.row(runs).enqueued += count;
  }

  started(...[run, waitMs]: Parameters<Meter["started"]>): void {
    this.#tally.row(run).waits.add(waitMs);
  }

  ended(...[run, outcome, runMs]: Parameters<Meter["ended"]>): void {
    this.#tally.row(run).ended(outcome, runMs);
  }

  answered(...[call, ms]: Parameters<Meter["answered"]>): void {
    this.#calls[call].add(ms);
  }

  ticked(...[job, what, lateMs]: Parameters<Meter["ticked"]>): void {
    let of = this.#ticks.get(job);
    if (!of) {
      this.#ticks.set(job, (of = { fires: new Counts(), lags: new Spans(bounds.lag) }));
      for (const each of ["ticked", "overlap", "missed"]) of.fires.add(each, 0);
    }
    of.fires.add(what);
    if (what === "ticked") of.lags.add(lateMs);
  }

  swept({ recovered, crashed, canceled, expired }: Pick<Swept, keyof typeof none>): void {
    const { finished } = this.#tally.row(unknown);
    for (const [reason, { length }] of Object.entries({ crashed, canceled, expired })) finished.add(reason, length);
    for (const [outcome, { length }] of Object.entries({ recovered, crashed, canceled }))
      this.#taken.add(outcome, length);
  }

  /** What a process that adds runs has counted. */
  get adding(): readonly Family[] {
    return [
      this.#of(counter("tasker_runs_enqueued_total", "Runs that this process has added"), ({ labels, enqueued }) =>
        enqueued > 0 ? [{ labels, value: enqueued }] : [],
      ),
      this.#of(
        counter(
          "tasker_runs_deduplicated_total",
          "Triggers that made no run, for their idempotency key has one, with the same payload or with another (conflict)",
        ),
        ({ labels, deduplicated }) => deduplicated.samples((kind) => ({ ...labels, kind })),
      ),
    ];
  }

  /** What a process that runs jobs has counted, besides. Those that it has are there from the beginning. */
  running(jobs: () => readonly Pick<JobSpec, "id" | "queue">[]): readonly Family[] {
    const begin = (): void => jobs().forEach(({ id, queue }) => this.#tally.row({ job: id, queue }).begin());
    const ticks = (read: (job: string, of: { fires: Counts; lags: Spans }) => readonly Sample[]) => () =>
      [...this.#ticks].flatMap(([job, of]) => read(job, of));
    return [
      this.#of(
        counter("tasker_runs_finished_total", "Runs that have ended, by outcome, and reason where there is one"),
        ({ labels, finished }) =>
          finished.samples((reason) => {
            const outcome = statusOf[reason]!;
            return { ...labels, outcome, reason: reason === outcome ? "" : reason };
          }),
        begin,
      ),
      this.#of(
        counter("tasker_attempts_total", "Calls of handlers that are over, by what they came to"),
        ({ labels, attempts }) => attempts.samples((outcome) => ({ ...labels, outcome })),
      ),
      this.#of(
        histogram("tasker_run_wait_seconds", "From the instant at which a run was due to the call of its handler"),
        ({ labels, waits }) => waits.samples(labels),
      ),
      this.#of(
        histogram("tasker_run_duration_seconds", "From the call of a handler to its outcome"),
        ({ labels, lengths }) => lengths.samples(labels),
      ),
      new Family(
        counter(
          "tasker_leases_expired_total",
          "Runs that were taken back from processes that died or stopped answering",
        ),
        () => this.#taken.samples((outcome) => ({ outcome })),
      ),
      new Family(
        counter("tasker_schedule_fires_total", "Ticks that made a run, and stretches of ticks that made none"),
        ticks((job, { fires }) => fires.samples((outcome) => ({ job_name: job, outcome }))),
      ),
      new Family(
        histogram("tasker_schedule_lag_seconds", "From the instant of a tick until its run was made; 0 if ahead of it"),
        ticks((job, { lags }) => lags.samples({ job_name: job })),
      ),
      new Family(histogram("tasker_fetch_duration_seconds", "How long the store took to answer a claim"), () =>
        this.#calls.lease.samples({}),
      ),
      new Family(
        histogram("tasker_commit_duration_seconds", "How long the store took to take a batch of outcomes"),
        () => this.#calls.settle.samples({}),
      ),
    ];
  }

  #of(about: About, read: (row: Row) => readonly Sample[], before?: () => void): Family {
    return new Family(about, () => {
      before?.();
      return this.#tally.rows.flatMap(read);
    });
  }
}

function counter(name: string, help: string): About {
  return { name, help, type: "counter" };
}

function histogram(name: string, help: string): About {
  return { name, help, type: "histogram" };
}
