import type { Clock, StoreClock } from "../core/clock.ts";
import { Bell, wait } from "../core/clock.ts";
import type { Accepted, Group } from "../core/lease.ts";
import type { Health } from "../core/health.ts";
import type { Registry } from "../core/registry.ts";
import type { Seen } from "./node.ts";
import type { Load, Scheduler } from "./scheduler.ts";
import type { Claim, Store } from "../store/port.ts";

/** A process leases what it could start within this, beyond its free slots. */
const aheadOfSlotsMs = 100;
const mostPrefetched = 1000;
/** Past this many ended runs that the store has not taken, nothing more is leased. */
const mostUnsettled = 4000;
/** Every so many claims one goes by longest wait, so that a low priority can't starve. */
const oldestEvery = 8;

/** How many due runs to lease beyond the free slots: what the slots can start within 100 ms, at most 1000. `runMs` is the
 *  mean length of recent attempts; none known (NaN): 0. */
export function prefetch(slots: number, runMs: number): number {
  if (Number.isNaN(runMs)) return 0;
  return Math.min(mostPrefetched, Math.floor((slots * aheadOfSlotsMs) / Math.max(runMs, 0.01)));
}

/** What a claim may bring, from how full the process is. `want` says whether it is worth a claim now: while the next runs are
 *  at hand, claims wait until half of them have started. `future`: whether it may also bring what falls due soon; `refill`: whether
 *  half of what it brought of that is due by now.
 *  @param load busy: slots taken · ready: due runs that lack nothing but a slot · future: runs that will fall due */
