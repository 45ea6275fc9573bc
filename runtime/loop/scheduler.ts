import type { Alarm, Clock, StoreClock } from "../core/clock.ts";
import { within } from "../core/clock.ts";
import { Heap } from "../core/heap.ts";
import { Group, Leased, type Accepted, type Anew } from "../core/lease.ts";
import type { Registry } from "../core/registry.ts";
import type { Lease } from "../store/port.ts";

/** How full a process is. */
export interface Load {
  readonly slots: number;
  readonly busy: number;
  readonly ready: number;
  readonly future: number;
  readonly heap: number;
  readonly runMs: number;
}

/** What the scheduler calls. None of them throws. */
export interface SchedulerParts {
  readonly clock: Clock;
  readonly storeClock: StoreClock;
  readonly registry: Registry;
  readonly slots: number;
  /** Limits of queues in this process. */
  readonly queues: Readonly<Record<string, { readonly concurrency: number }>>;
  readonly maxCrashes: number;
  /** How long a lease is good after its claim was sent, with a margin for safety; ms. */
  readonly goodMs: number;
  /** Once it aborts nothing is started or taken in. */
  readonly drain: AbortSignal;
  /** Runs `work` so that what handlers trigger goes to this runtime's store. */
  scope(work: () => void): void;
  /** Until when held leases are good; ticks. */
  heldUntil(): number;
  /** Last look at a due lease before it takes a slot; false if it must not start, and then it has been dealt with. */
  admit(leased: Leased, nowMs: number): boolean;
  start(leased: Leased): void;
  release(leased: Pick<Leased, "lease" | "hooks">): void;
  lost(leased: Leased): void;
  /** Whether somebody asked to cancel a lease before it came; and cancels it. */
  isAsked(lease: Lease): boolean;
  cancel(lease: Lease): void;
  /** There is room for more. */
  freed(): void;
}

/** How long, and how often, one turn of the event loop may start runs before timers and sockets get theirs. */
const turnMs = 8;
const turnStarts = 1000;
/** A step of priority goes ahead of what has waited in this process for so long; ms. */
const stepMs = 100;

/** What this process has leased, and when each of it starts: at its instant, as slots and the queues' limits allow, higher
 *  priorities first. Leases wait in a heap by instant, then, once due, in their group's heap by rank. */
export class Scheduler {
  readonly #parts: SchedulerParts;
  readonly #future = new Heap<Leased>();
  readonly #open = new Group(null);
  readonly #suspects = new Group(null, 1);
  /** How many crashes make a run a suspect: it is tried alone. */
  readonly #suspectFrom: number;
  readonly #limited: ReadonlyMap<string, Group>;
  readonly #groups: readonly Group[];
  /** All that waits, runs, or has an outcome that the store has not taken; a lost run is not in it, even if its handler goes on. */
  readonly #held = new Map<number, Leased>();
  readonly #alarm: Alarm;
  #slots: number;
  #busy = 0;
  #ready = 0;
  /** Leases that went back as they came. */
  #refused = 0;
  #runMs = Number.NaN;
  #pumping = false;
  /** When this turn of the event loop has started enough; NaN before its first start. */
  #turnEnds = Number.NaN;
  #turnStarts = 0;
  #idle: (() => void) | null = null;

