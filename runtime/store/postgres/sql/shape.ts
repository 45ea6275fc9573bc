import type { Wire } from "../../../../sdk/port/codec.ts";
import type { Row } from "../pool.ts";
import { epoch } from "./part.ts";

type Text = string | null;
/** Reads a column's text. `of`: the expression that selects the column. */
export interface One<T> {
  (text: Text): T;
  readonly of?: ((column: string) => string) | undefined;
}
/** Reads two columns into one value. */
export interface Two<T> {
  readonly two: (first: Text, second: Text) => T;
}
type Readers = Readonly<Record<string, One<unknown> | Two<unknown>>>;
type Value<R> = R extends One<infer T> ? T : R extends Two<infer T> ? T : never;
type Values<R> = { readonly [K in keyof R]: Value<R[K]> };
type Columns<R> = { readonly [K in keyof R]: R[K] extends Two<unknown> ? readonly [string, string] : string };
type Pairs<R> = { [K in keyof R]: R[K] extends Two<unknown> ? K : never }[keyof R];

/** Named columns of an answer: how they are selected and read. */
export interface Shape<R extends Readers> {
  /** The select list. */
  select(columns: Columns<R>): string;
  /** As `select`; other columns are those of the table with the same name in snake case. */
  from(table: string, columns: Partial<Columns<R>> & Pick<Columns<R>, Pairs<R>>): string;
  /** Reads a row whose columns of this shape begin at `from`. */
  read(row: Row, from?: number): Values<R>;
  /** Reads the rows whose first column is not null. */
  all(rows: readonly Row[], from?: number): readonly Values<R>[];
  /** The index of each column, for literals, which read a row in half the time. */
  at(from: number): Readonly<Record<keyof R, number>>;
  readonly width: number;
}

export function shape<const R extends Readers>(readers: R): Shape<R> {
  const list = Object.entries(readers);
  const places: [name: string, at: number][] = [];
  let width = 0;
  for (const [name, reader] of list) {
    places.push([name, width]);
    width += typeof reader === "function" ? 1 : 2;
  }
  const read = (row: Row, from = 0) => {
    const record: Record<string, unknown> = {};
    let at = from;
    for (const [name, reader] of list)
      record[name] = typeof reader === "function" ? reader(row[at++]!) : reader.two(row[at++]!, row[at++]!);
    return record as Values<R>;
  };
  return {
    select: (columns) => list.flatMap(([name]) => columns[name]!).join(", "),
    from: (table, columns) =>
      list.flatMap(([name, reader]) => columns[name] ?? columnOf(reader, `${table}.${snake(name)}`)).join(", "),
    read,
    all: (rows, from = 0) => rows.filter((row) => row[from] !== null).map((row) => read(row, from)),
    at: (from) => Object.fromEntries(places.map(([name, at]) => [name, from + at])) as Record<keyof R, number>,
    width,
  };
}

function columnOf(reader: One<unknown> | Two<unknown>, column: string): string {
  return (typeof reader === "function" && reader.of?.(column)) || column;
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

export const number: One<number> = Number;
export const flag: One<boolean> = (text) => text === "t" || text === "true"; // "true" if cast to text
export const raw: One<string | null> = (text) => text;
/** A text that is not null. */
export function word<T extends string = string>(): One<T> {
  return (text) => text as T;
}
/** An instant, as epoch ms. */
export const date: One<Date> = Object.assign((text: Text) => new Date(Number(text)), { of: epoch });
export function json<T>(): One<T> {
  return (text) => JSON.parse(text!) as T;
}
export function maybe<T>(reader: One<T>): One<T | null> {
  return Object.assign((text: Text) => (text === null ? null : reader(text)), { of: reader.of });
}
/** Columns that are read alike. */
export function each<T, K extends string>(reader: One<T>, ...names: readonly K[]): Readonly<Record<K, One<T>>> {
  return Object.fromEntries(names.map((name) => [name, reader])) as Record<K, One<T>>;
}
/** An array, as JSON; an empty list for null. */
export function list<T>(): One<readonly T[]> {
  return Object.assign((text: Text) => (text === null ? [] : (JSON.parse(text) as T[])), {
    of: (column: string) => `to_json(${column})`,
  });
}
/** A value as JSON, and the note of its types. */
export const wire: Two<Wire> = { two: (json, meta) => ({ json: json!, meta }) };
export const maybeWire: Two<Wire | null> = { two: (json, meta) => (json === null ? null : { json, meta }) };
