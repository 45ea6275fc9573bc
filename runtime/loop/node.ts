import type { Attempts } from "../attempt/attempts.ts";
import { listensByBeats, type Core } from "../core/core.ts";
import { fence, type Leased } from "../core/lease.ts";
import { logged } from "../core/log.ts";
import type { Publisher } from "../schedule/publish.ts";
import { aheadMs } from "../schedule/plan.ts";
import type { Beat } from "../store/port.ts";

/** The longest that a statement which was in flight when the node fell asleep may go on unseen; ms. */
const doubtMs = 6000;
/** A sleep of fewer polls is not worth its statements. */
const leastPolls = 5;

/** This process among those that share the store: it beats, which renews all that it holds, hears commands, and publishes its jobs.
 *  With nothing to do and nobody else there it may sleep: its last beats give it a lease until something falls due, for only live
 *  nodes are told of runs; it asks for nothing, and claims nothing before it has beaten again. */
export class Node {
  readonly #core: Core;
  readonly #attempts: Attempts;
  readonly #publisher: Publisher;
  #unlisten: (() => Promise<void>) | null = null;

  constructor(core: Core, attempts: Attempts, publisher: Publisher) {
    this.#core = core;
    this.#attempts = attempts;
    this.#publisher = publisher;
  }

  async join(): Promise<void> {
    const { store, clock, settings, standing, goodMs } = this.#core;
    const sentAt = clock.ticks();
    standing.join(await store.nodes.join(settings.info, settings.leaseMs), sentAt + goodMs);
  }

