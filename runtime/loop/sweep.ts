import type { Core } from "../core/core.ts";
import type { Publisher } from "../schedule/publish.ts";

const pruneEveryMs = 3_600_000;
const firstPruneMs = 10_000;
/** How often to look whether there is anything to do, at least; ms. */
const lookMs = 60_000;

/** Housekeeping: takes back runs of dead nodes once a beat has told of some, asks schedules' functions anew, prunes history every hour. */
export class Sweeper {
  readonly #core: Core;
  readonly #publisher: Publisher;
  /** What others left behind before this node came is not waited for. */
  #wanted = true;
  #sweptAt = -Infinity;

  constructor(core: Core, publisher: Publisher) {
    this.#core = core;
    this.#publisher = publisher;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, sweeps, prunes, health, settings } = this.#core;
    prunes.plan(clock.ticks() + firstPruneMs * (1 + Math.random()));
    while (!signal.aborted) {
      const why = sweeps.begin();
      this.#wanted ||= why === "told";
      await this.#pass(signal).catch((error: unknown) => health.failed("Sweeping", error));
      sweeps.plan(clock.ticks() + Math.min(settings.sweepMs, lookMs) * (1 - Math.random() * 0.1));
      await sweeps.next(signal);
    }
  }

  async #pass(signal: AbortSignal): Promise<void> {
    const { clock, standing, beats, settings } = this.#core;
    if (!standing.alive && !standing.sleep) return beats.stir(); // it would take its own runs for a dead node's
    const isTime = clock.ticks() >= this.#sweptAt + settings.sweepMs * 0.9; // never more often
    if (standing.alive && this.#wanted && isTime) await this.#sweep();
    await this.#publisher.follow();
    if (standing.alive) await this.#prune(signal);
  }

  async #sweep(): Promise<void> {
    const { store, clock, standing, leases, logger, settings } = this.#core;
    this.#sweptAt = clock.ticks();
    this.#wanted = false;
    const swept = store.runs.sweep({ maxCrashes: settings.maxCrashes, node: standing.id });
    const { recovered, crashed, expired } = await swept.catch((error: unknown) => {
      this.#wanted = true;
      throw error;
    });
    if (recovered + crashed > 0) logger.warn({ recovered, crashed, expired }, "Runs of dead nodes were taken back");
    if (recovered > 0) leases.want("poll");
  }

  async #prune(signal: AbortSignal): Promise<void> {
    const { store, clock, prunes, settings } = this.#core;
    if (clock.ticks() < prunes.at) return;
    prunes.plan(clock.ticks() + pruneEveryMs);
    while ((await store.keep.prune(settings.keep)) > 0 && !signal.aborted);
  }
}
