/** Time within one process, and what it knows of the store's. Ticks are milliseconds that only grow, with fractions; their
 *  zero is arbitrary, so only differences mean something. */

/** A timer that can be set again and again. */
export interface Alarm {
  /** Rings once `at` (ticks) is reached, never before; replaces what was set. An instant in the past rings in the next turn of the event loop. */
  set(at: number): void;
  clear(): void;
}

/** Where the engine reads time from and sets its timers. Tests pass a fake one. */
export interface Clock {
  /** Monotonic milliseconds. */
  ticks(): number;
  /** How much this clock and a store's may drift apart, as a share of the time that passes. */
  readonly drift: number;
  alarm(ring: () => void): Alarm;
}

const longest = 2 ** 31 - 1;

/** The process's own clock. Alarms are exact to well under a millisecond, never early, and any length works. */
export const systemClock: Clock = {
  ticks: () => performance.now(),
  drift: 1e-4,
  alarm: (ring) => new SystemAlarm(ring),
};

class SystemAlarm implements Alarm {
  readonly #ring: () => void;
  #at = Infinity;
  /** When the armed timer will look; NaN while none is armed. */
  #looks = Number.NaN;
  #timer: NodeJS.Timeout | undefined;
  #turn: NodeJS.Immediate | undefined;

  constructor(ring: () => void) {
    this.#ring = ring;
  }

  set(at: number): void {
    this.#at = at;
    if (this.#looks <= at) return; // a timer that looks sooner sets itself again
    this.#disarm();
    this.#arm();
  }

  clear(): void {
    this.#at = Infinity;
    this.#disarm();
  }

  #arm(): void {
    if (this.#at === Infinity) return;
    const now = performance.now();
    const left = this.#at - now;
    // Timers count whole milliseconds and may come late by one: the rest goes in turns of the event loop.
    if (left < 1) {
      this.#looks = now;
      this.#turn = setImmediate(this.#look);
    } else {
      const wait = Math.min(Math.floor(left), longest);
      this.#looks = now + wait;
      this.#timer = setTimeout(this.#look, wait);
    }
  }

  readonly #look = (): void => {
    this.#looks = Number.NaN;
    if (performance.now() < this.#at) return this.#arm();
    this.#at = Infinity;
    this.#ring();
  };

  #disarm(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#turn);
    this.#looks = Number.NaN;
  }
}

/** What answers tell of the store's clock differs by less than this, because no answer takes longer to come; ms. */
const stepMs = 10_000;

/** The store's clock as a lower bound: what it shows is reached by the store, so nothing that waits for it is early.
 *  Each answer that carries the store's time bounds the offset from both sides: at receipt it is at least `nowMs`, when
 *  the request was sent it was at most that. The highest lower bound is kept, less what the clocks may have drifted since. */
export class StoreClock {
  readonly #clock: Clock;
  readonly #stepped: (byMs: number) => void;
  #offset = -Infinity;
  #since = 0;
  #stale = false;

  /** `stepped` hears by how much the store's clock was moved against this one: it was set, or this process was suspended. */
  constructor(clock: Clock, stepped: (byMs: number) => void = () => undefined) {
    this.#clock = clock;
    this.#stepped = stepped;
  }

  /** Takes in an answer: the store showed `nowMs` (epoch ms) at some instant between `sent` and `received` (ticks). */
  observe(nowMs: number, sent: number, received: number): void {
    const least = nowMs - received;
    const most = nowMs + 1 - sent; // the store cuts to whole milliseconds
    const known = this.#offset - this.#clock.drift * (received - this.#since);
    // Above what can be true: the store's clock was set back, so the old bound is void.
    this.#offset = this.#stale || known > most || known < least ? least : known;
    this.#since = received;
    this.#stale = false;
    if (least - known > stepMs && Number.isFinite(known)) this.#stepped(least - known);
    if (known - most > stepMs) this.#stepped(most - known);
  }

  /** Trusts nothing of before once the next answer comes: after a reconnect it may be another machine's. Until then the
   *  bound stays as it is. */
  drop(): void {
    this.#stale = true;
  }

  /** Epoch ms that the store has reached, at least; -Infinity before its first answer. */
  now(): number {
    const ticks = this.#clock.ticks();
    return ticks + this.#offset - this.#clock.drift * (ticks - this.#since);
  }

  /** The same as a Date; this machine's time before the first answer. */
  date(): Date {
    const now = this.now();
    return new Date(Number.isFinite(now) ? now : Date.now());
  }

  /** The tick at which `now()` will have reached an epoch ms; Infinity before the first answer. */
  tickAt(epochMs: number): number {
    const { drift } = this.#clock;
    return (epochMs - this.#offset - drift * this.#since) / (1 - drift);
  }
}

/** Waits until `at` (ticks) or until the signal aborts, whichever comes first. Never rejects. */
export function wait(clock: Clock, at: number, signal: AbortSignal): Promise<void> {
  return new Bell(clock).next(at, signal);
}

/** Wakes one waiter. A ring while nobody waits is kept, once, for whoever waits next. */
export class Bell {
  readonly #clock: Clock;
  #wake: (() => void) | null = null;
  #rang = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  ring(): void {
    if (this.#wake) this.#wake();
    else this.#rang = true;
  }

  /** Resolves at a ring, at `at` (ticks), or when the signal aborts. One caller at a time. */
  next(at: number, signal: AbortSignal): Promise<void> {
    if (this.#rang || signal.aborted) {
      this.#rang = false;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#wake = null;
        alarm.clear();
        signal.removeEventListener("abort", wake);
        resolve();
      };
      const alarm = this.#clock.alarm(wake);
      this.#wake = wake;
      signal.addEventListener("abort", wake);
      alarm.set(at);
    });
  }
}

/** Makes a pass every `periodMs` (after the last one ended, up to 10 % sooner) or at a ring, until the signal aborts.
 *  A pass that fails goes to `failed`, and the loop goes on. */
export async function every(
  clock: Clock,
  periodMs: number,
  pass: () => Promise<void>,
  failed: (error: unknown) => void,
  signal: AbortSignal,
  bell = new Bell(clock),
): Promise<void> {
  while (!signal.aborted) {
    try {
      await pass();
    } catch (error) {
      failed(error);
    }
    await bell.next(clock.ticks() + periodMs * (1 - Math.random() * 0.1), signal);
  }
}

/** Waits for work, but no longer than until `at` (ticks). Answers whether the work ended. A failure of it counts as ended. */
export async function within(clock: Clock, work: Promise<unknown>, at: number): Promise<boolean> {
  const over = new AbortController();
  let ended = false;
  const done = work.then(
    () => (ended = true),
    () => (ended = true),
  );
  await Promise.race([done, wait(clock, at, over.signal)]);
  over.abort();
  return ended;
}
