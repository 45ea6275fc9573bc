import { slot } from "../../sdk/client/scope.ts";
import type { Log } from "../../sdk/define/context.ts";
import type { LogRecord } from "../../sdk/port/target.ts";
import { clean, errorRecord } from "../../sdk/port/text.ts";
import type { Alarm, Clock, StoreClock } from "./clock.ts";
import type { Guarded, Line } from "../store/port.ts";
import { fence, fields, type Leased } from "./lease.ts";

type Level = LogRecord["level"];

/** Where the engine writes its lines: fields first, then the message, as pino takes them; a failure is in the field `err`. With `isLevelEnabled`, lines that
 *  would not be written are not built either. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  isLevelEnabled?(level: string): boolean;
}

/** Writes nothing; for a runtime without a logger. */
export const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  isLevelEnabled: () => false,
};

/** The same logger, but one that never throws: a broken log must not affect runs. */
export function guarded(logger: Logger): Logger {
  const guard = (level: Level) => (fields: object, message: string) => {
    try {
      logger[level](fields, message);
    } catch {
      // there is nowhere to say so
    }
  };
  return {
    debug: guard("debug"),
    info: guard("info"),
    warn: guard("warn"),
    error: guard("error"),
    isLevelEnabled: (level) => logger.isLevelEnabled?.(level) ?? true,
  };
}

/** A failure as lines carry it. */
export interface LoggedError {
  readonly type: string;
  readonly message: string;
  /** With causes; type and message where there is no stack. */
  readonly stack: string;
}

/** What a line has under `err`: the key and the shape that pino's serializer gives an error, for whatever logger. Without a prototype,
 *  for that serializer would name its constructor as the type. */
export function logged(error: unknown): LoggedError {
  const { name, message, stack } = errorRecord(error);
  const shape = { type: name, message, stack: stack ?? `${name}: ${message}` };
  return Object.assign(Object.create(null) as object, shape);
}

/** Whether a logger would write a line of this level; true where it doesn't say. */
export function writes(logger: Logger, level: Level): boolean {
  return logger.isLevelEnabled?.(level) ?? true;
}

/** Lines kept of one attempt, and the longest one, in bytes. */
const mostLines = 1000;
const longestLine = 8192;
/** Characters that are kept of data that is too long. */
const cutTo = 1000;
/** Lines that may wait for the store, and their characters; past them the newest are dropped. */
const mostWaiting = 10_000;
const longestWaiting = 2 ** 24;
const flushMs = 250;

interface Waiting {
  readonly leased: Leased;
  readonly line: Line;
}

export interface LinesParts {
  readonly store: Guarded;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly storeClock: StoreClock;
}

/** The lines that handlers write with `ctx.log`: to the node's logger at once, to the store in batches. */
export class Lines {
  readonly #parts: LinesParts;
  readonly #lost: (leased: Leased) => void;
  readonly #alarm: Alarm;
  #waiting: Waiting[] = [];
  /** Characters that wait. */
  #length = 0;
  #sending: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  /** `lost` is called with leases that still run here but were lost. */
  constructor(parts: LinesParts, lost: (leased: Leased) => void) {
    this.#parts = parts;
    this.#lost = lost;
    this.#alarm = parts.clock.alarm(() => void this.flush());
  }

  /** The `ctx.log` of one attempt. */
  of(leased: Leased): Log {
    const counted = { lines: 0 };
    const write = (level: Level) => (message: string, data?: unknown) =>
      this.#add(leased, counted, level, String(message), data);
    return { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
  }

  /** Whether lines wait for the store. */
  get waiting(): boolean {
    return this.#waiting.length > 0 || this.#sending !== null;
  }

  /** Stores what waits now, in one write, after the one that is under way: two at once could change the order of lines. What
   *  comes later is not waited for, so that steady logging holds up no result. Never rejects: what the store refuses is dropped. */
  flush(): Promise<void> {
    if (!this.#sending) return this.#send();
    if (this.#waiting.length === 0) return this.#sending;
    return (this.#next ??= this.#sending.then(() => {
      this.#next = null;
      return this.#send();
    }));
  }

  /** Gives up what is not stored. */
  clear(): void {
    this.#waiting = [];
    this.#alarm.clear();
  }

  #send(): Promise<void> {
    const batch = this.#waiting;
    if (batch.length === 0) return Promise.resolve();
    this.#waiting = [];
    this.#length = 0;
    return (this.#sending = this.#store(batch).finally(() => (this.#sending = null)));
  }

  async #store(batch: readonly Waiting[]): Promise<void> {
    const all = new Map<Leased, Line[]>();
    for (const { leased, line } of batch) {
      const lines = all.get(leased);
      if (lines) lines.push(line);
      else all.set(leased, [line]);
    }
    const fences = [...all.keys()].map((leased) => ({ leased, ...fence(leased) }));
    const notes = fences.map(({ leased, id, token }) => ({ id, token, lines: all.get(leased)! }));
    try {
      const lost = new Set((await this.#parts.store.runs.note(notes)).map(({ id }) => id));
      for (const { leased, id, token } of fences)
        if (lost.has(id) && leased.phase === "running" && leased.lease.token === token) this.#lost(leased);
    } catch (error) {
      this.#parts.logger.warn({ lines: batch.length, err: logged(error) }, "Log lines of runs were not stored");
    }
  }

  #add(leased: Leased, counted: { lines: number }, level: Level, message: string, data: unknown): void {
    const { attempt } = leased;
    const full = this.#waiting.length >= mostWaiting || this.#length >= longestWaiting;
    const isKept = (leased.phase === "running" || leased.phase === "left") && counted.lines < mostLines && !full;
    const isSaid = writes(this.#parts.logger, level);
    if (!isKept && !isSaid) return;
    const kept = dataOf(data);
    const cut = clean(message, longestLine);
    if (isSaid) this.#parts.logger[level]({ ...fields(leased), ...slot().tracer?.active(), data: kept.value }, cut);
    if (!isKept) return;
    const last = ++counted.lines === mostLines;
    const text = last ? `${mostLines} lines were kept of this attempt; the rest is in the log of the node` : cut;
    const json = last ? null : kept.json;
    const line = {
      attempt,
      at: this.#parts.storeClock.date(),
      level: last ? ("warn" as const) : level,
      message: text,
      data: json,
    };
    this.#length += text.length + (json?.length ?? 0);
    if (this.#waiting.push({ leased, line }) === 1) this.#alarm.set(this.#parts.clock.ticks() + flushMs);
  }
}

/** Data of a line as a value for the log, and as JSON that every store can hold, within the bytes of a line; what JSON can't
 *  say is written as text. Of what is longer, the beginning: `{"cut":"…"}`. */
function dataOf(data: unknown): { readonly value: unknown; readonly json: string | null } {
  if (data === undefined) return { value: data, json: null };
  const text = textOf(data);
  if (text.length * 3 <= longestLine || Buffer.byteLength(text) <= longestLine) return { value: data, json: text };
  const value = { cut: clean(`${text.slice(0, cutTo)}…`, longestLine) }; // at most three bytes a character
  return { value, json: JSON.stringify(value) };
}

function textOf(data: unknown): string {
  try {
    return JSON.stringify(data, (_key, value: unknown) => plain(value)) ?? JSON.stringify(String(data));
  } catch (error) {
    return JSON.stringify(`(data that can't be written: ${errorRecord(error).message})`);
  }
}

function plain(value: unknown): unknown {
  if (typeof value === "string") return clean(value, longestLine);
  if (typeof value === "bigint") return String(value);
  return value instanceof Error ? errorRecord(value) : value;
}
