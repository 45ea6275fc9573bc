import { measures } from "./measures/index.ts";
import type { Line } from "./measures/measure.ts";
import { shown } from "./report.ts";
import { ratio, valueOf, type Result } from "./result.ts";

const mostLost = 0.15;

/** Lines that repeat well enough to be compared between runs; a p99 does not. */
function isSteady({ key }: Line): boolean {
  return ["rate", "p50", "wal", "rss", "start"].includes(key);
}

/** Lines in which tasker, as a share of the raw limit, lost more than 15 % against an earlier result; each as a sentence. */
export function regressions(fresh: Result, earlier: Result): string[] {
  return measures.flatMap(({ name, lines }) =>
    lines.filter(isSteady).flatMap((line) => {
      const share = (result: Result): number | null => {
        const own = valueOf(result, "tasker", name, line.key);
        const limit = valueOf(result, "raw", name, line.key);
        return own === null || limit === null ? null : ratio(own, limit, line.better);
      };
      const [now, before] = [share(fresh), share(earlier)];
      if (now === null || before === null || now >= before * (1 - mostLost)) return [];
      const own = valueOf(fresh, "tasker", name, line.key)!;
      return [
        `${line.title}: ${Math.round(now * 100)} % of raw (${shown(own, line.unit)}), was ${Math.round(before * 100)} %`,
      ];
    }),
  );
}
