import { AsyncResource } from "node:async_hooks";
import { formatId } from "../sdk/port/id.ts";
import type { Added, NewRun, Tx } from "../sdk/port/target.ts";
import type { Attempts } from "./attempt/attempts.ts";
import type { Core } from "./core/core.ts";
import type { Guarded, Lease } from "./store/port.ts";

/** What one write of a store takes. */
const mostAtOnce = 1000;

export interface Owned {
  readonly store: Guarded;
  /** Resolves when no run is being added under a lease, and those that were are in the scheduler's books. Never rejects. */
  landed(): Promise<void>;
}

/** A runtime's store as application code sees it: what is added through it wakes the runtime without a round trip, and what the
 *  runtime could start at once comes leased already, so that it needs no claim. */
export function own(core: Core, attempts: Attempts, isRunning: () => boolean): Owned {
  const { store, clock, storeClock, registry, leases, standing, settings, bus, drain } = core;
  const { name, lacks, runs, nodes, ticks, find, desk, schedules } = store;
  // Handlers must not start in the asynchronous context of whoever triggered them.
  const context = new AsyncResource("tasker");
  /** Runs that are being added, and will come leased. */
  let coming = 0;

  let landed: (() => void)[] = [];

  function away(count: number): void {
    coming -= count;
    if (coming > 0) return;
    for (const resolve of landed) queueMicrotask(resolve); // once they have been accepted
    landed = [];
  }

  /** Whether all of a call could start here at once. */
  function startable(batch: readonly NewRun[]): boolean {
    if (!isRunning() || !standing.alive || drain.aborted || batch.length === 0) return false;
    const queue = batch[0]!.queue;
    if (batch.length > Math.min(mostAtOnce, leases.roomFor(queue) - coming)) return false;
    return batch.every((run) => run.queue === queue && isNow(run) && registry.get(run.job) !== undefined);
  }

  /** Leases that have come, until the end of this turn: all of one write start together. */
  let arrived: Lease[] = [];
  let arrivedSentAt = Infinity;

  function start(): void {
    const [batch, sentAt] = [arrived, arrivedSentAt];
    arrived = [];
    arrivedSentAt = Infinity;
    away(batch.length);
    context.runInAsyncScope(() =>
      attempts.accept(batch, { sentAt, receivedAt: clock.ticks(), order: "priority" } as const),
    );
  }

  async function addLeased(batch: readonly NewRun[]): Promise<readonly (Added | Error)[]> {
    const sentAt = clock.ticks();
    coming += batch.length;
    let kept = 0;
    try {
      const answers = await runs.add(batch, { lease: { node: standing.id, ttlMs: settings.leaseMs } });
      announce(batch, answers);
      for (const answer of answers) {
        if (answer instanceof Error || !answer.lease) continue;
        if (kept++ === 0) storeClock.observe(answer.nowMs!, sentAt, clock.ticks());
        if (arrived.push(answer.lease) === 1) process.nextTick(start); // once all promises of this turn have gone on
        arrivedSentAt = Math.min(arrivedSentAt, sentAt);
      }
      return answers;
    } finally {
      away(batch.length - kept);
    }
  }

  async function add(batch: readonly NewRun[], tx?: Tx): Promise<readonly (Added | Error)[]> {
    if (!tx && startable(batch)) return addLeased(batch);
    const answers = await store.add(batch, tx);
    if (tx) return answers; // in a transaction they do not exist yet
    const soonMs = settings.pollMs * 2;
    if (standing.sleep || batch.some((run) => isWithin(run, soonMs))) leases.want("poll");
    announce(batch, answers);
    return answers;
  }

  function isWithin({ dueAt, delayMs }: NewRun, soonMs: number): boolean {
    return dueAt === null ? delayMs <= soonMs : dueAt.getTime() <= storeClock.now() + soonMs;
  }

  function announce(batch: readonly NewRun[], answers: readonly (Added | Error)[]): void {
    if (!bus.active) return;
    const at = storeClock.date();
    for (const [i, answer] of answers.entries()) {
      if (answer instanceof Error || !answer.created) continue;
      const { job, queue, tags } = batch[i]!;
      bus.publish({ type: "run.scheduled", at, run: formatId(answer.id), job, queue, tags, attempt: 0 });
    }
  }

  return {
    store: {
      ...{ name, lacks, runs, nodes, ticks, find, desk, schedules, add },
      open: (signal) => store.open(signal),
      close: () => store.close(),
    },
    landed: () => (coming === 0 ? Promise.resolve() : new Promise((resolve) => landed.push(resolve))),
  };
}

function isNow({ dueAt, delayMs, key, replayOf }: NewRun): boolean {
  return dueAt === null && delayMs === 0 && key === null && replayOf === null;
}
