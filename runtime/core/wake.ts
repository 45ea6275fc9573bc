import { Bell, type Clock } from "./clock.ts";

/** When one loop looks next, and what brings that forward. The loop plans; anybody may ask it to look earlier. */
export class Wake {
  readonly #clock: Clock;
  readonly #bell: Bell;
  #planned = -Infinity;
  #earlier = Infinity;
  #told = false;
  #passing = false;
  readonly #waiting: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#bell = new Bell(clock);
  }

  /** When the loop looks next; ticks. */
  get at(): number {
    return this.#told ? -Infinity : Math.min(this.#planned, this.#earlier);
  }

  /** Whether nobody asked for a look before the planned one, and none is under way. */
  get quiet(): boolean {
    return !this.#passing && !this.#told && this.#earlier >= this.#planned;
  }

  /** Something changed: look at once. */
  tell(): void {
    this.#told = true;
    this.#bell.ring();
  }

  /** As `tell`, unless a look is under way, which will see what changed. */
  stir(): void {
    if (!this.#passing) this.tell();
  }

  /** Look at `at` (ticks) at the latest. */
  by(at: number): void {
    if (at >= this.at) return;
    this.#earlier = at;
    this.#bell.ring();
  }

  /** Wakes the loop, for it to see whether there is something to do. */
  ring(): void {
    this.#bell.ring();
  }

  /** A look begins, if there is a reason for one: somebody told of a change, or asked for this instant, or the planned time came. What is
   *  asked for from here on counts for the next look. Null: there is none, and nothing begins. */
  begin(): "told" | "asked" | "planned" | null {
    const now = this.#clock.ticks();
    const why = this.#told ? "told" : now >= this.#earlier ? "asked" : now >= this.#planned ? "planned" : null;
    if (why === null) return null;
    this.#passing = true;
    this.#told = false;
    this.#planned = Infinity;
    if (now >= this.#earlier) this.#earlier = Infinity;
    return why;
  }

  /** The look is over. The next one is at `at` (ticks), unless somebody asks for an earlier one. */
  plan(at: number): void {
    this.#passing = false;
    this.#planned = at;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Resolves when the look that is under way, if any, is over. */
  passed(): Promise<void> {
    return this.#passing ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve();
  }

  /** Resolves when it is time to look, at a ring, or when the signal aborts. */
  next(signal: AbortSignal): Promise<void> {
    return this.at <= this.#clock.ticks() ? Promise.resolve() : this.#bell.next(this.at, signal);
  }
}
