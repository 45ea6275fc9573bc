import { DuplicateJob, InvalidInput } from "../../sdk/port/error.ts";
import { shown } from "../../sdk/port/option.ts";
import { fieldOf } from "../../sdk/port/text.ts";
import type { JobSpec } from "../../sdk/define/spec.ts";
import { merge } from "../../sdk/port/histogram.ts";
import type { HookKind, JobRecord } from "../../sdk/port/target.ts";
import type { Tally } from "../store/port.ts";

type Sums = Omit<Tally, "queue" | "job" | "waits" | "runs">;
/** As `Tally`, to be added to. */
export type Counts = { -readonly [K in keyof Sums]: number } & Pick<Tally, "queue" | "job"> & {
    readonly waits: number[];
    readonly runs: number[];
  };

/** A job that this runtime has, with what is worked out once for all its runs. */
export interface Registered {
  readonly spec: JobSpec;
  /** Final states that add a run for a hook. */
  readonly hooks: readonly HookKind[];
}

/** The jobs of a runtime, by id, and what became of their runs since the last report. */
export class Registry {
  readonly #jobs = new Map<string, Registered>();
  readonly #counts = new Map<string, Map<string, Counts>>();
  #ids: readonly string[] | null = null;

  /** @throws {DuplicateJob} if the id is taken. @throws {InvalidInput} for what is not a job */
  add(spec: JobSpec): void {
    if (typeof fieldOf(spec, "handler") !== "function")
      throw new InvalidInput(
        `"${shown(spec)}" is not a job; give what defineJob made (it is undefined where imports go in a circle)`,
        { path: "jobs" },
      );
    const other = this.#jobs.get(spec.id);
    if (other) throw new DuplicateJob(spec.id, other.spec.file, spec.file);
    this.#jobs.set(spec.id, { spec, hooks: kinds(spec) });
    this.#ids = null;
  }

  /** Returns false if there was no such job. */
  remove(id: string): boolean {
    const had = this.#jobs.delete(id);
    if (had) this.#ids = null;
    return had;
  }

  get(id: string): Registered | undefined {
    return this.#jobs.get(id);
  }

  /** Ids in order of registration. */
  ids(): readonly string[] {
    return (this.#ids ??= [...this.#jobs.keys()]);
  }

  specs(): JobSpec[] {
    return [...this.#jobs.values()].map(({ spec }) => spec);
  }

  /** What nodes publish of these jobs. */
  records(): Omit<JobRecord, "seenAt">[] {
    return [...this.#jobs.values()].map(({ spec, hooks }) => ({
      id: spec.id,
      description: spec.description,
      queue: spec.queue,
      priority: spec.priority,
      schema: spec.jsonSchema,
      tags: spec.tags,
      ttlMs: spec.ttlMs,
      hooks,
      attempts: spec.retry.next ? null : spec.retry.attempts,
    }));
  }

  /** The counts of a job in a queue, to add to. */
  counts(job: string, queue: string): Counts {
    let queues: Map<string, Counts> | undefined = this.#counts.get(job);
    if (!queues) this.#counts.set(job, (queues = new Map<string, Counts>()));
    let counts = queues.get(queue);
    if (!counts) {
      const none = { completed: 0, failed: 0, canceled: 0, retried: 0, waitMs: 0, runMs: 0 };
      counts = { queue, job, ...none, waits: [], runs: [] };
      queues.set(queue, counts);
    }
    return counts;
  }

  /** Takes the counts out, to report them. */
  takeCounts(): Tally[] {
    const all = [...this.#counts.values()].flatMap((queues) => [...queues.values()]);
    this.#counts.clear();
    return all;
  }

  /** Puts counts back whose report failed. */
  returnCounts(tallies: readonly Tally[]): void {
    for (const { job, queue, waits, runs, ...numbers } of tallies) {
      const counts = this.counts(job, queue);
      merge(counts.waits, waits);
      merge(counts.runs, runs);
      for (const [key, value] of Object.entries(numbers)) counts[key as keyof typeof numbers] += value;
    }
  }
}

function kinds({ hooks }: JobSpec): readonly HookKind[] {
  const all = { success: hooks.onSuccess, failure: hooks.onFailure, cancel: hooks.onCancel };
  return (["success", "failure", "cancel"] as const).filter((kind) => all[kind] !== null);
}
