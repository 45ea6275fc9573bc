/** A process leases what it could start within this, beyond its free slots. */
const aheadOfSlotsMs = 100;
const mostPrefetched = 1000;

/** How full a process is. `ready`: due runs that lack nothing but a slot · `future`: runs that will fall due · `heap`: all that waits, also
 *  for a place in its queue · `runMs`: mean length of recent attempts, NaN before the first. */
export interface Load {
  readonly slots: number;
  /** Slots taken. */
  readonly busy: number;
  readonly ready: number;
  readonly future: number;
  readonly heap: number;
  readonly runMs: number;
}

/** What a claim may bring. */
export interface Room {
  readonly limit: number;
  /** Whether it is worth a claim now: while the next runs are at hand, claims wait until half of them have started. */
  readonly want: boolean;
  /** Whether it may also bring what falls due soon. */
  readonly future: boolean;
  /** Whether half of what earlier claims brought of that is due by now. */
  readonly refill: boolean;
}

/** How many due runs to lease beyond the free slots: what the slots can start within 100 ms, at most 1000. `runMs` is the
 *  mean length of recent attempts; none known (NaN): 0. */
export function prefetch(slots: number, runMs: number): number {
  if (Number.isNaN(runMs)) return 0;
  return Math.min(mostPrefetched, Math.floor((slots * aheadOfSlotsMs) / Math.max(runMs, 0.01)));
}

/** What a claim may bring, from how full the process is. */
export function room(load: Omit<Load, "heap">): Room {
  const extra = prefetch(load.slots, load.runMs);
  const limit = Math.max(0, load.slots - load.busy) + extra - load.ready;
  const mostFuture = load.slots + Math.max(extra, load.slots);
  return {
    limit,
    want: limit > 0 && load.ready <= extra / 2,
    future: load.future < mostFuture,
    refill: load.future <= mostFuture / 2,
  };
}
