import type { Clock } from "../core/clock.ts";

/** How long, and how often, one turn of the event loop may start runs before timers and sockets get theirs. */
const longestMs = 8;
const mostStarts = 1000;

/** One turn of the event loop, as far as starting runs goes. */
export class Turn {
  readonly #clock: Clock;
  readonly #next: () => void;
  /** When this turn has started enough; NaN before its first start. */
  #endsAt = Number.NaN;
  #starts = 0;

  /** `next` is called in the turn after one that started runs. */
  constructor(clock: Clock, next: () => void) {
    this.#clock = clock;
    this.#next = next;
  }

  /** Whether this turn may start another run. */
  lasts(): boolean {
    const now = this.#clock.ticks();
    if (Number.isNaN(this.#endsAt)) {
      this.#endsAt = now + longestMs;
      this.#starts = 0;
      setImmediate(() => {
        this.#endsAt = Number.NaN;
        this.#next();
      });
    }
    return now < this.#endsAt && this.#starts++ < mostStarts;
  }
}
