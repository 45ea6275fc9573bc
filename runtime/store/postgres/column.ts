import type { Entry } from "../../../sdk/port/flow.ts";
import type { NewKey, NewRun } from "../../../sdk/port/target.ts";
import { numbers, texts } from "./pool.ts";
import { mostNamed } from "./sql/part.ts";

/** A run about to be added. */
export interface Numbered {
  readonly id: number;
  readonly lane: number;
  readonly run: NewRun;
}
export type Keyed = Numbered & { readonly run: NewRun & { readonly key: NewKey } };

/** The payload of a notification: `d` for due soon, or `l` for later, which only sleeping nodes need, and the lanes, or none for all. In a
 *  caller's transaction it names no lanes, because its runs may commit below their low-water marks. */
export function wakes(items: readonly Numbered[], inside = false): string {
  const soon = items.filter(({ run }) => run.delayMs < 60_000);
  const lanes = new Set((soon.length > 0 ? soon : items).map(({ lane }) => lane));
  return `${soon.length > 0 ? "d" : "l"}${inside || lanes.size > mostNamed ? "" : [...lanes].join(",")}`;
}

/** Epoch ms of an instant; past ones are bounded. */
export function at(dueAt: Date | null): number | null {
  return dueAt && Math.max(0, dueAt.getTime());
}

/** Columns of new runs as arrays, in the order of the parameters of `add`. */
export function columnsOf(items: readonly Numbered[]) {
  const numbersOf = (of: (run: NewRun) => number | null): string => numbers(items.map(({ run }) => of(run)));
  const textsOf = (of: (run: NewRun) => string | null): string => texts(items.map(({ run }) => of(run)));
  return {
    id: () => numbers(items.map(({ id }) => id)),
    lane: () => numbers(items.map(({ lane }) => lane)),
    delay: () => numbersOf((run) => run.delayMs),
    at: () => numbersOf((run) => at(run.dueAt)),
    input: () => textsOf((run) => run.input.json),
    meta: () => textsOf((run) => run.input.meta),
    tags: () => textsOf(tagsOf),
    options: () => textsOf(optionsOf),
    ttl: () => numbersOf((run) => run.ttlMs),
    replay: () => numbersOf((run) => run.replayOf),
  };
}

export function columns(items: readonly Numbered[]): readonly string[] {
  return Object.values(columnsOf(items)).map((column) => column());
}

/** An entry as one level of JSON. */
export function flat({ n, kind, key, value, data }: Omit<Entry, "atMs" | "runs">): object {
  return { n, kind, key, value: value?.json, meta: value?.meta, data };
}

/** A whole journal as JSON, numbered by place. */
export function journalText(entries: readonly Entry[]): string {
  return JSON.stringify(entries.map((each, i) => ({ ...flat(each), n: i + 1, at: each.atMs, runs: each.runs })));
}

export function tagsOf({ tags }: Pick<NewRun, "tags">): string | null {
  return tags.length > 0 ? JSON.stringify(tags) : null;
}
export function optionsOf({ options }: NewRun): string | null {
  return options && JSON.stringify(options);
}

/** As `columns`, with the payload of the notification and the keys. */
export function keyedColumns(items: readonly Keyed[], inside: boolean): readonly unknown[] {
  const keys = items.map((item) => item.run.key);
  const names = [
    texts(items.map((item) => item.run.job)),
    texts(keys.map((key) => key.key)),
    texts(keys.map((key) => key.hash)),
  ];
  // below zero: whatever the end of its run
  const keeps = keys.map(({ keepMs, always }) => (always ? -keepMs : keepMs));
  return [...columns(items), wakes(items, inside), ...names, numbers(keeps)];
}
