import type { Log } from "../sdk/context.ts";
import { formatId } from "../sdk/id.ts";
import type { LogRecord } from "../sdk/target.ts";
import { clean, errorRecord } from "../sdk/text.ts";
import type { Alarm, Clock } from "./clock.ts";
import type { Leased } from "./lease.ts";

type Level = LogRecord["level"];

/** Where the engine writes its lines: fields first, then the message, as pino takes them. With `isLevelEnabled`, lines that
 *  would not be written are not built either. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  isLevelEnabled?(level: string): boolean;
}

/** Writes nothing; what a runtime uses that is given no logger. */
export const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  isLevelEnabled: () => false,
};

/** The same logger, but one that never throws: a broken log must not decide over runs. */
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

/** A failure as text for a line: its stack, with causes, or what there is. */
export function shown(error: unknown): string {
  const { name, message, stack } = errorRecord(error);
  return stack ?? `${name}: ${message}`;
}

/** Whether a logger would write a line of this level; true where it doesn't say. */
export function writes(logger: Logger, level: Level): boolean {
  return logger.isLevelEnabled?.(level) ?? true;
}

/** Lines kept of one attempt, and the longest one, in bytes. */
const mostLines = 1000;
const longestLine = 8192;
/** Lines that may wait for the store; past them the newest are dropped. */
const mostWaiting = 10_000;
const flushMs = 250;

/** The lines that handlers write with `ctx.log`: to the node's logger at once, to the store in batches. */
export class Lines {
  readonly #write: (batch: readonly LogRecord[]) => Promise<void>;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #clock: Clock;
  readonly #alarm: Alarm;
  #waiting: LogRecord[] = [];
  #sending: Promise<void> | null = null;

  /** `write` stores a batch; `now` is epoch ms. */
  constructor(parts: {
    readonly write: (batch: readonly LogRecord[]) => Promise<void>;
    readonly logger: Logger;
    readonly clock: Clock;
    readonly now: () => number;
  }) {
    this.#write = parts.write;
    this.#logger = parts.logger;
    this.#now = parts.now;
    this.#clock = parts.clock;
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

  /** Stores what waits. Never rejects: lines that the store refuses are dropped, for they must not hold up a result. */
  flush(): Promise<void> {
    return (this.#sending ??= this.#send().finally(() => (this.#sending = null)));
  }

  /** Gives up what is not stored. */
  clear(): void {
    this.#waiting = [];
    this.#alarm.clear();
  }

  async #send(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, 1000);
      try {
        await this.#write(batch);
      } catch (error) {
        this.#logger.warn({ lines: batch.length, error: shown(error) }, "Log lines of runs were not stored");
      }
    }
  }

  #add(leased: Leased, counted: { lines: number }, level: Level, message: string, data: unknown): void {
    const { lease, attempt } = leased;
    if (writes(this.#logger, level))
      this.#logger[level]({ run: formatId(lease.id), job: lease.job, attempt, data }, message);
    if (leased.phase === "over" || counted.lines >= mostLines || this.#waiting.length >= mostWaiting) return;
    const last = ++counted.lines === mostLines;
    const text = last
      ? `${mostLines} lines were kept of this attempt; the rest is in the log of the node`
      : clean(message, longestLine);
    const line = {
      run: lease.id,
      attempt,
      at: new Date(this.#now()),
      level: last ? "warn" : level,
      message: text,
    } as const;
    if (this.#waiting.push({ ...line, data: last ? null : json(data) }) === 1)
      this.#alarm.set(this.#clock.ticks() + flushMs);
  }
}

/** Data of a line as JSON that every store can hold; what JSON can't say is written as text. */
function json(data: unknown): string | null {
  if (data === undefined) return null;
  try {
    const text = JSON.stringify(data, (_key, value: unknown) => plain(value)) ?? JSON.stringify(String(data));
    return text.length <= longestLine
      ? text
      : JSON.stringify(`${clean(text.slice(0, longestLine / 2), longestLine / 2)}…`);
  } catch (error) {
    return JSON.stringify(`(data that can't be written: ${errorRecord(error).message})`);
  }
}

function plain(value: unknown): unknown {
  if (typeof value === "string") return clean(value, longestLine);
  if (typeof value === "bigint") return String(value);
  return value instanceof Error ? errorRecord(value) : value;
}
