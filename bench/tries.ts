import type { Entrant } from "./field.ts";
import type { Figures, Measure, Size } from "./measures/measure.ts";
import { shown } from "./report.ts";
import type { Cell } from "./result.ts";
import { onStage, type StageOptions } from "./stage.ts";

/** The repetitions of one contender in one measure. */
export interface Tries {
  /** Makes another, unless one has failed: who fails is left out of the rest of the measure, and of nothing else.
   *  @returns what came of it, for the eye */
  next(options: StageOptions, how: { readonly size: Size; readonly quiet: () => Promise<boolean> }): Promise<string>;
  cell(): Cell;
}

export function triesOf(entrant: Entrant, measure: Measure): Tries {
  const all: Figures[] = [];
  const name = entrant.name.padEnd(24);
  let noisy = 0;
  let error: string | null = null;
  return {
    async next(options, { size, quiet }) {
      if (error !== null) return `${name} left out`;
      const isQuiet = await quiet();
      if (!isQuiet) noisy++;
      try {
        const figures = await onStage(options, { entrant, goal: measure.goal }, (stage) => measure.run(stage, size));
        all.push(figures);
        const { key, unit } = measure.lines[0]!;
        return `${name} ${shown(figures[key] ?? Number.NaN, unit)}${isQuiet ? "" : "  (not quiet)"}`;
      } catch (cause) {
        error = cause instanceof Error ? cause.message : String(cause);
        return `${name} ${error}`;
      }
    },
    cell: () => ({
      measure: measure.name,
      contender: entrant.name,
      figures: Object.fromEntries(measure.lines.map(({ key }) => [key, all.map((each) => rounded(each[key]))])),
      jobs: all[0]?.["jobs"] ?? 0,
      noisy,
      duplicates: all.reduce((sum, each) => sum + (each["duplicates"] ?? 0), 0),
      error,
    }),
  };
}

/** To five digits. NaN is null in JSON, and no finite number when it is read again. */
function rounded(value = Number.NaN): number {
  return Number(value.toPrecision(5));
}
