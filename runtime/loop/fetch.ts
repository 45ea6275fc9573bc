import type { Clock, StoreClock } from "../core/clock.ts";
import { Bell, wait } from "../core/clock.ts";
import type { Accepted, Group } from "../core/lease.ts";
import type { Health } from "../core/health.ts";
import type { Registry } from "../core/registry.ts";
import type { Load, Scheduler } from "./scheduler.ts";
import type { Claim, Claimed, Store } from "../store/port.ts";

/** A process leases what it could start within this, beyond its free slots. */
const aheadOfSlotsMs = 100;
const mostPrefetched = 1000;
/** Past this many ended runs that the store has not taken, nothing more is leased. */
const mostUnsettled = 4000;
/** Every so many claims one goes by longest wait, so that a low priority can't starve. */
const oldestEvery = 8;
/** Under a held snapshot a claim that looks at everything walks over all that is gone. Where it takes longer than this, such claims go on
 *  beside the others, bring less, and take one part in so many of the time; ms. */
const longMs = 5;
const wholeShare = 20;
const longestRestMs = 60_000;
const mostAside = 100;
/** Past so many lanes a claim asks all of them. */
const mostNamed = 32;

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

/** What this process shall lease next, and when: the one fetcher for all its queues and jobs. */
export class Fetcher {
  readonly #parts: FetcherParts;
  readonly #bell: Bell;
  /** Groups whose last claim came back full, or that had no room when they were to be asked. */
  readonly #backlog = new Set<Group>();
  #all = true;
  /** Where alone something may have fallen due since the last pass. */
  #named = new Set<number>();
  /** When to ask for everything again; ticks. 0: at once, for the first time or after a failure. Infinity: the node sleeps. */
  #pollAt = 0;
  /** When a run falls due that could not be leased ahead; ticks. */
  #dueAt = Infinity;
  /** The last claims passed by runs that crashed too often, for such runs were here already. */
  #passedBy = false;
  /** Groups of which a claim left out what falls due soon, for there was no room for it. */
  readonly #heldBack = new Set<Group>();
  /** No claims before; ticks. */
  #restUntil = 0;
  #claims = 0;
  /** A claim that looks at everything, where that takes long: it goes on beside the others. */
  #aside: Promise<unknown> | null = null;
  /** Whether a claim has been answered: before, nobody knows what waits. */
  #answered = false;
  #claiming: Promise<number> = Promise.resolve(0);
  #turn = 0;
  #passing = false;
  /** A beat is under way in place of a poll; and the last such beat did not look. */
  #stoodIn = false;
  #beatsAreBlind = false;

  constructor(parts: FetcherParts) {
    this.#parts = parts;
    this.#bell = new Bell(parts.clock);
  }

