import type { Alarm, Clock } from "../core/clock.ts";
import { Heap } from "../core/heap.ts";
import type { Leased } from "../core/lease.ts";

/** The instants at which attempts have taken too long: one alarm for all of them. */
export class Timeouts {
  readonly #clock: Clock;
  readonly #ring: (leased: Leased) => void;
  readonly #alarm: Alarm;
  readonly #heap = new Heap<Leased>();
  #set = Infinity;

  constructor(clock: Clock, ring: (leased: Leased) => void) {
    this.#clock = clock;
    this.#ring = ring;
    this.#alarm = clock.alarm(() => this.#fire());
  }

  /** Rings for the lease at `at` (ticks); replaces what was watched for it. */
  watch(leased: Leased, at: number): void {
    this.#heap.push(leased, at);
    if (at < this.#set) this.#alarm.set((this.#set = at));
  }

  forget(leased: Leased): void {
    this.#heap.remove(leased);
  }

  clear(): void {
    this.#heap.clear();
    this.#alarm.clear();
    this.#set = Infinity;
  }

  #fire(): void {
    while (this.#heap.due(this.#clock.ticks())) this.#ring(this.#heap.pop()!);
    this.#set = this.#heap.nextKey();
    if (this.#set < Infinity) this.#alarm.set(this.#set);
  }
}
