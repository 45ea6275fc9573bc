import { toMs, type DurationText } from "../../sdk/port/duration.ts";

/** A clock that stands still until it is moved. */
export interface FakeClock {
  now(): Date;
  /** Epoch ms of `now()`: what a store takes as its `now`. */
  nowMs(): number;
  /** Moves the clock; resolves when all listeners have taken note. */
  advance(text: DurationText): Promise<void>;
  /** Calls back with the milliseconds of each move, so that a store with a clock of its own can follow. */
  onAdvance(listener: (ms: number) => unknown): void;
}

/** Makes a clock that shows `start` (now, by default) and moves by `advance` alone. */
export function fakeClock(start: string | Date = new Date()): FakeClock {
  let ms = new Date(start).getTime();
  const listeners: ((ms: number) => unknown)[] = [];
  return {
    now: () => new Date(ms),
    nowMs: () => ms,
    async advance(text) {
      const step = toMs(text);
      ms += step;
      for (const listener of listeners) await listener(step);
    },
    onAdvance: (listener) => void listeners.push(listener),
  };
}
