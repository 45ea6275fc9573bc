import { toMs, type DurationText } from "../../sdk/port/duration.ts";
import { invalid } from "../../sdk/port/error.ts";
import type { Alarm, Clock } from "../core/clock.ts";

/** A clock that stands still until it is moved: for a runtime as its `clock`, and for a memory store as `() => clock.nowMs()`. */
export interface FakeClock extends Clock {
  now(): Date;
  /** Epoch ms. */
  nowMs(): number;
  /** Moves on, and rings on the way what falls due, in order, each at its own instant. */
  advance(by: DurationText | number): void;
  /** Moves on at once; what fell due meanwhile rings once, late, as after a process was asleep. */
  jump(byMs: number): void;
  /** Epoch ms of the next alarm; Infinity if none is set. */
  nextMs(): number;
}

/** Makes a clock that shows `start`, 2030-01-01 by default.
 *  @throws {InvalidInput} if `start` is no date; from `advance` for what is no duration */
export function fakeClock(start: string | Date = "2030-01-01T00:00:00Z"): FakeClock {
  const origin = new Date(start).getTime();
  if (Number.isNaN(origin)) throw invalid("now", `"${String(start)}" is no date; write it like "2030-01-01T00:00:00Z"`);
  let ticks = 0;
  const alarms = new Set<FakeAlarm>();
  const next = (): FakeAlarm | null => {
    let first: FakeAlarm | null = null;
    for (const alarm of alarms) if (!first || alarm.at < first.at) first = alarm;
    return first;
  };
  return {
    drift: 0,
    ticks: () => ticks,
    alarm: (ring) => new FakeAlarm(alarms, () => ticks, ring),
    now: () => new Date(origin + ticks),
    nowMs: () => origin + ticks,
    nextMs: () => origin + (next()?.at ?? Infinity),
    advance(by) {
      const end = ticks + (typeof by === "number" ? by : toMs(by));
      for (let alarm = next(); alarm && alarm.at <= end; alarm = next()) {
        ticks = Math.max(ticks, alarm.at);
        alarm.fire();
      }
      ticks = end;
    },
    jump(byMs) {
      ticks += byMs;
      for (const alarm of [...alarms].sort((a, b) => a.at - b.at)) if (alarm.at <= ticks) alarm.fire();
    },
  };
}

class FakeAlarm implements Alarm {
  readonly #alarms: Set<FakeAlarm>;
  readonly #ticks: () => number;
  readonly #ring: () => void;
  #turn: NodeJS.Immediate | undefined;
  at = Infinity;

  constructor(alarms: Set<FakeAlarm>, ticks: () => number, ring: () => void) {
    this.#alarms = alarms;
    this.#ticks = ticks;
    this.#ring = ring;
  }

  set(at: number): void {
    this.clear();
    this.at = Math.ceil(at); // whole milliseconds, so that moves and alarms meet exactly
    if (at === Infinity) return;
    this.#alarms.add(this);
    if (at <= this.#ticks()) this.#turn = setImmediate(() => this.fire()); // over already: no move will ring it
  }

  clear(): void {
    clearImmediate(this.#turn);
    this.#alarms.delete(this);
  }

  fire(): void {
    if (!this.#alarms.has(this)) return;
    this.clear();
    this.#ring();
  }
}
