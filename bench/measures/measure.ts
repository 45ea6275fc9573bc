import type { Entrant } from "../field.ts";
import type { Stage, Usage } from "../stage.ts";

/** One figure of a measure, as tables show it. */
export interface Line {
  readonly key: string;
  readonly title: string;
  readonly unit: "/s" | "ms" | "B" | "MB" | "";
  readonly better: "more" | "less";
}

export interface Measure {
  readonly name: string;
  /** What it is, for the README and `--help`. */
  readonly about: string;
  readonly goal: "rate" | "latency";
  /** The first is the one that counts. */
  readonly lines: readonly Line[];
  /** Missing: for everybody. */
  readonly takes?: (entrant: Entrant) => boolean;
  /** @returns a value for each line, NaN where there is none */
  run(stage: Stage, size: Size): Promise<Figures>;
}

export type Figures = Readonly<Record<string, number>>;

/** How much to do. */
export interface Size {
  readonly quick: boolean;
  /** A whole number of jobs that takes a contender of this rate some seconds, never more than `most`. */
  jobs(perSecond: number, most: number): number;
}

export function sizeOf(quick: boolean): Size {
  const seconds = quick ? 0.6 : 4;
  return {
    quick,
    jobs: (perSecond, most) => Math.round(Math.min(quick ? most / 5 : most, Math.max(3, perSecond * seconds))),
  };
}

/** What a job cost, between two looks. */
export function perJob(
  before: Usage,
  after: Usage,
  count: number,
): { readonly wal: number; readonly statements: number } {
  const statements = after.statements === null ? Number.NaN : (after.statements - (before.statements ?? 0)) / count;
  return { wal: (after.wal - before.wal) / count, statements };
}

/** WAL and statements mean nothing where Postgres is not used. */
export function costs(stage: Stage, cost: { readonly wal: number; readonly statements: number }): Figures {
  return stage.entrant.store === "postgres" ? { ...cost } : { wal: Number.NaN, statements: Number.NaN };
}
