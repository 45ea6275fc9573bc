import { cpus, release, totalmem, type } from "node:os";
import type { Line } from "./measures/measure.ts";
import { median } from "./number.ts";

/** What a run found: `results/latest.json`. */
export interface Result {
  readonly at: string;
  readonly quick: boolean;
  readonly reps: number;
  readonly machine: Machine;
  readonly cells: readonly Cell[];
}

/** What it ran on. */
export interface Machine {
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly os: string;
  readonly postgres: string;
  readonly redis: string | null;
  /** Settings of the server that count. */
  readonly settings: Readonly<Record<string, string>>;
  /** An fdatasync of 8 kB, ms. */
  readonly syncMs: number;
  readonly versions: Readonly<Record<string, string>>;
}

/** One contender in one measure. */
export interface Cell {
  readonly measure: string;
  readonly contender: string;
  /** By line, a value a repetition. */
  readonly figures: Readonly<Record<string, readonly number[]>>;
  /** Jobs a repetition. */
  readonly jobs: number;
  /** Repetitions that began on a machine that was not quiet. */
  readonly noisy: number;
  /** Handlers that were called twice for one job. */
  readonly duplicates: number;
  readonly error: string | null;
}

export function machine(): Pick<Machine, "node" | "cpu" | "cores" | "memoryGb" | "os"> {
  return {
    node: process.version,
    cpu: cpus()[0]?.model.trim() ?? "?",
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    os: `${type()} ${release()}`,
  };
}

/** A line's median; null where the contender has none. */
export function valueOf(result: Result, contender: string, measure: string, key: string): number | null {
  const cell = result.cells.find((each) => each.contender === contender && each.measure === measure);
  const values = (cell?.figures[key] ?? []).filter((value) => Number.isFinite(value));
  return values.length === 0 ? null : median(values);
}

/** How many times as good `a` is as `b`. */
export function ratio(a: number, b: number, better: Line["better"]): number {
  return better === "more" ? a / b : b / a;
}
