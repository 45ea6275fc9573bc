import type { InvalidInput } from "../port/error.ts";
import { invalid } from "../port/error.ts";
import { near, meant } from "../port/near.ts";
import { read, type Column } from "./parser.ts";

/** A column of a cron text: what it is called and what may stand in it. */
export interface Field {
  readonly name: string;
  readonly column: Column;
  readonly min: number;
  /** The last value that counts in `*` and `a/n`. */
  readonly max: number;
  /** The last value that may be written, and the longest step. */
  readonly top: number;
  /** Words for the values, from `min` on. */
  readonly words: readonly string[];
  /** Examples for errors. */
  readonly like: string;
}

const months = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(" ");
const weekdays = "SUN MON TUE WED THU FRI SAT".split(" ");
const numbers = '"5", "1-5", "*/5" or a list like "1,5"';

export const second = field("second", "second", 0, 59);
export const minute = field("minute", "minute", 0, 59);
export const hour = field("hour", "hour", 0, 23);
export const dayOfMonth = {
  ...field("day-of-month", "dayOfMonth", 1, 31),
  like: '"5", "1-5", "*/5", "L", "15W" or a list like "1,15"',
};
export const month = {
  ...field("month", "month", 1, 12),
  words: months,
  like: '"5", "JAN-MAR", "*/3" or a list like "1,7"',
};
export const dayOfWeek = {
  ...field("day-of-week", "dayOfWeek", 0, 6),
  top: 7,
  words: weekdays,
  like: '"1", "MON-FRI", "MON#2", "5L" or a list like "MON,WED"',
};

/** The fields as people read them. */
export const order = "minute hour day-of-month month day-of-week";

function field(name: string, column: Column, min: number, max: number): Field {
  return { name, column, min, max, top: max, words: [], like: numbers };
}

const numeric = /^(?:\*|\d+(?:-\d+)?)(?:\/\d+)?$/;
const named = /^(?:\*|(?:\d+|[a-z]{3})(?:-(?:\d+|[a-z]{3}))?)(?:\/\d+)?$/i;

/** The values that one item of a list names. cron-parser reads it; `?` and `H` in any field, names that are run together, and
 *  steps longer than the field, which it takes, are refused before.
 *  @throws {InvalidInput} that names the field and what it allows */
export function plain(field: Field, item: string): readonly number[] {
  const shape = field.words.length ? named : numeric;
  const step = Number(item.split("/")[1] ?? 1);
  const values = shape.test(item) && step <= field.top ? read(field.column, item) : null;
  return values ?? refuse(field, item);
}

function refuse(field: Field, item: string): never {
  const [range = "", step, ...more] = item.split("/");
  if (step !== undefined) stepOf(field, step);
  const ends = range.split("-");
  if (more.length || ends.length > 2) throw malformed(field, item);
  const [from, to] = ends.map((end) => valueOf(field, end, item));
  if (to === undefined) throw malformed(field, item);
  const hint = step ? "" : `; write "${from}-${field.max},${field.min}-${to}"`;
  throw wrong(field, item, `runs backwards${hint}`);
}

/** A step of a field, from its digits.
 *  @throws {InvalidInput} that names the field and what it allows */
export function stepOf(field: Field, text: string): number {
  if (!/^\d+$/.test(text)) throw wrong(field, `/${text}`, `has no step; write it like "*/5"`);
  const step = Number(text);
  if (step < 1 || step > field.top) throw wrong(field, `/${text}`, `is no step within 1-${field.top}`);
  return step;
}

/** The value of a number or name. `item` is what it stands in.
 *  @throws {InvalidInput} that names the field and what it allows */
export function valueOf(field: Field, word: string, item: string): number {
  if (/^\d+$/.test(word)) return within(field, word);
  if (!/^[a-z]+$/i.test(word)) throw malformed(field, item);
  const name = word.toUpperCase();
  const at = field.words.indexOf(name);
  if (at >= 0) return field.min + at;
  const other = [month, dayOfWeek].find(({ words }) => words.includes(name));
  if (other) throw wrong(field, word, `is a ${other.name}; the order is ${order}`);
  if (!field.words.length) throw malformed(field, item);
  const short = name.slice(0, 3);
  const hints = field.words.includes(short) ? [short] : near(name, field.words);
  const hint = meant(hints) || `write ${field.words.join(" ")} or ${limits(field)}`;
  throw wrong(field, word, `is not a name; ${hint}`);
}

function within(field: Field, text: string): number {
  const value = Number(text);
  if (value >= field.min && value <= field.top) return value;
  const swapped = value > 0 && value <= 59 && field.top < 59;
  const hint = field === hour && value === 24 ? "; midnight is 0" : swapped ? `; the order is ${order}` : "";
  throw wrong(field, text, `is not within ${limits(field)}${hint}`);
}

function limits({ min, top }: Field): string {
  return `${min}-${top}`;
}

/** The error for an item whose form the field does not know. */
export function malformed(field: Field, item: string): InvalidInput {
  if (item === "?") return wrong(field, item, 'stands for any day, in the day fields only; write "*"');
  return wrong(field, item, `is not understood; write ${field.like}`);
}

/** The error about what was written in a field. */
export function wrong({ name }: Field, text: string, problem: string): InvalidInput {
  return invalid("cron", `${name} "${text}" ${problem}`);
}