  /** Something may have fallen due: in these lanes, or anywhere. */
  wake(lanes?: readonly number[]): void {
    if (!lanes || this.#named.size > mostNamed) this.#all = true;
    else for (const lane of lanes) this.#named.add(lane);
    this.#bell.ring();
  }

  /** A run will fall due at `at` (ticks), within two polls: leases it ahead, or where there is no room for that, in time. */
  expect(at: number): void {
    if (this.#room().future) return this.wake();
    this.#dueAt = Math.min(this.#dueAt, at);
    this.#bell.ring();
  }

  /** A beat was answered. `coming`: it has looked as a poll does, and found that the next run can be leased at `dueMs` (epoch ms; null:
   *  none can). Null: it did not look, so if it stood in for a poll, that is made up for. */
  beaten(coming: { readonly dueMs: number | null } | null): void {
    const { clock, storeClock, pollMs } = this.#parts;
    const stoodIn = this.#stoodIn;
    this.#stoodIn = false;
    this.#beatsAreBlind = coming === null && stoodIn;
    if (this.#beatsAreBlind) return this.wake();
    if (coming === null) return;
    this.#pollAt = clock.ticks() + pollMs;
    if (coming.dueMs !== null && coming.dueMs <= storeClock.now() + pollMs * 2) this.wake();
  }

  /** Polls no more, until `rouse`; what is told meanwhile wakes the node. */
  rest(): void {
    this.#pollAt = Infinity;
  }

  /** The node stands again. */
  rouse(): void {
    const { clock, pollMs } = this.#parts;
    this.#pollAt = Math.min(this.#pollAt, clock.ticks() + pollMs);
    this.#bell.ring();
  }

  /** Whether there is nothing to ask for before the next poll, and no claim is in flight. */
  get quiet(): boolean {
    return (
      !this.#passing &&
      this.#aside === null &&
      !this.#passedBy &&
      this.#dueAt === Infinity &&
      this.#backlog.size === 0 &&
      !this.#isTold() &&
      !this.#parts.scheduler.groups().some(({ owed }) => owed)
    );
  }

  /** Room may have come free: ask where there is a backlog, and for runs that were passed by. */
  freed(): void {
    if (this.#passedBy && this.#parts.scheduler.crashesBelow() === undefined) {
      this.#passedBy = false;
      return this.wake();
    }
    if (this.#heldBack.size > 0) this.#refill();
    if (this.#backlog.size > 0 && this.#room().want) this.#bell.ring();
  }

  /** What falls due soon is asked for again once half of what was brought of it has started. */
  #refill(): void {
    if (!this.#room().refill) return;
    for (const group of this.#heldBack) {
      if (group.queue !== null && group.future > group.concurrency / 2) continue;
      this.#heldBack.delete(group);
      this.#backlog.add(group);
    }
  }

  /** How many runs of a queue may come leased without a claim: as many as a claim would bring, where none is known to wait. */
  roomFor(queue: string): number {
    const group = this.#parts.scheduler.groupOf(queue);
    if (!this.#answered || this.#backlog.has(group) || !this.#mayClaim()) return 0;
    return Math.min(this.#room().limit, group.free);
  }

  /** Resolves when the claim that is in flight, if any, has been answered and taken in. Never rejects. */
  claimed(): Promise<unknown> {
    return Promise.all([this.#claiming.catch(() => 0), this.#aside]);
  }

  /** Leases until the signal aborts. One claim is in flight at a time. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, pollMs, health } = this.#parts;
    while (!signal.aborted) {
      if (clock.ticks() >= this.#pollAt) this.#poll();
      if (clock.ticks() >= this.#dueAt) {
        this.#all = true;
        this.#dueAt = Infinity;
      }
      try {
        // Without a lease of its own the node holds nothing: a start that it records would pass for a dead node's.
        if (!this.#parts.alive()) {
          if (this.#isTold()) this.#parts.revive();
        } else if (await this.#pass(signal)) continue;
      } catch (error) {
        health.failed("Leasing runs", error);
        this.#pollAt = 0;
        await wait(clock, clock.ticks() + pollMs * (1 - Math.random() * 0.5), signal);
        continue;
      }
      await this.#bell.next(Math.min(this.#pollAt, this.#dueAt, this.#owedAt()), signal);
    }
  }

  /** When a group may look at everything, of those that have to wait with it; ticks. */
  #owedAt(): number {
    const now = this.#parts.clock.ticks();
    const waiting = this.#parts.scheduler.groups().filter(({ owed, wholeAt }) => owed && wholeAt > now);
    return Math.min(Infinity, ...waiting.map(({ wholeAt }) => wholeAt));
  }

  /** Asks for everything, or where there is nothing else to do lets a beat look, which takes one statement for all groups. */
  #poll(): void {
    const { clock, pollMs, scheduler } = this.#parts;
    const isFirst = this.#pollAt === 0;
    this.#pollAt = clock.ticks() + pollMs * (isFirst ? Math.random() : 1); // nodes that start together poll apart
    scheduler.tend(pollMs);
    const beatsWithin = scheduler.groups().length > 1 ? Infinity : pollMs;
    this.#stoodIn = !isFirst && !this.#beatsAreBlind && this.#parts.beats(beatsWithin);
    if (!this.#stoodIn) this.#all = true;
    this.#beatsAreBlind = false;
  }

  #isTold(): boolean {
    return this.#all || this.#named.size > 0;
  }

  async #pass(signal: AbortSignal): Promise<boolean> {
    this.#passing = true;
    try {
      return await this.#claimAll(signal);
    } finally {
      this.#passing = false;
    }
  }

  /** Claims once for each group that has room and may have runs. Answers whether another pass is worthwhile at once. */
  async #claimAll(signal: AbortSignal): Promise<boolean> {
    const { scheduler, registry } = this.#parts;
    const [all, named] = [this.#all, [...this.#named]];
    this.#all = false;
    this.#named.clear();
    if (registry.ids().length === 0) return false;
    const groups = scheduler.groups();
    if (all) for (const group of groups) group.owed = true;
    this.#turn = (this.#turn + 1) % groups.length;
    let more = false;
    for (const group of [...groups.slice(this.#turn), ...groups.slice(0, this.#turn)]) {
      if (signal.aborted || !this.#mayClaim()) return false;
      const every = all || this.#backlog.has(group) || this.#mayLookAtAll(group);
      if (every || named.length > 0) more = (await this.#claim(group, every ? undefined : named)) || more;
    }
    return more;
  }

  /** Claims for one group. Answers whether it should be asked again at once. */
  async #claim(group: Group, lanes: readonly number[] | undefined): Promise<boolean> {
    const { limit, want, future } = this.#room();
    const most = Math.min(limit, group.free);
    this.#backlog.add(group);
    if (!want || most <= 0) return false;
    const ahead = future && (group.queue === null || group.future < group.concurrency);
    if (!ahead) this.#heldBack.add(group);
    const whole = this.#mayLookAtAll(group);
    if (whole && group.isSlow) this.#lookAside(group, most);
    this.#claiming = this.#lease(group, { limit: most, ahead, lanes, whole: whole && !group.isSlow });
    const count = await this.#claiming;
    if (count < most) this.#backlog.delete(group);
    return count >= most && this.#room().want && group.free > 0;
  }

  #mayLookAtAll({ owed, wholeAt, isSlow }: Group): boolean {
    return owed && !(isSlow && this.#aside) && this.#parts.clock.ticks() >= wholeAt;
  }

  /** Looks at everything beside the other claims, which go on from where it ended if it did not bring all. */
  #lookAside(group: Group, most: number): void {
    const limit = Math.min(most, mostAside);
    const more = (count: number): void => {
      if (count < limit) return;
      this.#backlog.add(group);
      this.#bell.ring();
    };
    this.#aside = this.#lease(group, { limit, ahead: false, lanes: undefined, whole: true })
      .then(more, (error: unknown) => this.#parts.health.failed("Leasing runs", error))
      .finally(() => (this.#aside = null));
  }

  async #lease(group: Group, { limit, ahead, lanes, whole }: Wanted): Promise<number> {
    const { store, clock, storeClock, health, scheduler, registry } = this.#parts;
    const order = ++this.#claims % oldestEvery === 0 ? "oldest" : "priority";
    const crashesBelow = scheduler.crashesBelow();
    this.#passedBy ||= crashesBelow !== undefined;
    const sentAt = clock.ticks();
    const call = store.runs.lease({
      node: this.#parts.node(),
      jobs: registry.ids(),
      queues: this.#queues(group),
      limit,
      aheadMs: ahead ? this.#parts.pollMs * 2 : 0,
      ttlMs: this.#parts.leaseMs,
      order,
      crashesBelow,
      lanes,
      whole,
      slow: group.isSlow,
    });
    const { leases, nowMs } = await (whole ? this.#timed(group, call, limit) : call);
    if (nowMs === null) return 0;
    const receivedAt = clock.ticks();
    health.ok();
    this.#answered = true;
    storeClock.observe(nowMs, sentAt, receivedAt);
    const back = scheduler.accept(leases, { sentAt, receivedAt, order } satisfies Accepted);
    if (back * 2 > leases.length) this.#restUntil = this.#pollAt; // the next claim at once would bring the same
    return leases.length;
  }

  /** Notes how long a claim took that looks at everything; one that fails is owed still, and at once if only now it turns out to take long. */
  async #timed(group: Group, call: Promise<Claimed>, limit: number): Promise<Claimed> {
    const { clock } = this.#parts;
    const sentAt = clock.ticks();
    group.owed = false;
    const wasSlow = group.isSlow;
    let tookMs = Number.NaN;
    let isPart = false;
    try {
      const claimed = await call;
      tookMs = claimed.tookMs;
      isPart = claimed.leases.length >= limit;
      return claimed;
    } catch (error) {
      group.owed = true;
      tookMs = clock.ticks() - sentAt;
      throw error;
    } finally {
      group.isSlow = tookMs > longMs || (wasSlow && isPart); // what it found first says nothing of the rest
      const rests = group.isSlow && (wasSlow || !group.owed);
      group.wholeAt = rests ? clock.ticks() + Math.min(longestRestMs, tookMs * wholeShare) : 0;
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
  /** From these lanes alone, or from all; also what earlier claims should have brought. */
  readonly lanes: readonly number[] | undefined;
  readonly whole: boolean;
  /** Also what falls due within two polls. */
  readonly ahead: boolean;
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
  /** Whether the node's own lease stands; and makes it beat at once, after which it wakes the fetcher. */
  alive(): boolean;
  revive(): void;
  /** Beats instead of a poll, if nothing is held and the next beat is due within `ms`. Answers whether it does. */
  beats(ms: number): boolean;
  /** Ended runs that the store has not taken yet. */
  unsettled(): number;
}
