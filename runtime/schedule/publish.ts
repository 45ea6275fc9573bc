import { InvalidInput } from "../../sdk/port/error.ts";
import type { NewSchedule } from "../../sdk/port/target.ts";
import { logged, type Logger } from "../core/log.ts";
import type { Registry } from "../core/registry.ts";
import type { Published, Store } from "../store/port.ts";

export interface PublisherParts {
  readonly store: Store;
  readonly registry: Registry;
  readonly logger: Logger;
  /** Zone of schedules that name none. */
  readonly timezone: string;
  node(): number;
}

/** Tells the store which jobs this node has, and which schedules they declare, again whenever that changes: jobs come and go, and a
 *  schedule's functions may answer anew. */
export class Publisher {
  readonly #parts: PublisherParts;
  /** The last good reading of each job. */
  #read = new Map<string, readonly NewSchedule[]>();
  /** Jobs whose functions failed last time, so that each failure is said once. */
  readonly #failing = new Set<string>();
  #told = "";
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: PublisherParts) {
    this.#parts = parts;
  }

  /** Publishes. @throws {InvalidInput} naming the job whose schedule can't be right; nothing is told then */
  async start(): Promise<void> {
    await this.#tell(await this.#all(true));
  }

  /** Publishes again if something changed since; with `again`, in any case. A schedule that can't be right is logged, and stays as it was. */
  async follow(again = false): Promise<void> {
    const turn = this.#turn.then(async () => {
      if (again) this.#told = "";
      await this.#tell(await this.#all(false));
    });
    this.#turn = turn.catch(() => undefined); // one after the other, or an older answer could be told last
    return turn;
  }

  async #tell(all: readonly Published[]): Promise<void> {
    const text = JSON.stringify(all);
    if (text === this.#told) return;
    await this.#parts.store.nodes.publish(this.#parts.node(), all);
    this.#told = text;
  }

  async #all(strict: boolean): Promise<readonly Published[]> {
    const read = new Map<string, readonly NewSchedule[]>();
    for (const { id, schedules } of this.#parts.registry.specs()) {
      if (schedules.length > 0) await this.#one(id, schedules, strict);
      const found = schedules.length > 0 ? this.#read.get(id) : [];
      if (found) read.set(id, found);
    }
    this.#read = read;
    return this.#parts.registry.records().map((job) => ({ ...job, schedules: read.get(job.id) ?? null }));
  }

  async #one(
    job: string,
    schedules: readonly { read(zone: string): NewSchedule | Promise<NewSchedule> }[],
    strict: boolean,
  ): Promise<void> {
    const { timezone, logger } = this.#parts;
    try {
      const read: NewSchedule[] = [];
      for (const schedule of schedules) read.push(await schedule.read(timezone));
      this.#read.set(job, read);
      this.#failing.delete(job);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (strict) throw new InvalidInput(`job "${job}": its schedule: ${message}`, { path: "schedule", cause: error });
      if (!this.#failing.has(job))
        logger.error({ job, err: logged(error) }, "A job's schedule can't be read; it stays as it was");
      this.#failing.add(job);
    }
  }
}
