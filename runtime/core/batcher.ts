import { StoreUnavailable } from "../../sdk/port/error.ts";
import { within, type Alarm, type Clock } from "./clock.ts";
import type { Health } from "./health.ts";

const largestBatch = 1000;
const mostInFlight = 2;
const firstDelayMs = 100;
const longestDelayMs = 5000;
/** How often a batch that the store refuses is sent whole, before the item at fault is looked for. */
const wholeTries = 5;

interface BatcherParts<T> {
  readonly clock: Clock;
  readonly health: Health;
  /** Names the call in logs. */
  readonly what: string;
  /** Writes a batch, or throws and has written nothing. */
  readonly send: (batch: readonly T[]) => Promise<void>;
  /** Hears of an item that the store won't take even alone. */
  readonly refused: (item: T, error: unknown) => void;
}

/** What waits to be written in batches: all that came in one turn of the event loop shares a call, and while two calls are in
 *  flight the rest waits for them. Nothing is lost while the store is away: it is kept and sent again, with growing delays. */
export class Batcher<T> {
  readonly #parts: BatcherParts<T>;
  readonly #retry: Alarm;
  #waiting: T[] = [];
  readonly #flights = new Set<Promise<void>>();
  #sending = 0;
  #turn = false;
  #delayMs = 0;
  #refusals = 0;
  #done: (() => void) | null = null;

  constructor(parts: BatcherParts<T>) {
    this.#parts = parts;
    this.#retry = parts.clock.alarm(() => this.#flush());
  }

  /** Items that are not written yet. */
  get size(): number {
    return this.#waiting.length + this.#sending;
  }

  add(item: T): void {
    this.#waiting.push(item);
    if (this.#turn || this.#delayMs > 0) return;
    this.#turn = true;
    setImmediate(() => {
      this.#turn = false;
      this.#flush();
    });
  }

  /** Waits until all is written, or until `at` (ticks). Answers whether it is. */
  async drained(at: number): Promise<boolean> {
    if (this.size === 0) return true;
    return within(this.#parts.clock, new Promise<void>((resolve) => (this.#done = resolve)), at);
  }

  /** Sends what waits, at once, even between two tries. Resolves when it is written, or a try failed. Never rejects. */
  async flush(): Promise<void> {
    do {
      this.#flush();
      await Promise.all(this.#flights);
    } while (this.#waiting.length > 0 && this.#delayMs === 0);
  }

  /** Gives up what is not written. */
  clear(): void {
    this.#waiting = [];
    this.#retry.clear();
  }

  #flush(): void {
    while (this.#waiting.length > 0 && this.#flights.size < mostInFlight) {
      const batch = this.#waiting.length <= largestBatch ? this.#waiting : this.#waiting.slice(0, largestBatch);
      this.#waiting = batch === this.#waiting ? [] : this.#waiting.slice(largestBatch);
      this.#sending += batch.length;
      const flight: Promise<void> = this.#attempt(batch).then((back) => this.#landed(flight, batch.length, back));
      this.#flights.add(flight);
    }
  }

  /** A batch of `sent` items is over, but for those that must be sent again. */
  #landed(flight: Promise<void>, sent: number, back: readonly T[]): void {
    this.#flights.delete(flight);
    this.#sending -= sent;
    if (back.length > 0) return this.#later(back);
    this.#delayMs = this.#refusals = 0;
    this.#flush();
    if (this.size === 0) this.#done?.();
  }

  /** Sends a batch. Answers what must be sent again. */
  async #attempt(batch: readonly T[]): Promise<readonly T[]> {
    try {
      await this.#parts.send(batch);
      this.#parts.health.ok();
      return [];
    } catch (error) {
      this.#parts.health.failed(this.#parts.what, error);
      // What may be passing, such as a deadlock or a full disk, is waited out before any item is blamed.
      if (error instanceof StoreUnavailable || ++this.#refusals < wholeTries) return batch;
      if (batch.length > 1) return this.#halve(batch);
      this.#parts.refused(batch[0]!, error);
      return [];
    }
  }

  async #halve(batch: readonly T[]): Promise<readonly T[]> {
    const half = batch.length >> 1;
    return [...(await this.#attempt(batch.slice(0, half))), ...(await this.#attempt(batch.slice(half)))];
  }

  #later(batch: readonly T[]): void {
    this.#waiting = [...batch, ...this.#waiting];
    this.#delayMs = Math.min(longestDelayMs, Math.max(firstDelayMs, this.#delayMs * 2));
    this.#retry.set(this.#parts.clock.ticks() + this.#delayMs * (0.5 + Math.random() / 2));
  }
}
