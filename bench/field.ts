/** Who takes part, and about how fast, so that the slow ones get fewer jobs and a run ends. */
export interface Entrant {
  readonly name: string;
  /** In contenders/, without its ending. */
  readonly file: string;
  readonly variant: string | null;
  readonly store: "postgres" | "redis" | "memory";
  /** Variants of a contender are compared with nobody. */
  readonly kind: "tasker" | "limit" | "rival" | "variant";
  /** Jobs/s, roughly: of one caller, of 64, in bulk, of one worker. */
  readonly rates: { readonly one: number; readonly many: number; readonly bulk: number; readonly drain: number };
  /** The measures of a variant; all if null. */
  readonly only: readonly string[] | null;
}

function entrant(
  name: string,
  file: string,
  rates: readonly [number, number, number, number],
  rest: Partial<Entrant> = {},
): Entrant {
  const [one, many, bulk, drain] = rates;
  return {
    name,
    file,
    variant: null,
    store: "postgres",
    kind: "rival",
    only: null,
    ...rest,
    rates: { one, many, bulk, drain },
  };
}

const starts = ["drain1", "own", "across"];

/** In the order of a repetition. */
export const field: readonly Entrant[] = [
  entrant("tasker", "tasker", [4000, 40_000, 50_000, 40_000], { kind: "tasker" }),
  entrant("raw", "raw", [5000, 60_000, 90_000, 60_000], { kind: "limit" }),
  entrant("graphile-worker", "graphile", [800, 1300, 38_000, 33_000]),
  entrant("pg-boss", "pgboss", [900, 1100, 28_000, 20_000]),
  entrant("bullmq", "bullmq", [6000, 20_000, 17_000, 9000], { store: "redis" }),
  entrant("bullmq-postgres", "bullmq", [1800, 2000, 20_000, 1100], { variant: "postgres" }),
  entrant("agenda", "agenda", [1800, 3500, 3500, 260]),
  entrant("openworkflow", "openworkflow", [2500, 6000, 6000, 230]),
  entrant("dbos", "dbos", [1000, 1900, 1900, 1100]),
  entrant("tasker-memory", "tasker", [50_000, 100_000, 100_000, 80_000], {
    variant: "memory",
    store: "memory",
    kind: "variant",
  }),
  entrant("tasker-full", "tasker", [4000, 40_000, 50_000, 25_000], {
    variant: "full",
    kind: "variant",
    only: ["add64", "drain1", "both"],
  }),
  entrant("tasker-tuned", "tasker", [4000, 40_000, 50_000, 40_000], {
    variant: "tuned",
    kind: "variant",
    only: ["add64", "drain1", "drain2", "both"],
  }),
  entrant("tasker-metrics", "tasker", [4000, 40_000, 50_000, 40_000], {
    variant: "metrics",
    kind: "variant",
    only: ["add64", "drain1", "both"],
  }),
  entrant("graphile-worker-default", "graphile", [800, 1300, 38_000, 1500], {
    variant: "default",
    kind: "variant",
    only: starts,
  }),
  entrant("pg-boss-default", "pgboss", [900, 1100, 28_000, 0.5], {
    variant: "default",
    kind: "variant",
    only: ["drain1"], // one job each 2 s
  }),
  entrant("bullmq-default", "bullmq", [6000, 20_000, 17_000, 3500], {
    variant: "default",
    store: "redis",
    kind: "variant",
    only: starts,
  }),
];

/** Those of a quick run: what it takes to see whether tasker got slower, and the nearest rivals. */
export const nearest: readonly string[] = ["tasker", "raw", "graphile-worker", "pg-boss", "bullmq", "tasker-memory"];
