/** Figures of the growth tests. */

/** One line of the report: what was measured on the grown store, beside the same on its baseline. */
export interface Line {
  readonly case: string;
  readonly measure: string;
  readonly unit: string;
  readonly base: number;
  readonly grown: number;
  /** Highest ratio of grown to base that holds the promise (lowest, where `least`); null: shown only. */
  readonly bound: number | null;
  /** True: the ratio must not fall below the bound. */
  readonly least?: boolean;
}

/** The value below which `q` of the values lie; NaN of none. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length === 0 ? Number.NaN : sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!;
}

/** Times `base` and `grown` by turns, so that a busy moment of the machine meets both; ms. A tenth goes first, uncounted. */
export async function byTurns(
  rounds: number,
  base: () => Promise<number>,
  grown: () => Promise<number>,
): Promise<{ readonly base: readonly number[]; readonly grown: readonly number[] }> {
  const taken = { base: [] as number[], grown: [] as number[] };
  for (let i = -Math.ceil(rounds / 10); i < rounds; i++) {
    const flip = i % 2 === 0;
    const [first, second] = flip ? [await base(), await grown()] : [await grown(), await base()];
    if (i < 0) continue;
    taken.base.push(flip ? first : second);
    taken.grown.push(flip ? second : first);
  }
  return taken;
}

/** How long `work` takes, ms. */
export async function took(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Lines of p50 and p99 of what `byTurns` took; the p99 is bound. Fewer than 100 rounds have no p99: of them p50 and p90, and the p50 is bound. */
export function lines(
  name: string,
  measure: string,
  taken: Awaited<ReturnType<typeof byTurns>>,
  bound: number | null,
): readonly Line[] {
  const many = taken.base.length >= 100;
  return [0.5, many ? 0.99 : 0.9].map((q) => ({
    ...{ case: name, measure: `${measure}, p${q * 100}`, unit: "ms", bound: (q === 0.5) === many ? null : bound },
    ...{ base: quantile(taken.base, q), grown: quantile(taken.grown, q) },
  }));
}

/** Whether a line keeps its promise; null where it has none. */
export function holds({ base, grown, bound, least }: Line): boolean | null {
  if (bound === null) return null;
  return least ? grown / base >= bound : grown / base <= bound;
}

/** Lines as a Markdown table. */
export function table(all: readonly Line[]): string {
  const rows = all.map((line) => {
    const { base, grown, bound, least, unit } = line;
    const ok = holds(line);
    const limit = bound === null ? "" : `${least ? "≥" : "≤"} ${bound} ${ok ? "✓" : "✗"}`;
    const ratio = Number.isNaN(base) ? "" : (grown / base).toFixed(2);
    return `| ${line.case} | ${line.measure} | ${shown(base, unit)} | ${shown(grown, unit)} | ${ratio} | ${limit} |`;
  });
  return ["| case | measure | baseline | grown | ratio | promise |", "|---|---|---|---|---|---|", ...rows].join("\n");
}

function shown(value: number, unit: string): string {
  if (Number.isNaN(value)) return "";
  return `${value.toFixed(value >= 100 ? 0 : 2)} ${unit}`.trim();
}
