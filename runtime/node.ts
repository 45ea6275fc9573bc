import type { Clock, StoreClock } from "./clock.ts";
import type { Executor } from "./executor.ts";
import type { Health } from "./health.ts";
import type { Leased } from "./lease.ts";
import type { Registry } from "./registry.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Settler } from "./settle.ts";
import type { Beat, Held, NodeInfo, Store } from "./store/store.ts";

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
  readonly drain: AbortSignal;
  /** The node's lease had ended, and stands again. */
  revived(): void;
  /** A beat was answered: when the next schedule is due, and whether this node's are to be declared again. */
  heard(beat: Pick<Beat, "tickMs" | "declare">): void;
  scheduler(): Scheduler;
  executor(): Executor;
}

/** This process among those that share the store: it beats, which renews all that it holds, hears commands, and publishes its jobs. */
export class Node {
  readonly #parts: NodeParts;
  #id = 0;
  #heldUntil = -Infinity;
  #published = -1;

  constructor(parts: NodeParts) {
    this.#parts = parts;
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

  async join(): Promise<void> {
    const { store, clock, info, leaseMs, goodMs } = this.#parts;
    const sentAt = clock.ticks();
    this.#id = await store.nodes.join(info, leaseMs);
    this.#heldUntil = sentAt + goodMs;
  }

  /** Renews the node's lease, and with it all that is held; puts under it what has been here for a third of a lease. After a
   *  pause in which leases may have ended (the process was blocked or asleep, the store away) it first settles what ended, then
   *  makes sure of all that it still has. Only then does the node stand again, and claims and sweeps: else it would take its
   *  own runs for a dead node's. */
  async beat(): Promise<void> {
    const { clock, leaseMs, health, settler } = this.#parts;
    const lapsed = !this.alive;
    if (lapsed) await settler.flush(clock.ticks() + leaseMs / 3);
    await this.publish().catch((error: unknown) => health.failed("Publishing jobs", error));
    const { alive, until } = await this.#beat();
    if (!lapsed) this.#heldUntil = until;
    if (!alive) await this.#check();
    await this.#hold();
    this.#heldUntil = until;
    if (lapsed) this.#parts.revived();
  }

  /** Publishes the jobs, if they changed since. */
  async publish(): Promise<void> {
    const { store, registry } = this.#parts;
    const { version } = registry;
    if (this.#published === version) return;
    await store.nodes.publish(registry.records());
    this.#published = version;
  }

  /** Does what the store's commands for this node say. */
  async hear(): Promise<void> {
    const { store, health } = this.#parts;
    try {
      this.#cancel(await store.nodes.commands(this.#id));
    } catch (error) {
      health.failed("Reading commands", error);
    }
  }

  async leave(): Promise<void> {
    if (this.#id !== 0) await this.#parts.store.nodes.leave(this.#id);
  }

  /** `until`: when the renewed lease ends, ticks. */
  async #beat(): Promise<{ readonly alive: boolean; readonly until: number }> {
    const { store, clock, storeClock, health, registry, leaseMs, goodMs, drain } = this.#parts;
    const { slots, busy, heap } = this.#parts.scheduler().load();
    const counts = registry.takeCounts();
    const state = { slots, busy, heap, draining: drain.aborted, jobs: registry.ids() };
    const sentAt = clock.ticks();
    try {
      const { alive, cancel, nowMs, ...rest } = await store.nodes.beat(this.#id, leaseMs, state, counts);
      health.ok();
      storeClock.observe(nowMs, sentAt, clock.ticks());
      this.#cancel(cancel);
      this.#parts.heard(rest);
      return { alive, until: sentAt + goodMs };
    } catch (error) {
      registry.returnCounts(counts);
      throw error;
    }
  }

  /** The node's lease had ended: some of what it held may be another's by now. */
  async #check(): Promise<void> {
    const { store } = this.#parts;
    const held = [...this.#parts.scheduler().held()].filter((leased) => leased.held && !leased.settling);
    if (held.length === 0) return;
    const asked = held.map(fence);
    const ours = new Set((await store.runs.check(asked)).map(({ id }) => id));
    for (const [i, leased] of held.entries()) if (!ours.has(leased.lease.id)) this.#lost(leased, asked[i]!);
  }

  /** Puts under the node's lease what waits, runs, or ended and is not settled, and has been here for a third of a lease. */
  async #hold(): Promise<void> {
    const { store, clock, leaseMs } = this.#parts;
    const before = clock.ticks() - leaseMs / 3;
    const held = [...this.#parts.scheduler().held()].filter(
      ({ held, claimedAt, phase }) => !held && claimedAt <= before && phase !== "recording",
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
  #lost(leased: Leased, { id, token }: Held): void {
    if (this.#parts.scheduler().find(id, token) === leased) this.#parts.executor().lost(leased);
  }

  #cancel(runs: readonly Held[]): void {
    for (const run of runs) this.#parts.executor().cancel(run);
  }
}

function fence({ lease: { id, token } }: Leased): Held {
  return { id, token };
}
