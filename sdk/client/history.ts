import type { Entry } from "../port/flow.ts";
import { formatId } from "../port/id.ts";
import type { RunRecord } from "../port/target.ts";

export type Plain<T> = { readonly [K in keyof T]: Date extends T[K] ? string | Exclude<T[K], Date> : T[K] };

/** A run and its journal, as plain JSON: instants of the run are texts. */
export interface History {
  readonly run: Plain<Omit<RunRecord, "id">> & {
    /** `run_…` */
    readonly id: string;
  };
  /** In order; what `ctx.step` and the others asked for, and what was sent to the run. */
  readonly entries: readonly Entry[];
}

export function historyOf(record: RunRecord, entries: readonly Entry[]): History {
  const run = { ...record, id: formatId(record.id) };
  return JSON.parse(JSON.stringify({ run, entries })) as History; // dates become texts, the rest is JSON already
}
