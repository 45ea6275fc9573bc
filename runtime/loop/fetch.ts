import type { Attempts } from "../attempt/attempts.ts";
import { listensByBeats, type Core } from "../core/core.ts";
import type { Limit } from "../core/lease.ts";
import type { Claim } from "../store/port.ts";

/** Every so many claims one goes by longest wait, so that a low priority can't starve. */
const oldestEvery = 8;

/** Leases runs for this process: one loop for all its queues and jobs, with one claim in flight at a time. */
export class Fetcher {
  readonly #core: Core;
  readonly #attempts: Attempts;
  /** When everything was looked at last, by claims or by a beat, and when a beat was asked to; ticks. */
  #polledAt = -Infinity;
  #askedAt = -Infinity;
  /** No claims before; ticks. */
  #restUntil = 0;
  #claims = 0;

  constructor(core: Core, attempts: Attempts) {
    this.#core = core;
    this.#attempts = attempts;
  }

  /** Leases until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, claims, health, leases, settings } = this.#core;
    while (!signal.aborted) {
      this.#note(claims.begin() === "asked");
      let at = 0;
      try {
        if (!(await this.#pass(signal))) at = this.#pollAt();
      } catch (error) {
        health.failed("Leasing runs", error);
        leases.want("poll");
        at = this.#restUntil = clock.ticks() + settings.pollMs * (1 - Math.random() * 0.5);
      }
      claims.plan(at);
      await claims.next(signal);
    }
  }

  /** Notes what to claim for now. `isDue`: a run falls due that was not leased ahead. */
  #note(isDue: boolean): void {
    const { clock, storeClock, standing, leases, settings } = this.#core;
    const { at, coming } = standing.looked;
    if (coming && at > this.#polledAt) {
      this.#polledAt = at;
      if (coming.dueMs !== null && coming.dueMs <= storeClock.now() + settings.pollMs * 2) leases.want("poll");
    }
    if (isDue) leases.want("poll");
    if (clock.ticks() >= this.#pollAt()) this.#poll();
  }

  /** When to poll next: one interval after the last poll, or after a beat that was asked for and is not answered yet; ticks. */
  #pollAt(): number {
    const { standing, settings } = this.#core;
    if (standing.sleep) return Infinity;
    const isAnswered = standing.looked.at >= this.#askedAt;
    return Math.max(this.#polledAt, isAnswered ? -Infinity : this.#askedAt) + settings.pollMs;
  }

  /** Polls by claims, or if there is nothing else to do by a beat, which is one statement for all limits. */
  #poll(): void {
    const { clock, standing, leases, beats, settings } = this.#core;
    const { at, coming } = standing.looked;
    const now = clock.ticks();
    this.#attempts.tend(settings.pollMs);
    const looks = coming !== null && at >= this.#askedAt; // the last beat did, and none failed since
    const beatsSoon = beats.quiet && (leases.limits.length > 1 || beats.at <= now + settings.pollMs);
    if (looks && beatsSoon && standing.alive && this.#attempts.idle) {
      this.#askedAt = now;
      return beats.tell();
    }
    const isFirst = this.#polledAt === -Infinity;
    this.#polledAt = isFirst ? now - settings.pollMs * Math.random() : now; // nodes that start together poll apart
    leases.want("poll");
  }

  /** Claims once for each limit that is wanted and has room. Answers whether another pass is worthwhile at once. */
  async #pass(signal: AbortSignal): Promise<boolean> {
    const { registry, standing, leases, beats } = this.#core;
    if (registry.ids().length === 0) leases.wantNothing();
    // Without a lease of its own the node holds nothing: a start that it records would pass for a dead node's.
    if (!standing.alive && leases.wants) beats.stir();
    let more = false;
    const turn = this.#claims % leases.limits.length;
    for (const limit of [...leases.limits.slice(turn), ...leases.limits.slice(0, turn)]) {
      if (signal.aborted || !standing.alive || this.#core.clock.ticks() < this.#restUntil) return false;
      if (limit.wanted !== null) more = (await this.#claim(limit, limit.wanted === "poll")) || more;
    }
    return more;
  }

  /** Claims for one limit, if it has room. Answers whether it should be asked again at once. */
  async #claim(limit: Limit, poll: boolean): Promise<boolean> {
    const { leases } = this.#core;
    const { limit: places, want, future } = leases.room();
    const most = Math.min(places, limit.free);
    if (!want || most <= 0) return false;
    const ahead = future && (limit.queue === null || limit.future < limit.concurrency);
    leases.asked(limit, ahead);
    const isFull = (await this.#lease(limit, most, ahead, poll)) >= most;
    leases.answered(limit, isFull);
    return isFull && leases.room().want && limit.free > 0;
  }

  /** Answers how many runs it brought. */
  async #lease(limit: Limit, most: number, ahead: boolean, poll: boolean): Promise<number> {
    const { store, clock, storeClock, health, standing, leases, beats, registry, settings, meters } = this.#core;
    const order = ++this.#claims % oldestEvery === 0 ? "oldest" : "priority";
    const sentAt = clock.ticks();
    const known = limit.unheard ? Array.from(leases.all(), ({ lease }) => lease.id) : undefined;
    limit.unheard = true; // until it is answered
    const { leases: batch, nowMs } = await store.runs.lease({
      node: standing.id,
      jobs: registry.ids(),
      queues: this.#queues(limit),
      limit: most,
      aheadMs: ahead ? settings.pollMs * 2 : 0,
      ttlMs: settings.leaseMs,
      order,
      crashesBelow: leases.passBy(),
      ...{ poll, known },
    });
    limit.unheard = known !== undefined && batch.length >= most;
    if (Number.isNaN(nowMs)) return 0;
    const receivedAt = clock.ticks();
    for (const meter of meters) meter.answered("lease", receivedAt - sentAt);
    health.ok();
    storeClock.observe(nowMs, sentAt, receivedAt);
    const back = this.#attempts.accept(batch, { sentAt, receivedAt, order });
    if (listensByBeats(this.#core)) beats.by(clock.ticks() + settings.pollMs / 4);
    if (back * 2 > batch.length) this.#restUntil = this.#pollAt(); // the next claim at once would bring the same
    return batch.length;
  }

  #queues(limit: Limit): Claim["queues"] {
    if (limit.queue !== null) return { only: [limit.queue] };
    return { not: this.#core.leases.limits.flatMap(({ queue }) => queue ?? []) };
  }
}