export function room(load: Omit<Load, "heap">): {
  readonly limit: number;
  readonly want: boolean;
  readonly future: boolean;
  readonly refill: boolean;
} {
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

/** `poll`: a claim that sees everything · `hint`: runs were said to be due, or the last claim came back full · `asked`: a claim is in flight. */
type Want = "poll" | "hint" | "asked";

/** Leases runs for this process: one loop for all its queues and jobs, with one claim in flight at a time. */
export class Fetcher {
  readonly #parts: FetcherParts;
  readonly #bell: Bell;
  /** The groups to claim for, in the order in which they come next. Those without room wait here. */
  readonly #wanted = new Map<Group, Want>();
  /** Groups whose last claim left out what falls due soon, because there was no room for it. */
  readonly #heldBack = new Set<Group>();
  /** When everything was looked at last, by claims or by a beat, and when a beat was asked to; ticks. */
  #polledAt = -Infinity;
  #askedAt = -Infinity;
  /** When a run falls due that could not be leased ahead; ticks. */
  #dueAt = Infinity;
  /** No claims before; ticks. */
  #restUntil = 0;
  /** The last claims passed by runs that crashed too often, because such runs were here already. */
  #passedBy = false;
  #claims = 0;
  #claiming: Promise<number> = Promise.resolve(0);

  constructor(parts: FetcherParts) {
    this.#parts = parts;
    this.#bell = new Bell(parts.clock);
  }

  /** Claims at once, and sees everything. */
  wake(): void {
    this.#want("poll");
    this.#bell.ring();
  }

  /** The store said that runs may be due. */
  hint(): void {
    this.#want("hint");
    this.#bell.ring();
  }

  /** A run falls due at `at` (ticks), within two polls: it is leased ahead, or if there is no room for that, in time. */
  expect(at: number): void {
    if (this.#room().future) return this.wake();
    this.#dueAt = Math.min(this.#dueAt, at);
    this.#bell.ring();
  }

  /** A beat was answered: the next poll may have become needless, or the node awake. */
  beaten(): void {
    this.#bell.ring();
  }

  /** Room may have come free: claims for the groups that waited for it, and for runs that were passed by. */
  freed(): void {
    if (this.#passedBy && this.#parts.scheduler.crashesBelow() === undefined) {
      this.#passedBy = false;
      return this.wake();
    }
    if (this.#heldBack.size > 0) this.#refill();
    if (this.#wanted.size > 0 && this.#room().want) this.#bell.ring();
  }

  /** Whether there is nothing to claim before the next poll, and no claim is in flight. */
  get quiet(): boolean {
    return this.#wanted.size === 0 && !this.#passedBy && this.#dueAt === Infinity;
  }

  /** How many runs of a queue may come leased as they are added: as many as a claim would bring, if none is known to wait. */
  roomFor(queue: string): number {
    const group = this.#parts.scheduler.groupOf(queue);
    if (this.#polledAt === -Infinity || this.#wanted.has(group) || !this.#mayClaim()) return 0;
    return Math.min(this.#room().limit, group.free);
  }

  /** Resolves when the claim that is in flight, if any, has been answered and taken in. Never rejects. */
  claimed(): Promise<unknown> {
    return this.#claiming.catch(() => 0);
  }

  /** Leases until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, pollMs, health } = this.#parts;
    while (!signal.aborted) {
      const nextAt = this.#plan(clock.ticks());
      try {
        if (await this.#pass(signal)) continue;
      } catch (error) {
        health.failed("Leasing runs", error);
        await wait(clock, clock.ticks() + pollMs * (1 - Math.random() * 0.5), signal);
        this.wake();
        continue;
      }
      await this.#bell.next(nextAt, signal);
    }
  }

  /** Notes what to claim for now. Answers when there will be something else, if nobody rings before; ticks. */
  #plan(now: number): number {
    const { storeClock, pollMs, asleep } = this.#parts;
    const { at, coming } = this.#parts.beat();
    if (coming && at > this.#polledAt) {
      this.#polledAt = at;
      if (coming.dueMs !== null && coming.dueMs <= storeClock.now() + pollMs * 2) this.#want("poll");
    }
    if (now >= this.#dueAt) {
      this.#dueAt = Infinity;
      this.#want("poll");
    }
    if (!asleep() && now >= this.#pollAt()) this.#poll(now);
    return Math.min(asleep() ? Infinity : this.#pollAt(), this.#dueAt);
  }

  /** When to poll next: a poll after the last one, and while a beat was asked for that is not answered, a poll after that. */
  #pollAt(): number {
    const isAnswered = this.#parts.beat().at >= this.#askedAt;
    return Math.max(this.#polledAt, isAnswered ? -Infinity : this.#askedAt) + this.#parts.pollMs;
  }

  /** Polls by claims, or if there is nothing else to do by a beat, which is one statement for all groups. */
  #poll(now: number): void {
    const { scheduler, pollMs, beats } = this.#parts;
    const { at, coming } = this.#parts.beat();
    scheduler.tend(pollMs);
    const looks = coming !== null && at >= this.#askedAt; // the last beat did, and none failed since
    if (looks && beats(scheduler.groups().length > 1 ? Infinity : pollMs)) {
      this.#askedAt = now;
      return;
    }
    const isFirst = this.#polledAt === -Infinity;
    this.#polledAt = isFirst ? now - pollMs * Math.random() : now; // nodes that start together poll apart
    this.#want("poll");
  }

  #want(want: "poll" | "hint"): void {
    for (const group of this.#parts.scheduler.groups())
      if (want === "poll" || this.#wanted.get(group) !== "poll") this.#wanted.set(group, want);
  }

  /** Claims once for each group that is wanted and has room. Answers whether another pass is worthwhile at once. */
  async #pass(signal: AbortSignal): Promise<boolean> {
    const { registry, alive, revive } = this.#parts;
    // Without a lease of its own the node holds nothing: a start that it records would pass for a dead node's.
    if (!alive() && this.#wanted.size > 0) revive();
    else if (registry.ids().length === 0) this.#wanted.clear();
    let more = false;
    for (const [group, want] of [...this.#wanted]) {
      if (signal.aborted || !this.#mayClaim()) return false;
      more = (await this.#claim(group, want === "poll")) || more;
    }
    return more;
  }

  /** Claims for one group, if it has room. Answers whether it should be asked again at once. */
  async #claim(group: Group, poll: boolean): Promise<boolean> {
    const { limit, want, future } = this.#room();
    const most = Math.min(limit, group.free);
    if (!want || most <= 0) return false;
    const ahead = future && (group.queue === null || group.future < group.concurrency);
    if (!ahead) this.#heldBack.add(group);
    this.#wanted.set(group, "asked");
    this.#claiming = this.#lease(group, { limit: most, ahead, poll });
    const isFull = (await this.#claiming) >= most;
    if (this.#wanted.get(group) === "asked") this.#wanted.delete(group);
    if (isFull && !this.#wanted.has(group)) this.#wanted.set(group, "hint"); // after the others
    return isFull && this.#room().want && group.free > 0;
  }

  /** Answers how many runs it brought. */
  async #lease(group: Group, { limit, ahead, poll }: Wanted): Promise<number> {
    const { store, clock, storeClock, health, scheduler, registry, pollMs } = this.#parts;
    const order = ++this.#claims % oldestEvery === 0 ? "oldest" : "priority";
    const crashesBelow = scheduler.crashesBelow();
    this.#passedBy ||= crashesBelow !== undefined;
    const sentAt = clock.ticks();
    const { leases, nowMs } = await store.runs.lease({
      node: this.#parts.node(),
      jobs: registry.ids(),
      queues: this.#queues(group),
      limit,
      aheadMs: ahead ? pollMs * 2 : 0,
      ttlMs: this.#parts.leaseMs,
      order,
      crashesBelow,
      poll,
    });
    if (Number.isNaN(nowMs)) return 0;
    const receivedAt = clock.ticks();
    health.ok();
    storeClock.observe(nowMs, sentAt, receivedAt);
    const back = scheduler.accept(leases, { sentAt, receivedAt, order } satisfies Accepted);
    if (back * 2 > leases.length) this.#restUntil = this.#pollAt(); // the next claim at once would bring the same
    return leases.length;
  }

  /** Asks again for what falls due soon, once half of what was brought of it has started. */
  #refill(): void {
    if (!this.#room().refill) return;
    for (const group of this.#heldBack) {
      if (group.queue !== null && group.future > group.concurrency / 2) continue;
      this.#heldBack.delete(group);
      if (!this.#wanted.has(group)) this.#wanted.set(group, "hint");
    }
  }

  #mayClaim(): boolean {
    return this.#parts.alive() && this.#parts.clock.ticks() >= this.#restUntil;
  }

  #queues(group: Group): Claim["queues"] {
    if (group.queue !== null) return { only: [group.queue] };
    return { not: this.#parts.scheduler.groups().flatMap(({ queue }) => queue ?? []) };
  }

  #room(): ReturnType<typeof room> {
    const { scheduler, unsettled } = this.#parts;
    const found = room(scheduler.load());
    return unsettled() < mostUnsettled ? found : { ...found, limit: 0, want: false };
  }
}

/** What one claim is to bring. */
interface Wanted {
  readonly limit: number;
  /** Also what falls due within two polls. */
  readonly ahead: boolean;
  readonly poll: boolean;
}

export interface FetcherParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly storeClock: StoreClock;
  readonly health: Health;
  readonly scheduler: Scheduler;
  readonly registry: Registry;
  readonly pollMs: number;
  readonly leaseMs: number;
  /** This node's number; known once it has joined. */
  node(): number;
  /** Whether the node's own lease stands; whether it sleeps; and makes it beat at once. */
  alive(): boolean;
  asleep(): boolean;
  revive(): void;
  /** The last beat that was answered. */
  beat(): Seen;
  /** Beats instead of a poll, if nothing is held and the next beat is due within `ms`. Answers whether it does. */
  beats(ms: number): boolean;
  /** Ended runs that the store has not taken yet. */
  unsettled(): number;
}
