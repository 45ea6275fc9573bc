import { Bell, type Clock, type StoreClock } from "../core/clock.ts";
import type { Executor } from "./executor.ts";
import type { Health } from "../core/health.ts";
import { fence, type Leased } from "../core/lease.ts";
import type { Registry } from "../core/registry.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Settler } from "../attempt/settle.ts";
import type { Beat, Coming, Fence, NodeInfo, Store } from "../store/port.ts";

export interface NodeParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly storeClock: StoreClock;
  readonly health: Health;
  readonly registry: Registry;
  readonly settler: Settler;
  readonly info: NodeInfo;
  readonly leaseMs: number;
  /** How long a lease is good after its request was sent, with a margin for safety; ms. */
  readonly goodMs: number;
  /** How often to beat, at least; ms. */
  readonly periodMs: number;
  readonly pollMs: number;
  readonly drain: AbortSignal;
  /** Whether to sleep while there is no other node and nothing to do. */
  silent(): boolean;
  /** Whether nothing is held, asked for or to be written. */
  idle(): boolean;
  /** When there is housekeeping to do; ticks. */
  tidyAt(): number;
  /** The node stands again, after it slept, or `lapsed`: after its lease had ended. */
  revived(lapsed: boolean): void;
  /** A beat was answered, and what is held was seen to. */
  heard(beat: Beat): void;
  scheduler(): Scheduler;
  executor(): Executor;
}

/** When the last beat that was answered was sent (ticks), and what it saw of what comes; null if it did not look. */
export interface Seen {
  readonly at: number;
  readonly coming: Coming | null;
}

/** Statements that began before a node slept, and that it can't see and nobody tells it of, have ended after this; ms. */
const doubtMs = 6000;
/** A sleep of fewer polls is not worth its statements. */
const leastPolls = 5;

/** This process among those that share the store: it beats, which renews all that it holds, and hears commands.
 *  With nothing to do and nobody else there it may sleep: its last beats give it a lease until something falls due, for only live
 *  nodes are told of runs; it asks for nothing, and claims nothing before it has beaten again. */
export class Node {
  readonly #parts: NodeParts;
  readonly #bell: Bell;
  /** Sleeps until `until` (ticks); `sure`: has looked again since. */
  #sleep: { readonly until: number; readonly sure: boolean } | null = null;
  /** When to beat next; ticks. */
  #beatAt = 0;
  /** A beat is under way, or asked for; and it was asked for another after that. */
  #stirred = false;
  #called = false;
  #id = 0;
  #heldUntil = -Infinity;
  #seen: Seen = { at: -Infinity, coming: null };

  constructor(parts: NodeParts) {
    this.#parts = parts;
    this.#bell = new Bell(parts.clock);
  }

  /** The node's number in the store; 0 before it joined. */
  get id(): number {
    return this.#id;
  }

  /** Until when what is held is good, by the last beat; ticks. */
  get heldUntil(): number {
    return this.#heldUntil;
  }

  /** Whether the node's lease stands, by its last beat. */
  get alive(): boolean {
    return this.#parts.clock.ticks() < this.#heldUntil;
  }

  /** Whether it sleeps; it is not `alive` then. */
  get asleep(): boolean {
    return this.#sleep !== null;
  }

  get seen(): Seen {
    return this.#seen;
  }

