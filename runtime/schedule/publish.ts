import { InvalidInput } from "../../sdk/port/error.ts";
import type { NewSchedule } from "../../sdk/port/target.ts";
import type { Core } from "../core/core.ts";
import { logged } from "../core/log.ts";
import type { Published } from "../store/port.ts";
import { saidOf } from "../../sdk/port/text.ts";

/** Tells the store which jobs this node has, and which schedules they declare, again whenever that changes: jobs come and go, and a
 *  schedule's functions may answer anew. */
export class Publisher {
  readonly #core: Core;
  /** The last good reading of each job. */
  #read = new Map<string, readonly NewSchedule[]>();
  /** Jobs whose functions failed last time, so that each failure is said once. */
  readonly #failing = new Set<string>();
  #told = "";
  #turn: Promise<unknown> = Promise.resolve();

  constructor(core: Core) {
    this.#core = core;
  }

  /** Publishes. @throws {InvalidInput} naming the job whose schedule can't be right; nothing is told then */
  async start(): Promise<void> {
    await this.#tell(await this.#all(true));
  }

  /** Publishes again if something changed since; with `again`, in any case. What fails is logged, and tried again by the next call; a
   *  schedule that can't be right stays as it was. Never rejects. */
  follow(again = false): Promise<unknown> {
    const turn = this.#turn.then(async () => {
      if (again) this.#told = "";
      await this.#tell(await this.#all(false));
    });
    const { health } = this.#core;
    this.#turn = turn.catch((error: unknown) => health.failed("Publishing jobs", error));
    return this.#turn; // one after the other, or an older answer could be told last
  }

  async #tell(all: readonly Published[]): Promise<void> {
    const text = JSON.stringify(all);
    if (text === this.#told) return;
    await this.#core.store.nodes.publish(this.#core.standing.id, all);
    this.#told = text;
  }

  async #all(strict: boolean): Promise<readonly Published[]> {
    const read = new Map<string, readonly NewSchedule[]>();
    for (const { id, schedules } of this.#core.registry.specs()) {
      if (schedules.length > 0) await this.#one(id, schedules, strict);
      const found = schedules.length > 0 ? this.#read.get(id) : [];
      if (found) read.set(id, found);
    }
    this.#read = read;
    return this.#core.registry.records().map((job) => ({ ...job, schedules: read.get(job.id) ?? null }));
  }

  async #one(
    job: string,
    schedules: readonly { read(zone: string): NewSchedule | Promise<NewSchedule> }[],
    strict: boolean,
  ): Promise<void> {
    const { settings, logger } = this.#core;
    try {
      const read: NewSchedule[] = [];
      for (const schedule of schedules) read.push(await schedule.read(settings.timezone));
      this.#read.set(job, read);
      this.#failing.delete(job);
    } catch (error) {
      const message = saidOf(error);
      if (strict) throw new InvalidInput(`job "${job}": its schedule: ${message}`, { path: "schedule", cause: error });
      if (!this.#failing.has(job))
        logger.error({ job, err: logged(error) }, "A job's schedule can't be read; it stays as it was");
      this.#failing.add(job);
    }
  }
}
