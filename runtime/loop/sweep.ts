import type { Core } from "../core/core.ts";
import type { Publisher } from "../schedule/publish.ts";
import { tellRuns } from "../store/announce.ts";
import type { Keep, Swept } from "../store/port.ts";

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
      const at = clock.ticks() + Math.min(settings.sweepMs, lookMs) * (1 - Math.random() * 0.1);
      const soon = Math.max(this.#sweepAt, clock.ticks() + settings.pollMs);
      sweeps.plan(this.#wanted ? Math.min(at, soon) : at);
      await sweeps.next(signal);
    }
  }

  /** When it may sweep again; ticks. */
  get #sweepAt(): number {
    return this.#sweptAt + this.#core.settings.sweepMs * 0.9;
  }

  async #pass(signal: AbortSignal): Promise<void> {
    const { clock, standing, beats } = this.#core;
    if (!standing.alive && !standing.sleep) return beats.stir(); // it would take its own runs for a dead node's
    if (standing.alive && this.#wanted && clock.ticks() >= this.#sweepAt) await this.#sweep();
    await this.#publisher.follow();
    if (standing.alive) await this.#prune(signal);
  }

  /** With `keep` it also prunes. */
  async #sweep(keep?: Keep): Promise<Swept> {
    const { store, clock, standing, leases, logger, settings, sweeps, meters } = this.#core;
    this.#sweptAt = clock.ticks();
    this.#wanted = false;
    try {
      const swept = await store.runs.sweep({ maxCrashes: settings.maxCrashes, node: standing.id, keep });
      for (const meter of meters) meter.swept(swept);
      const [recovered, crashed, expired] = [swept.recovered.length, swept.crashed.length, swept.expired.length];
      if (recovered + crashed > 0)
        logger.warn(
          { recovered, crashed, expired },
          "Runs were taken back from processes that died or did not renew their lease",
        );
      if (recovered > 0) leases.want("poll");
      this.#tell(swept);
      if (swept.more) {
        this.#sweptAt = -Infinity; // there may be more: at once
        sweeps.tell();
      }
      return swept;
    } catch (error) {
      this.#wanted = true;
      throw error;
    }
  }

  #tell({ recovered, crashed, expired, canceled }: Swept): void {
    const { bus, voice, store, health } = this.#core;
    if (!bus.active || recovered.length + crashed.length + expired.length + canceled.length === 0) return;
    const told = Promise.all([
      tellRuns(store.find, voice, recovered, { type: "run.retrying", reason: "crashed" }),
      tellRuns(store.find, voice, crashed, { type: "run.failed", reason: "crashed" }),
      tellRuns(store.find, voice, expired, { type: "run.failed", reason: "expired" }),
      tellRuns(store.find, voice, canceled, { type: "run.canceled", reason: "user" }),
    ]);
    store.outlet.after(told.catch((error: unknown) => health.failed("Telling of swept runs", error)));
  }

  async #prune(signal: AbortSignal): Promise<void> {
    const { clock, prunes, settings } = this.#core;
    if (clock.ticks() < prunes.at) return;
    prunes.plan(clock.ticks() + pruneEveryMs);
    while ((await this.#sweep(settings.keep)).pruned > 0 && !signal.aborted);
  }
}
