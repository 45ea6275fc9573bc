/** Text that every store can hold, and failures as such text. */
import { inspect } from "node:util";

/** A stored failure. Text is free of NUL and lone surrogates, and capped: message 4 KiB, stack 16 KiB. */
export interface ErrorRecord {
  readonly name: string;
  readonly message: string;
  readonly stack: string | null;
}

/** Whether jsonb can hold the text: no NUL, no lone surrogate. */
export function isClean(text: string): boolean {
  return !text.includes("\0") && text.isWellFormed();
}

/** The text with each NUL and lone surrogate replaced by U+FFFD, cut to at most `bytes` of UTF-8. */
export function clean(text: string, bytes: number): string {
  const short = text.slice(0, bytes); // a character is at least one byte, so that a huge text costs nothing
  const whole = short.toWellFormed().replaceAll("\0", "\ufffd");
  if (Buffer.byteLength(whole) <= bytes) return whole;
  return Buffer.from(whole)
    .subarray(0, bytes)
    .toString()
    .replace(/\ufffd$/, "")
    .slice(0, bytes); // a cut character is dropped
}

const messageBytes = 4096;
const stackBytes = 16_384;
const deepestCause = 8;

/** What was thrown, in words: the message of an error. */
export function saidOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** What was thrown, as an error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown });
}

/** Whatever was thrown, as a record that can be stored: also `undefined`, frozen objects and objects whose getters
 *  throw. Message ≤ 4 KiB, stack ≤ 16 KiB; the stack goes on with the causes. Never throws. */
export function errorRecord(thrown: unknown): ErrorRecord {
  try {
    if (!isError(thrown))
      return { name: "NonError", message: clean(`${shown(thrown)} was thrown`, messageBytes), stack: null };
    const stack = stackOf(thrown);
    return {
      name: clean(field(thrown, "name") || "Error", 256),
      message: clean(messageOf(thrown), messageBytes),
      stack: stack ? clean(stack, stackBytes) : null,
    };
  } catch {
    return { name: "NonError", message: "something that can't be read was thrown", stack: null };
  }
}

/** An Error again from its record, with the name and stack of the original. */
export function revive(record: ErrorRecord): Error {
  const error = new Error(record.message);
  error.name = record.name;
  error.stack = record.stack ?? `${record.name}: ${record.message}`;
  return error;
}

/** By shape: an error of another realm or of a doubly loaded module is one, too. */
function isError(thrown: unknown): thrown is object {
  if (typeof thrown !== "object" || thrown === null) return false;
  try {
    if (thrown instanceof Error) return true;
  } catch {
    return false; // a revoked proxy
  }
  return typeof fieldOf(thrown, "message") === "string" && typeof fieldOf(thrown, "name") === "string";
}

function field(holder: object, key: string): string {
  const value = fieldOf(holder, key);
  return typeof value === "string" ? value : "";
}

/** Node's own AggregateErrors, of a refused connection for example, do not have a message of their own. */
function messageOf(error: object): string {
  const own = field(error, "message");
  const parts = fieldOf(error, "errors");
  if (own || !Array.isArray(parts)) return own || field(error, "code");
  return parts
    .slice(0, 5)
    .map((part) => (isError(part) ? field(part, "message") : shown(part)))
    .join("; ");
}

function stackOf(error: object): string {
  const parts: string[] = [];
  let next: unknown = error;
  for (let depth = 0; depth < deepestCause && next !== undefined && next !== null; depth++) {
    const text = isError(next) ? field(next, "stack") || `${field(next, "name")}: ${messageOf(next)}` : shown(next);
    parts.push(depth === 0 ? text : `caused by: ${text}`);
    next = isError(next) ? fieldOf(next, "cause") : undefined;
  }
  return parts.length === 1 ? field(error, "stack") : parts.map((part) => part.slice(0, stackBytes)).join("\n");
}

function shown(value: unknown): string {
  if (typeof value === "string") return value.slice(0, messageBytes);
  try {
    return inspect(value, { depth: 2, maxArrayLength: 10, maxStringLength: 500, getters: false });
  } catch {
    return "something that can't be read"; // it has an inspect of its own
  }
}

/** A field of whatever was thrown; undefined where there is none, or where it can't be read. */
export function fieldOf(thrown: unknown, key: string | symbol): unknown {
  if (typeof thrown !== "object" || thrown === null) return undefined;
  try {
    return (thrown as Readonly<Record<string | symbol, unknown>>)[key];
  } catch {
    return undefined;
  }
}
