import type { Row } from "../pool.ts";

type Text = string | null;
/** Reads a column's text. */
type One<T> = (text: Text) => T;
/** Reads two columns into one value. */
export interface Two<T> {
  readonly two: (first: Text, second: Text) => T;
}
type Readers = Readonly<Record<string, One<unknown> | Two<unknown>>>;
type Value<R> = R extends One<infer T> ? T : R extends Two<infer T> ? T : never;

/** Columns of an answer, by name: how each is selected, and how its text is read. */
export interface Shape<R extends Readers> {
  /** The select list, in the order in which it is read. */
  select(columns: { readonly [K in keyof R]: R[K] extends Two<unknown> ? readonly [string, string] : string }): string;
  /** A row whose columns of this shape begin at `from`. */
  read(row: Row, from?: number): { readonly [K in keyof R]: Value<R[K]> };
  /** Those rows that have something in the first column. */
  all(rows: readonly Row[], from?: number): readonly { readonly [K in keyof R]: Value<R[K]> }[];
  /** Where each column is in a row whose columns of this shape begin at `from`: a literal reads a row in half the time. */
  at(from: number): { readonly [K in keyof R]: number };
  readonly width: number;
}

export function shape<const R extends Readers>(readers: R): Shape<R> {
  const list = Object.entries(readers);
  const width = list.reduce((sum, [, reader]) => sum + widthOf(reader), 0);
  const read = (row: Row, from = 0) => {
    const record: Record<string, unknown> = {};
    let at = from;
    for (const [name, reader] of list)
      record[name] = typeof reader === "function" ? reader(row[at++]!) : reader.two(row[at++]!, row[at++]!);
    return record as { readonly [K in keyof R]: Value<R[K]> };
  };
  return {
    select: (columns) => list.flatMap(([name]) => columns[name]!).join(", "),
    read,
    all: (rows, from = 0) => rows.filter((row) => row[from] !== null).map((row) => read(row, from)),
    at(from) {
      let next = from;
      const places = list.map(([name, reader]) => {
        const at = next;
        next += widthOf(reader);
        return [name, at];
      });
      return Object.fromEntries(places) as { readonly [K in keyof R]: number };
    },
    width,
  };
}

function widthOf(reader: One<unknown> | Two<unknown>): number {
  return typeof reader === "function" ? 1 : 2;
}

export const number: One<number> = Number;
export const flag: One<boolean> = (text) => text === "t" || text === "true"; // "true" if the statement casts it, for other drivers
/** As it is: a text, or null. */
export const raw: One<string | null> = (text) => text;
/** A text that is never null, of a type that this store wrote. */
export function word<T extends string = string>(): One<T> {
  return (text) => text as T;
}
/** Epoch ms. */
export const date: One<Date> = (text) => new Date(Number(text));
/** JSON that this store wrote. */
export function json<T>(): One<T> {
  return (text) => JSON.parse(text!) as T;
}
/** As `reader` reads it, but null is null. */
export function maybe<T>(reader: One<T>): One<T | null> {
  return (text) => (text === null ? null : reader(text));
}
/** A list as JSON, or none. */
export function list<T>(): One<readonly T[]> {
  return (text) => (text === null ? [] : (JSON.parse(text) as T[]));
}
/** A value as JSON, and what JSON could not say of it. */
export const wire: Two<{ readonly json: string; readonly meta: string | null }> = {
  two: (json, meta) => ({ json: json!, meta }),
};
export const maybeWire: Two<{ readonly json: string; readonly meta: string | null } | null> = {
  two: (json, meta) => (json === null ? null : { json, meta }),
};