  /** Beats at once. */
  revive(): void {
    if (this.#stirred) return;
    this.#stirred = true;
    this.#bell.ring();
  }

  /** Beats at once if there is nothing to do and the next beat is due within `ms`; answers whether it does. */
  early(ms: number): boolean {
    const { clock, idle } = this.#parts;
    if (!this.alive || this.#stirred || this.#beatAt > clock.ticks() + ms || !idle()) return false;
    this.revive();
    return true;
  }

  /** Beats, and sleeps, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, health, periodMs, pollMs } = this.#parts;
    while (!signal.aborted) {
      this.#stirred = true;
      this.#called = false;
      try {
        await this.#turn(clock.ticks() < this.#beatAt);
        const { until, sure } = this.#sleep ?? {
          until: clock.ticks() + periodMs * (1 - Math.random() * 0.1),
          sure: true,
        };
        this.#beatAt = sure ? until : Math.min(until, clock.ticks() + doubtMs);
      } catch (error) {
        health.failed("Beating", error);
        this.#beatAt = clock.ticks() + (this.#sleep ? pollMs : periodMs) * (1 - Math.random() * 0.1);
        if (this.#sleep) this.#sleep = { ...this.#sleep, sure: true }; // the next beat wakes it
      }
      this.#stirred = false;
      if (!this.#called) await this.#bell.next(this.#beatAt, signal);
    }
  }

  async join(): Promise<void> {
    const { store, clock, info, leaseMs, goodMs } = this.#parts;
    const sentAt = clock.ticks();
    this.#id = await store.nodes.join(info, leaseMs);
    this.#heldUntil = sentAt + goodMs;
  }

  /** Renews the node's lease, and with it all that is held; puts under it what has been here for a third of a lease. After a
   *  pause in which leases may have ended (the process was blocked or asleep, the store away) it first settles what ended, then
   *  makes sure of all that it still has. Only then does the node stand again, and claims and sweeps: else it would take its
   *  own runs for a dead node's. Answers the beat, as the store did. */
  async beat(): Promise<Beat> {
    const { clock, leaseMs, goodMs, settler } = this.#parts;
    const slept = this.#sleep;
    const lapsed = !this.alive && !(slept && clock.ticks() < slept.until + goodMs);
    if (lapsed) await settler.flush(clock.ticks() + leaseMs / 3);
    const { beat, until } = await this.#beat(leaseMs, false);
    if (!lapsed) this.#heldUntil = until;
    await this.#hold(!beat.alive);
    this.#heldUntil = until;
    this.#sleep = null;
    this.#seen = { at: until - goodMs, coming: beat.coming };
    this.#parts.heard(beat);
    if (lapsed || slept) this.#parts.revived(lapsed || !beat.alive);
    return beat;
  }

  /** The store has a command for this node: beats, for that brings it. A beat that is under way may have looked too early. */
  hear(): void {
    this.#called = true;
    this.revive();
  }

  async leave(): Promise<void> {
    if (this.#id !== 0) await this.#parts.store.nodes.leave(this.#id);
  }

  /** Beats; or, where the time for it has come, sleeps, or makes sure that it may go on sleeping. */
  async #turn(isRung: boolean): Promise<void> {
    const sleep = this.#sleep;
    const isDoubt = sleep && !sleep.sure && !isRung && this.#parts.clock.ticks() < sleep.until;
    const until = isDoubt ? sleep.until : this.#restUntil(await this.beat());
    if (until !== null && !(await this.#rest(until))) await this.beat();
  }

  /** Sleeps until `until` (ticks), or until what the beat told that comes earlier. False if there is something to do. */
  async #rest(until: number): Promise<boolean> {
    const { clock, leaseMs } = this.#parts;
    const { beat } = await this.#beat(until - clock.ticks() + leaseMs, true);
    const end = beat.alive ? this.#restUntil(beat) : null;
    if (end === null) return false;
    this.#sleep = { until: Math.min(until, end), sure: this.#sleep !== null };
    this.#heldUntil = -Infinity;
    return true;
  }

  /** Until when there is nothing to do, less what it takes to lease ahead; ticks. Null if it is not worth sleeping. */
  #restUntil({ coming, tickMs, others, sweep, publish, cancel }: Beat): number | null {
    const { clock, storeClock, silent, pollMs, drain, idle, tidyAt } = this.#parts;
    const busy = others || sweep || publish || cancel.length > 0 || drain.aborted;
    if (!silent() || busy || !coming || !idle()) return null;
    const instants = [coming.dueMs, coming.expiresMs, tickMs].filter((ms) => ms !== null);
    const until = Math.min(tidyAt(), ...instants.map((ms) => storeClock.tickAt(ms) - pollMs * 2));
    return until - clock.ticks() < pollMs * leastPolls ? null : until;
  }

  /** `until`: when the renewed lease is good, ticks. */
  async #beat(ttlMs: number, asleep: boolean): Promise<{ readonly beat: Beat; readonly until: number }> {
    const { store, clock, storeClock, health, registry, goodMs, drain } = this.#parts;
    const { slots, busy, heap } = this.#parts.scheduler().load();
    const counts = registry.takeCounts();
    const state = { slots, busy, heap, draining: drain.aborted, jobs: registry.ids(), asleep };
    const sentAt = clock.ticks();
    try {
      const beat = await store.nodes.beat(this.#id, ttlMs, state, counts);
      health.ok();
      storeClock.observe(beat.nowMs, sentAt, clock.ticks());
      this.#cancel(beat.cancel);
      return { beat, until: sentAt + goodMs };
    } catch (error) {
      registry.returnCounts(counts);
      throw error;
    }
  }

  /** Puts under the node's lease what waits, runs, or ended and is not settled, and has been here for a third of a lease. `again`: also
   *  what was under it, for the node's lease had ended, and some of that may be another's by now. */
  async #hold(again: boolean): Promise<void> {
    const { store, clock, leaseMs } = this.#parts;
    const before = clock.ticks() - leaseMs / 3;
    const held = [...this.#parts.scheduler().held()].filter(({ held, settling, claimedAt, phase }) =>
      held ? again && !settling : claimedAt <= before && phase !== "recording",
    );
    if (held.length === 0) return;
    const starts = held.map((leased) => ({ ...fence(leased), startedMs: leased.startedMs }));
    const lost = new Set((await store.runs.hold(this.#id, starts)).map(({ id }) => id));
    for (const [i, leased] of held.entries()) {
      if (lost.has(leased.lease.id)) this.#lost(leased, starts[i]!);
      else if (leased.lease.token === starts[i]!.token) leased.held = true;
    }
  }

  /** Unless it was leased anew meanwhile. */
  #lost(leased: Leased, { id, token }: Fence): void {
    if (this.#parts.scheduler().find(id, token) === leased) this.#parts.executor().lost(leased);
  }

  #cancel(runs: readonly Fence[]): void {
    for (const run of runs) this.#parts.executor().cancel(run);
  }
}