  /** Lets the store wake the loops. One that can't is polled. */
  async listen(): Promise<void> {
    const { store, standing, leases, ticks, beats, logger } = this.#core;
    if (store.lacks.listen !== undefined) return; // it polls
    try {
      standing.deaf = false;
      this.#unlisten = await store.runs.listen(standing.id, (what, runs = []) => {
        standing.deaf = what === "deaf";
        if (standing.deaf) return beats.ring();
        if (what === "sent" || what === "woken") return this.#attempts.mailed(runs, what === "woken");
        if (what === "due") leases.want("hint");
        else if (what === "tick") ticks.tell();
        else beats.tell(); // a beat that is under way may have looked too early for the command
      });
    } catch (error) {
      standing.deaf = true;
      logger.warn({ err: logged(error) }, "The store does not wake this node; it polls");
    }
  }

  /** Beats, and sleeps, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { beats } = this.#core;
    while (!signal.aborted) {
      const why = beats.begin();
      if (why !== null) beats.plan(await this.#look(why !== "planned"));
      await beats.next(signal);
    }
  }

  /** Answers when to look again; ticks. */
  async #look(isAsked: boolean): Promise<number> {
    const { clock, health, standing, settings } = this.#core;
    const { pollMs, leaseMs, sweepMs } = settings;
    const periodMs = Math.max(pollMs, Math.min(leaseMs / 3, sweepMs)); // no sweep without a beat that asks for it
    const soon = (ms: number): number => clock.ticks() + ms * (1 - Math.random() * 0.1);
    try {
      await this.#turn(isAsked);
      const { sleep } = standing;
      if (!sleep) return soon(listensByBeats(this.#core) ? pollMs / 4 : periodMs);
      return sleep.sure ? sleep.until : Math.min(sleep.until, clock.ticks() + doubtMs);
    } catch (error) {
      health.failed("Beating", error);
      const { sleep } = standing;
      if (sleep) standing.fallAsleep(sleep.until, true); // the next beat wakes it
      return soon(sleep ? pollMs : periodMs);
    }
  }

  /** Renews the node's lease, and with it all that is held; puts under it what has been here for a third of a lease. After a
   *  pause in which leases may have ended (the process was blocked or asleep, the store away) it first settles what ended, then
   *  makes sure of all that it still has. Only then does the node stand again, and claims and sweeps: else it would take its
   *  own runs for a dead node's. Answers the beat, as the store did. */
  async beat(): Promise<Beat> {
    const { clock, settings, goodMs, standing } = this.#core;
    const { sleep } = standing;
    const lapsed = !standing.alive && !(sleep && clock.ticks() < sleep.until + goodMs);
    if (lapsed) await this.#attempts.completer.flush(clock.ticks() + settings.leaseMs / 3);
    const { beat, until } = await this.#beat(settings.leaseMs, false);
    if (!lapsed) standing.renew(until);
    await this.#hold(beat);
    standing.renew(until);
    this.#heard(beat, lapsed || !beat.alive);
    return beat;
  }

  /** Stops listening to the store. */
  async silence(): Promise<void> {
    await this.#unlisten?.();
  }

  async leave(): Promise<void> {
    const { store, standing } = this.#core;
    if (standing.id !== 0) await store.nodes.leave(standing.id);
  }

  /** Beats; or, where the time for it has come, sleeps, or makes sure that it may go on sleeping. */
  async #turn(isAsked: boolean): Promise<void> {
    const { clock, standing } = this.#core;
    const { sleep } = standing;
    const isDoubt = sleep && !sleep.sure && !isAsked && clock.ticks() < sleep.until;
    const until = isDoubt ? sleep.until : this.#restUntil(await this.beat());
    if (until !== null && !(await this.#rest(until))) await this.beat();
  }

  /** Sleeps until `until` (ticks), or until what the beat told that comes earlier. False if there is something to do. */
  async #rest(until: number): Promise<boolean> {
    const { clock, settings, standing } = this.#core;
    const { beat } = await this.#beat(until - clock.ticks() + settings.leaseMs, true);
    const end = beat.alive ? this.#restUntil(beat) : null;
    if (end === null) return false;
    standing.fallAsleep(Math.min(until, end), standing.sleep !== null);
    return true;
  }

  /** Until when there is nothing to do, less what it takes to lease ahead; ticks. Null if it is not worth sleeping. */
  #restUntil({ coming, tickMs, others, sweep, publish, asks, looked }: Beat): number | null {
    const { clock, storeClock, settings, drain, claims, prunes } = this.#core;
    const { silent, pollMs } = settings;
    const busy = others || sweep || publish || looked || asks.length > 0 || drain.aborted;
    if (!silent || this.#unlisten === null || busy || !coming) return null;
    if (!this.#attempts.idle || !claims.quiet) return null;
    const instants = [coming.dueMs, coming.expiresMs, tickMs].filter((ms) => ms !== null);
    const until = Math.min(prunes.at, ...instants.map((ms) => storeClock.tickAt(ms) - pollMs * 2));
    return until - clock.ticks() < pollMs * leastPolls ? null : until;
  }

  /** `until`: when the renewed lease is good, ticks. */
  async #beat(ttlMs: number, asleep: boolean): Promise<{ readonly beat: Beat; readonly until: number }> {
    const { store, clock, storeClock, health, registry, leases, standing, goodMs, drain } = this.#core;
    const { slots, busy, heap } = leases.load();
    const counts = registry.takeCounts();
    const state = { slots, busy, heap, draining: drain.aborted, jobs: registry.ids(), asleep };
    const sentAt = clock.ticks();
    try {
      const beat = await store.nodes.beat(standing.id, ttlMs, state, counts);
      health.ok();
      storeClock.observe(beat.nowMs, sentAt, clock.ticks());
      for (const ask of beat.asks) this.#attempts.hear(ask);
      if (beat.paused.length > 0) this.#attempts.releaseWaiting(({ queue }) => beat.paused.includes(queue));
      return { beat, until: sentAt + goodMs };
    } catch (error) {
      registry.returnCounts(counts);
      throw error;
    }
  }

  /** Puts under the node's lease what waits, runs, or ended and is not settled, and has been here for a third of a lease;
   *  all of it if the node's lease had ended, for some may be another's by now; and what somebody wants to know the start of. */
  async #hold({ alive, asks, looked, paused }: Beat): Promise<void> {
    const { store, clock, settings, leases, standing } = this.#core;
    const before = clock.ticks() - settings.leaseMs / 3;
    const all = looked || asks.some(({ kind }) => kind === "back");
    const wanted = ({ lease, tenure, claimedAt, phase, settling }: Leased): boolean => {
      if (phase === "running" && tenure !== "told" && (all || paused.includes(lease.queue))) return true;
      return tenure !== "own" ? !alive && !settling : claimedAt <= before && phase !== "starting";
    };
    const batch = [...leases.all()].filter(wanted);
    if (batch.length === 0) return;
    const fences = batch.map((leased) => ({ ...fence(leased), startedMs: leased.startedMs }));
    const lost = new Set((await store.runs.hold(standing.id, fences)).map(({ id }) => id));
    for (const [i, leased] of batch.entries()) {
      if (leases.find(fences[i]!) !== leased) continue; // leased anew meanwhile
      if (lost.has(leased.lease.id)) this.#attempts.lose(leased);
      else leases.hold(leased, fences[i]!.startedMs !== null);
    }
  }

  #heard({ tickMs, publish, sweep, coming }: Beat, lapsed: boolean): void {
    const { storeClock, standing, leases, claims, ticks, sweeps, logger } = this.#core;
    standing.look(coming);
    if (tickMs !== null) ticks.by(storeClock.tickAt(tickMs - aheadMs));
    if (publish) void this.#publisher.follow(true);
    if (sweep) sweeps.tell();
    if (lapsed) {
      logger.warn(
        {},
        "Lease not renewed in time: this process was blocked or suspended, or the store was away or its clock set",
      );
      standing.lapse();
      leases.want("poll");
      ticks.tell();
    }
    claims.ring();
    ticks.ring();
  }
}
