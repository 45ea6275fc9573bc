import { AsyncResource } from "node:async_hooks";
import type { Added, NewRun, Tx } from "../sdk/port/target.ts";
import type { Attempts } from "./attempt/attempts.ts";
import type { Core } from "./core/core.ts";
import { tellAdded } from "./store/announce.ts";
import type { Guarded, Lease } from "./store/port.ts";

/** What one write of a store takes. */
const mostAtOnce = 1000;

/** A runtime's store as application code sees it: what is added through it wakes the runtime without a round trip, and what the
 *  runtime could start at once comes leased already, so that it needs no claim. */
export class Own {
  readonly store: Guarded;
  readonly #core: Core;
  readonly #attempts: Attempts;
  readonly #isRunning: () => boolean;
  /** Handlers must not start in the asynchronous context of whoever triggered them. */
  readonly #context = new AsyncResource("tasker");
  /** How many runs are being added that will come leased, and who waits for them. */
  #coming = 0;
  #landed: (() => void)[] = [];
  /** Leases that have come, until the end of this turn: all of one write start together. */
  #arrived: Lease[] = [];
  #arrivedSentAt = Infinity;

  constructor(core: Core, attempts: Attempts, isRunning: () => boolean) {
    this.#core = core;
    this.#attempts = attempts;
    this.#isRunning = isRunning;
    const { store } = core;
    this.store = {
      ...store,
      add: (batch, tx) => this.#add(batch, tx),
      open: (signal) => store.open(signal),
      close: () => store.close(),
    };
  }

  /** Resolves when no run is being added under a lease, and those that were are in the book of leases. Never rejects. */
  landed(): Promise<void> {
    return this.#coming === 0 ? Promise.resolve() : new Promise((resolve) => this.#landed.push(resolve));
  }

  async #add(batch: readonly NewRun[], tx?: Tx): Promise<readonly (Added | Error)[]> {
    const { store, standing, leases, settings } = this.#core;
    if (!tx && this.#isStartable(batch)) return this.#addLeased(batch);
    const answers = await store.add(batch, tx);
    if (tx) return answers; // in a transaction they do not exist yet
    const soonMs = settings.pollMs * 2;
    // A node that sleeps must hear of all that is added, however late it is due.
    if (standing.sleep || batch.some((run) => this.#isWithin(run, soonMs))) leases.want("poll");
    return answers;
  }

  /** Whether all of a call could start here at once. */
  #isStartable(batch: readonly NewRun[]): boolean {
    const { registry, leases, standing, drain } = this.#core;
    if (!this.#isRunning() || !standing.alive || drain.aborted || batch.length === 0) return false;
    const { queue } = batch[0]!;
    if (batch.length > Math.min(mostAtOnce, leases.roomFor(queue) - this.#coming)) return false;
    return batch.every((run) => run.queue === queue && isNow(run) && registry.get(run.job) !== undefined);
  }

  async #addLeased(batch: readonly NewRun[]): Promise<readonly (Added | Error)[]> {
    const { store, clock, storeClock, standing, settings, bus, voice } = this.#core;
    const sentAt = clock.ticks();
    this.#coming += batch.length;
    let kept = 0;
    try {
      const answers = await store.runs.add(batch, { lease: { node: standing.id, ttlMs: settings.leaseMs } });
      if (bus.active) tellAdded(voice, batch, answers);
      for (const answer of answers) {
        if (answer instanceof Error || !answer.lease) continue;
        if (kept++ === 0) storeClock.observe(answer.nowMs!, sentAt, clock.ticks());
        if (this.#arrived.push(answer.lease) === 1) process.nextTick(() => this.#start()); // once all promises of this turn have gone on
        this.#arrivedSentAt = Math.min(this.#arrivedSentAt, sentAt);
      }
      return answers;
    } finally {
      this.#away(batch.length - kept);
    }
  }

  #start(): void {
    const [batch, sentAt] = [this.#arrived, this.#arrivedSentAt];
    const receivedAt = this.#core.clock.ticks();
    this.#arrived = [];
    this.#arrivedSentAt = Infinity;
    this.#away(batch.length);
    this.#context.runInAsyncScope(() => this.#attempts.accept(batch, { sentAt, receivedAt, order: "priority" }));
  }

  #away(count: number): void {
    this.#coming -= count;
    if (this.#coming > 0) return;
    for (const resolve of this.#landed.splice(0)) queueMicrotask(resolve); // once they have been accepted
  }

  #isWithin({ dueAt, delayMs }: NewRun, soonMs: number): boolean {
    return dueAt === null ? delayMs <= soonMs : dueAt.getTime() <= this.#core.storeClock.now() + soonMs;
  }
}

function isNow({ dueAt, delayMs, key, replayOf }: NewRun): boolean {
  return dueAt === null && delayMs === 0 && key === null && replayOf === null;
}
