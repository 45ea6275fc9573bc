import { InvalidInput, NotStorable } from "./error.ts";
import { fromNoted, isPlain, toNoted, types } from "./rich.ts";
import { clean, isClean, saidOf } from "./text.ts";

/** A value in the form that stores keep: natural JSON, and a note of the types that JSON lacks (null where there are
 *  none). Both texts cast to jsonb. */
export interface Wire {
  readonly json: string;
  readonly meta: string | null;
}

/** Bytes of UTF-8 that `json` and `meta` may have together. */
export const largestBytes = 256 * 1024;
/** Containers within containers. */
export const deepest = 64;

/** Encodes a value for a store. Beside JSON these survive: undefined, NaN, ±Infinity, -0, bigint, Date, Map, Set,
 *  Uint8Array, Buffer, URL, RegExp and Error (name, message, stack, cause and own fields). An object that occurs twice
 *  is stored twice. As in JSON, symbol keys are left out.
 *  `what` begins the path in errors: `"payload"` or `"result"`.
 *  @throws {NotStorable} naming the path of what can't be stored: a function, symbol, circle, class instance, invalid
 *  Date, more than 64 levels or 256 KiB, a getter that throws, a key with NUL or a lone surrogate. */
export function encode(value: unknown, what: string): Wire {
  const walk: Walk = { what, trail: [], inside: [], left: largestBytes, plain: true };
  const wire = walked(value, walk);
  const bytes = Buffer.byteLength(wire.json) + (wire.meta === null ? 0 : Buffer.byteLength(wire.meta));
  if (bytes > largestBytes) throw tooBig(what);
  return wire;
}

function walked(value: unknown, walk: Walk): Wire {
  try {
    visit(value, walk);
    return walk.plain ? { json: JSON.stringify(value), meta: null } : enrich(value);
  } catch (cause) {
    if (cause instanceof NotStorable) throw cause;
    throw refuse(walk, `can't be read (${saidOf(cause)})`, "pass plain data");
  }
}

/** The natural JSON of a stored value: a Date is its ISO text. */
export function natural(wire: Wire): unknown {
  return JSON.parse(wire.json);
}

/** The value of a wire. A note that is not one of ours is refused: it can neither reach a prototype nor allocate at
 *  will.
 *  @throws {InvalidInput} if it was not made by `encode`. */
export function decode(wire: Wire): unknown {
  try {
    const json: unknown = JSON.parse(wire.json);
    if (wire.meta === null) return json;
    const note: unknown = JSON.parse(wire.meta);
    checkTypes(note);
    return fromNoted(json, note);
  } catch (cause) {
    const why = saidOf(cause);
    throw new InvalidInput(`a stored value can't be decoded: ${why}; it was not written by this version of tasker`, {
      cause,
    });
  }
}

function enrich(value: unknown): Wire {
  const { json, note } = toNoted(value);
  return { json: JSON.stringify(json), meta: note === undefined ? null : JSON.stringify(note) };
}

/** A note is `[type]`, `[type, children]` or `{ path: note }`. */
function checkTypes(note: unknown): void {
  if (typeof note !== "object" || note === null) throw new Error("its note of types is malformed");
  const children: unknown = Array.isArray(note) ? note[1] : note;
  if (Array.isArray(note) && (note.length === 0 || !types.has(String(note[0]))))
    throw new Error(`type "${String(note[0]).slice(0, 40)}" is unknown`);
  if (children !== undefined) for (const child of Object.values(children as object)) checkTypes(child);
}

interface Walk {
  readonly what: string;
  /** Keys from the root to the value at hand, and the containers that they are keys of. */
  readonly trail: (string | number)[];
  readonly inside: object[];
  /** A lower bound of the bytes still to be had; it also bounds the walk over a graph with shared parts. */
  left: number;
  plain: boolean;
}

function visit(value: unknown, walk: Walk): void {
  if ((walk.left -= 1) < 0) throw tooBig(walk.what);
  switch (typeof value) {
    case "string":
      if ((walk.left -= value.length) < 0) throw tooBig(walk.what);
      if (!isClean(value)) walk.plain = false;
      return;
    case "number":
      if (!Number.isFinite(value) || Object.is(value, -0)) walk.plain = false;
      return;
    case "boolean":
      return;
    case "bigint":
    case "undefined":
      walk.plain = false;
      return;
    case "object":
      return value === null ? undefined : enter(value, walk);
    default:
      throw refuse(walk, `is a ${typeof value}`, "leave it out or pass plain data");
  }
}

