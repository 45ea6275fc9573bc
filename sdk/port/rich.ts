/** superjson, with rules of our own where its rules lose data or write what jsonb refuses. Which values get here is
 *  decided in codec.ts. */
import { SuperJSON } from "superjson";
import { isClean } from "./text.ts";

/** Its own rules serve undefined, numbers, bigint, Date, RegExp, URL, Map and Set. */
const rich = new SuperJSON();

/** A value as JSON, and a note of the types that JSON lacks, if it has any. */
export function toNoted(value: unknown): { readonly json: unknown; readonly note: unknown } {
  const { json, meta } = rich.serialize(value);
  return { json, note: meta?.values };
}

/** The value of what `toNoted` answered. Uses up the JSON. superjson itself refuses paths that reach a prototype; which types a note names is
 *  its caller's to check. */
export function fromNoted(json: unknown, note: unknown): unknown {
  return rich.deserialize({ json, meta: { values: note, v: 1 } } as Parameters<typeof rich.deserialize>[0], {
    inPlace: true,
  });
}

/** Types that a note may name. */
export const types: ReadonlySet<string> = new Set([
  ...["undefined", "number", "bigint", "Date", "regexp", "URL", "map", "set"],
  ...["custom,text", "custom,bytes", "custom,buffer", "custom,entries", "custom,error"],
]);

interface Rule<T> {
  readonly isApplicable: (value: unknown) => value is T;
  /** JSON, or a list or object whose parts superjson goes on with. */
  readonly serialize: (value: T) => unknown;
  readonly deserialize: (stored: never) => T;
}

function rule<T>(name: string, rule: Rule<T>): void {
  rich.registerCustom(rule as unknown as Parameters<typeof rich.registerCustom<T, null>>[0], name); // its types do not know of parts
}

/** jsonb refuses NUL and lone surrogates even as escapes, so such a text is stored as the JSON that denotes it. */
rule("text", {
  isApplicable: (value): value is string => typeof value === "string" && !isClean(value),
  serialize: (value) => JSON.stringify(value),
  deserialize: (text: string) => String(JSON.parse(text)),
});

rule("buffer", {
  isApplicable: (value): value is Buffer => Buffer.isBuffer(value),
  serialize: (value) => value.toString("base64"),
  deserialize: (text: string) => Buffer.from(String(text), "base64"),
});

rule("bytes", {
  isApplicable: (value): value is Uint8Array => value instanceof Uint8Array && !Buffer.isBuffer(value),
  serialize: (value) => Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64"),
  deserialize: (text: string) => new Uint8Array(Buffer.from(String(text), "base64")),
});

type Entry = [key: string, value: unknown];
const risky = ["__proto__", "constructor", "prototype"];

/** superjson throws for keys that could reach a prototype; as a list of entries they are mere data. */
rule("entries", {
  isApplicable: (value): value is object => isPlain(value) && risky.some((key) => Object.hasOwn(value, key)),
  serialize: (value) => Object.entries(value),
  deserialize: (entries: Entry[]): object => Object.fromEntries(entries), // defines properties, so `__proto__` is one of its own
});

interface ErrorFields {
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  readonly cause?: unknown;
  readonly errors?: unknown;
  readonly fields?: Readonly<Record<string, unknown>>;
}
const makers: Readonly<Record<string, ErrorConstructor>> = {
  TypeError,
  RangeError,
  SyntaxError,
  ReferenceError,
  URIError,
  EvalError,
};

/** superjson's rule drops stack and own fields. Errors of the language come back as their class, others as Error with
 *  their name. */
rule("error", {
  isApplicable: (value): value is Error => value instanceof Error,
  serialize: (error) => {
    const { name, message, stack, ...fields } = {
      ...error,
      name: error.name,
      message: error.message,
      stack: error.stack,
    };
    const parts: Record<string, unknown> = { name, message, stack };
    if ("cause" in error) parts["cause"] = error.cause;
    if (error instanceof AggregateError) parts["errors"] = error.errors;
    return { ...parts, ...(Object.keys(fields).length > 0 && { fields }) };
  },
  deserialize: (parts: ErrorFields) => reviveError(parts),
});

function reviveError(parts: ErrorFields): Error {
  const options = "cause" in parts ? { cause: parts.cause } : undefined;
  const make = Object.hasOwn(makers, parts.name) ? makers[parts.name]! : Error;
  const error = Array.isArray(parts.errors)
    ? new AggregateError(parts.errors, parts.message, options)
    : new make(parts.message, options);
  for (const [key, value] of Object.entries(parts.fields ?? {})) define(error, key, value, true);
  if (error.name !== parts.name) define(error, "name", parts.name, false);
  if (parts.stack !== undefined) define(error, "stack", parts.stack, false);
  return error;
}

function define(error: Error, key: string, value: unknown, enumerable: boolean): void {
  Object.defineProperty(error, key, { value, enumerable, writable: true, configurable: true });
}

/** An object without a class: what `{}` or `Object.create(null)` makes. */
export function isPlain(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
