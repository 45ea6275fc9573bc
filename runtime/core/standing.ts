import type { Coming } from "../store/port.ts";
import type { Clock } from "./clock.ts";

type Stand =
  | { readonly is: "out" }
  /** Its lease is good until `until`; ticks. */
  | { readonly is: "up"; readonly until: number }
  /** It asks the store for nothing until `until` (ticks). `sure`: it has looked again since it fell asleep. */
  | { readonly is: "asleep"; readonly until: number; readonly sure: boolean };

/** What a beat saw, and when it was answered (ticks). `coming`: null where it did not look. */
export interface Look {
  readonly at: number;
  readonly coming: Coming | null;
}

/** How this node stands in the store, by its last beat. The node's own loop is the only writer. */
export class Standing {
  readonly #clock: Clock;
  #stand: Stand = { is: "out" };
  #id = 0;
  #lapses = 0;
  #looked: Look = { at: -Infinity, coming: null };
  /** No loop is woken by the store: what others want is heard by beats alone. */
  deaf = true;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The node's number in the store; 0 before it joined. */
  get id(): number {
    return this.#id;
  }

  /** Whether the node's lease stands. Without it the node may neither claim nor sweep: it would take its own runs for a dead node's. */
  get alive(): boolean {
    return this.#clock.ticks() < this.heldUntil;
  }

  /** Until when what the node holds is good; ticks. */
  get heldUntil(): number {
    return this.#stand.is === "up" ? this.#stand.until : -Infinity;
  }

  /** The sleep that the node is in, if it is; it is not `alive` then. */
  get sleep(): Extract<Stand, { readonly is: "asleep" }> | null {
    return this.#stand.is === "asleep" ? this.#stand : null;
  }

  /** How often its lease had ended before a beat renewed it: each time, what fell due meanwhile was nobody's. */
  get lapses(): number {
    return this.#lapses;
  }

  /** What the last beat saw of what its jobs have to do next. */
  get looked(): Look {
    return this.#looked;
  }

  look(coming: Coming | null): void {
    this.#looked = { at: this.#clock.ticks(), coming };
  }

  join(id: number, until: number): void {
    this.#id = id;
    this.#stand = { is: "up", until };
  }

  renew(until: number): void {
    this.#stand = { is: "up", until };
  }

  lapse(): void {
    this.#lapses++;
  }

  fallAsleep(until: number, sure: boolean): void {
    this.#stand = { is: "asleep", until, sure };
  }
}