function enter(value: object, walk: Walk): void {
  if (walk.inside.length >= deepest) throw tooDeep(value, walk);
  walk.inside.push(value);
  if (Array.isArray(value)) visitArray(value, walk);
  else if (isPlain(value)) visitFields(value, walk);
  else visitRich(value, walk);
  walk.inside.pop();
}

function visitArray(list: readonly unknown[], walk: Walk): void {
  if (Object.getPrototypeOf(list) !== Array.prototype)
    throw refuse(walk, "is an instance of a class", "pass a plain array");
  if (list.length > walk.left) throw tooBig(walk.what);
  for (let i = 0; i < list.length; i++) {
    walk.trail.push(i);
    const item = list[i];
    if (item === undefined && !(i in list))
      throw refuse(walk, "is a hole in an array", "fill it, with undefined or null");
    visit(item, walk);
    walk.trail.pop();
  }
}

function visitFields(holder: object, walk: Walk): void {
  for (const key of Object.keys(holder)) {
    walk.trail.push(key);
    if ((walk.left -= key.length) < 0) throw tooBig(walk.what);
    if (!isClean(key)) throw refuse(walk, "has NUL or a lone surrogate in its key", "rename the key");
    visit(read(holder, key, walk), walk);
    walk.trail.pop();
  }
}

function visitRich(value: object, walk: Walk): void {
  walk.plain = false;
  if (value instanceof Date) return dated(value, walk);
  if (value instanceof Uint8Array) return bytes(value, walk);
  if (value instanceof URL) return visit(value.href, walk);
  if (value instanceof RegExp) return pattern(value, walk);
  if (value instanceof Error) return error(value, walk);
  if (value instanceof Map && isExactly(value, Map)) return visitItems([...value].flat(), walk);
  if (value instanceof Set && isExactly(value, Set)) return visitItems([...value], walk);
  throw refuse(
    walk,
    `is an instance of ${className(value)}`,
    "pass a plain object with the fields that the handler needs",
  );
}

function visitItems(items: readonly unknown[], walk: Walk): void {
  for (const [i, item] of items.entries()) {
    walk.trail.push(i);
    visit(item, walk);
    walk.trail.pop();
  }
}

function dated(date: Date, walk: Walk): void {
  if (Number.isNaN(date.getTime())) throw refuse(walk, "is an invalid Date", "pass a valid one");
  walk.left -= 24;
}

function bytes(data: Uint8Array, walk: Walk): void {
  if ((walk.left -= data.length) < 0) throw tooBig(walk.what);
}

function pattern(value: RegExp, walk: Walk): void {
  if (!isClean(value.source)) throw refuse(walk, "is a RegExp with NUL or a lone surrogate", "write them as escapes");
  visit(value.source, walk);
}

/** Its fields are visited as the rule in rich.ts writes them. */
function error(value: Error, walk: Walk): void {
  for (const key of ["name", "message", "stack", "cause", "errors"] as const) {
    if (!(key in value)) continue;
    walk.trail.push(key);
    visit(read(value, key, walk), walk);
    walk.trail.pop();
  }
  visitFields(value, walk);
}

function read(holder: object, key: string, walk: Walk): unknown {
  try {
    return (holder as Readonly<Record<string, unknown>>)[key];
  } catch (cause) {
    throw refuse(walk, `has a getter that throws (${saidOf(cause)})`, "pass plain data");
  }
}

function isExactly(value: object, type: { readonly prototype: object }): boolean {
  return Object.getPrototypeOf(value) === type.prototype;
}

function className(value: object): string {
  const maker: unknown = (Object.getPrototypeOf(value) as { readonly constructor?: unknown }).constructor;
  return typeof maker === "function" && maker.name ? `class ${maker.name}` : "a class";
}

/** A circle is found only here, by its depth: the walk of good values pays nothing for it. */
function tooDeep(value: object, walk: Walk): NotStorable {
  const chain = [...walk.inside, value];
  const again = chain.findIndex((one, i) => chain.indexOf(one) < i);
  if (again < 0)
    return refuse(
      walk,
      `is nested more than ${deepest} levels deep`,
      "flatten it, or store it elsewhere and pass its id",
    );
  walk.trail.length = again;
  return refuse(walk, "refers back to an object that contains it", "pass its id instead");
}

function tooBig(what: string): NotStorable {
  return new NotStorable(what, "is larger than 256 KiB", "store it elsewhere and pass its id");
}

function refuse(walk: Walk, problem: string, next: string): NotStorable {
  const path = [walk.what, ...walk.trail].join(".");
  return new NotStorable(clean(path.length > 200 ? `${path.slice(0, 200)}…` : path, 1024), problem, next);
}
