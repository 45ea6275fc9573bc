import { Bell, every, type Clock } from "../core/clock.ts";
import type { Publisher } from "../schedule/publish.ts";
import type { Health } from "../core/health.ts";
import type { Logger } from "../core/log.ts";
import type { Settings } from "../setting.ts";
import type { Store } from "../store/port.ts";

const pruneEveryMs = 3_600_000;
const firstPruneMs = 10_000;
/** How often to look whether there is anything to do, at least; ms. */
const lookMs = 60_000;

export interface SweeperParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly health: Health;
  readonly logger: Logger;
  readonly publisher: Publisher;
  readonly sweepMs: number;
  readonly maxCrashes: number;
  readonly keep: Settings["keep"];
  readonly drain: AbortSignal;
  node(): number;
  /** Whether the node's own lease stands; whether it sleeps; and makes it beat at once. */
  alive(): boolean;
  asleep(): boolean;
  revive(): void;
  /** Runs came back that may be due. */
  recovered(): void;
}

/** Housekeeping: takes back runs of dead nodes once a beat has told of some, asks schedules' functions anew, prunes history every hour. */
export class Sweeper {
  readonly #parts: SweeperParts;
  readonly #bell: Bell;
  /** What others left behind before this node came is not waited for. */
  #wanted = true;
  #sweptAt = -Infinity;
  #pruneAt = Infinity;

  constructor(parts: SweeperParts) {
    this.#parts = parts;
    this.#bell = new Bell(parts.clock);
  }

  /** When it prunes next; ticks. */
  get pruneAt(): number {
    return this.#pruneAt;
  }

  /** There is something to sweep: does so at once, but never more often than every `sweepMs`. */
  want(): void {
    const { clock, sweepMs } = this.#parts;
    this.#wanted = true;
    if (clock.ticks() >= this.#sweptAt + sweepMs * 0.9) this.#bell.ring();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, sweepMs, health } = this.#parts;
    this.#pruneAt = clock.ticks() + firstPruneMs * (1 + Math.random());
    const failed = (error: unknown): void => health.failed("Sweeping", error);
    await every(clock, Math.min(sweepMs, lookMs), () => this.#pass(), failed, signal, this.#bell);
  }

  async #pass(): Promise<void> {
    const { clock, publisher, sweepMs, alive, asleep, revive } = this.#parts;
    if (!alive() && !asleep()) return revive(); // it would take its own runs for a dead node's
    if (alive() && this.#wanted && clock.ticks() >= this.#sweptAt + sweepMs * 0.9) await this.#sweep();
    await publisher.follow();
    if (alive()) await this.#prune();
  }

  async #sweep(): Promise<void> {
    const { store, clock, maxCrashes, logger } = this.#parts;
    this.#sweptAt = clock.ticks();
    this.#wanted = false;
    const swept = store.runs.sweep({ maxCrashes, node: this.#parts.node() });
    const { recovered, crashed, expired } = await swept.catch((error: unknown) => {
      this.#wanted = true;
      throw error;
    });
    if (recovered + crashed > 0) logger.warn({ recovered, crashed, expired }, "Runs of dead nodes were taken back");
    if (recovered > 0) this.#parts.recovered();
  }

  async #prune(): Promise<void> {
    const { store, clock, keep, drain } = this.#parts;
    if (clock.ticks() < this.#pruneAt) return;
    this.#pruneAt = clock.ticks() + pruneEveryMs;
    while ((await store.keep.prune(keep)) > 0 && !drain.aborted);
  }
}