  constructor(parts: SchedulerParts) {
    this.#parts = parts;
    this.#slots = parts.slots;
    this.#suspectFrom = Math.max(1, parts.maxCrashes - 1);
    this.#limited = new Map(
      Object.entries(parts.queues).map(([queue, { concurrency }]) => [queue, new Group(queue, concurrency)]),
    );
    this.#groups = [this.#open, ...this.#limited.values()];
    this.#alarm = parts.clock.alarm(() => this.pump());
  }

  /** The queues that have no limit as one group, and each that has one. */
  groups(): readonly Group[] {
    return this.#groups;
  }

  /** The group that a queue's runs belong to. */
  groupOf(queue: string): Group {
    return this.#limited.get(queue) ?? this.#open;
  }

  /** How full the process is. `ready`: due runs that lack nothing but a slot · `future`: runs that will fall due · `heap`: all that
   *  waits, also for a place in its queue · `runMs`: mean length of recent attempts, NaN before the first. */
  load(): Load {
    const [slots, busy, future, runMs] = [this.#slots, this.#busy, this.#future.size, this.#runMs];
    return { slots, busy, ready: this.#startable(), future, heap: this.#ready + future, runMs };
  }

  /** What a claim should bring no run of: so many crashes, while such a run is due or runs here, for they go one by one;
   *  undefined otherwise. */
  crashesBelow(): number | undefined {
    return this.#suspects.running + this.#suspects.ready.size > 0 ? this.#suspectFrom : undefined;
  }

  /** All leases that wait, run, or have an outcome that the store has not taken. */
  held(): IterableIterator<Leased> {
    return this.#held.values();
  }

  /** The lease with this id and token, if it is one of `held()`. */
  find(id: number, token: number): Leased | undefined {
    const leased = this.#held.get(id);
    return leased?.lease.token === token ? leased : undefined;
  }

  /** Until when a lease is good; ticks. */
  deadline(leased: Leased): number {
    return leased.held ? this.#parts.heldUntil() : leased.deadline;
  }

  resize(slots: number): void {
    this.#slots = slots;
    this.pump();
  }

  /** Takes leases in, and starts what is due. Answers how many went back at once. */
  accept(leases: readonly Lease[], about: Accepted): number {
    const now = this.#parts.storeClock.now();
    const before = this.#refused;
    for (const lease of leases.toSorted(byInstant)) {
      this.#take(lease, about, now);
      if (lease.canceling || this.#parts.isAsked(lease)) this.#parts.cancel(lease);
    }
    this.pump();
    return this.#refused - before;
  }

  /** Starts what is due and has a slot. */
  pump(): void {
    if (this.#pumping || this.#parts.drain.aborted) return;
    this.#pumping = true;
    try {
      const now = this.#parts.storeClock.now();
      while (this.#future.due(now)) this.#fallDue(this.#future.pop()!);
      if (this.#ready > 0 && this.#busy < this.#slots) this.#parts.scope(() => this.#startDue(now));
    } finally {
      this.#pumping = false;
    }
    if (this.#future.size > 0) this.#alarm.set(this.#parts.storeClock.tickAt(this.#future.nextKey()));
    this.#parts.freed();
  }

  /** Takes a lease that waits or runs out of the books, slot excepted. One with an outcome stays until `settled`. */
  forget(leased: Leased): void {
    const { id } = leased.lease;
    if (!leased.settling && this.#held.get(id) === leased) this.#held.delete(id);
    if (leased.phase !== "waiting") return;
    if (this.#future.remove(leased)) leased.group.future--;
    else if (this.#line(leased).ready.remove(leased)) this.#ready--;
  }

  /** The store has taken the outcome of a lease, or never will. */
  settled(leased: Leased): void {
    const { anew } = leased;
    leased.settling = false;
    if (this.#held.get(leased.lease.id) === leased) this.#held.delete(leased.lease.id);
    if (anew) this.accept([anew.lease], anew.about);
  }

  /** Gives back the slot of a lease that was started. */
  free(leased: Leased): void {
    this.#busy--;
    leased.group.running--;
    if (leased.suspect) this.#suspects.running--;
    const runMs = this.#parts.clock.ticks() - leased.startedAt;
    this.#runMs = Number.isNaN(this.#runMs) ? runMs : this.#runMs + (runMs - this.#runMs) * 0.05;
    if (this.#busy === 0) this.#idle?.();
    if (!this.#pumping) this.pump();
  }

  /** Gives back what waits here in vain: due for longer than a poll without a slot, or past its lease. */
  tend(pollMs: number): void {
    const now = this.#parts.clock.ticks();
    let stuck = false;
    for (const leased of this.#held.values()) {
      if (leased.phase !== "waiting") continue;
      const waits = leased.dueAt > 0 && now - leased.dueAt > pollMs;
      if (!waits && now < this.deadline(leased)) continue;
      stuck ||= waits && isOpen(leased.group) && !leased.suspect;
      this.#release(leased);
    }
    if (stuck) this.#runMs = Math.max(pollMs, this.#runMs || 0); // so that not as many are leased again
  }

  /** Gives back all that has not started; of one job, or of all. */
  releaseWaiting(job?: string): void {
    if (job === undefined) this.#alarm.clear();
    for (const leased of this.#held.values())
      if (leased.phase === "waiting" && (job === undefined || leased.lease.job === job)) this.#release(leased);
  }

  /** Waits until no slot is taken, or until `at` (ticks). Answers whether none is. */
  async idle(at: number): Promise<boolean> {
    if (this.#busy === 0) return true;
    return within(this.#parts.clock, new Promise<void>((resolve) => (this.#idle = resolve)), at);
  }

  #take(lease: Lease, about: Accepted, now: number): void {
    const { sentAt, receivedAt, order } = about;
    const { registry, drain, goodMs } = this.#parts;
    const known = this.#held.get(lease.id);
    if (known && this.#goesOn(known, { lease, about })) return;
    const group = this.groupOf(lease.queue);
    const job = registry.get(lease.job);
    if (!job || drain.aborted) {
      this.#refused++;
      return this.#parts.release({ lease, hooks: job?.hooks ?? [] });
    }
    const rank = receivedAt - stepMs * (order === "oldest" ? 9 : lease.priority);
    const suspect = lease.crashes >= this.#suspectFrom;
    const leased = new Leased(lease, group, job, { claimedAt: receivedAt, deadline: sentAt + goodMs, rank, suspect });
    this.#held.set(lease.id, leased);
    if (lease.dueMs <= now) return this.#queueUp(leased);
    group.future++;
    this.#future.push(leased, lease.dueMs);
  }

  /** A run was leased anew that is still here: its lease had ended, for this process was blocked or the store away. Answers
   *  whether it goes on as it is: a run that ended waits for what the store says to its outcome, and one that runs needs no
   *  second start, for nobody else can have it now. */
  #goesOn(known: Leased, anew: Anew): boolean {
    if (known.settling) {
      known.anew = anew;
      return true;
    }
    if (known.phase === "running" && known.renew(anew.lease)) return true;
    this.#parts.lost(known);
    return false;
  }

  #fallDue(leased: Leased): void {
    leased.group.future--;
    this.#queueUp(leased);
  }

  #queueUp(leased: Leased): void {
    leased.dueAt = this.#parts.clock.ticks();
    this.#line(leased).ready.push(leased, leased.rank);
    this.#ready++;
  }

  #line(leased: Leased): Group {
    return leased.suspect ? this.#suspects : leased.group;
  }

  #startDue(now: number): void {
    while (this.#busy < this.#slots && this.#ready > 0 && this.#turnLasts()) {
      const leased = this.#pick();
      if (!leased) return;
      this.#ready--;
      if (!this.#parts.admit(leased, now)) continue;
      this.#busy++;
      leased.group.running++;
      if (leased.suspect) this.#suspects.running++;
      this.#parts.start(leased);
    }
  }

  /** The first by rank among those whose group has a place. */
  #pick(): Leased | undefined {
    let best = this.#open;
    if (this.#limited.size > 0 || this.#suspects.ready.size > 0) {
      for (const group of this.#limited.values())
        if (isOpen(group) && group.ready.nextKey() < best.ready.nextKey()) best = group;
      const suspect = this.#suspects.ready.peek();
      if (suspect && isOpen(this.#suspects) && isOpen(suspect.group) && suspect.rank < best.ready.nextKey())
        best = this.#suspects;
    }
    return best.ready.pop();
  }

  /** How many due runs would start if there were slots for all. */
  #startable(): number {
    let count = this.#open.ready.size;
    if (this.#ready === count) return count;
    for (const { concurrency, running, ready } of this.#limited.values())
      count += Math.min(ready.size, concurrency - running);
    const suspect = this.#suspects.ready.peek();
    return suspect && isOpen(this.#suspects) && isOpen(suspect.group) ? count + 1 : count;
  }

  /** Whether this turn of the event loop may start another run; if not, the next one goes on. */
  #turnLasts(): boolean {
    const ticks = this.#parts.clock.ticks();
    if (Number.isNaN(this.#turnEnds)) {
      this.#turnEnds = ticks + turnMs;
      this.#turnStarts = 0;
      setImmediate(() => {
        this.#turnEnds = Number.NaN;
        this.pump();
      });
    }
    return ticks < this.#turnEnds && this.#turnStarts++ < turnStarts;
  }

  #release(leased: Leased): void {
    this.forget(leased);
    leased.phase = "over";
    this.#parts.release(leased);
  }
}

function isOpen(group: Group): boolean {
  return group.running < group.concurrency;
}

function byInstant(a: Lease, b: Lease): number {
  return a.dueMs - b.dueMs || a.id - b.id;
}
