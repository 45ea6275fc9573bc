import type { Clock, StoreClock } from "./clock.ts";
import type { Executor } from "./executor.ts";
import type { Health } from "./health.ts";
import type { Leased } from "./lease.ts";
import type { Registry } from "./registry.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Held, NodeInfo, Store } from "./store/store.ts";

export interface NodeParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly storeClock: StoreClock;
  readonly health: Health;
  readonly registry: Registry;
  readonly info: NodeInfo;
  readonly leaseMs: number;
  /** How long a lease is good after its request was sent, with a margin for safety; ms. */
  readonly goodMs: number;
  readonly drain: AbortSignal;
  /** The node's lease had ended, and stands again. */
  revived(): void;
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

  /** Renews the node's lease, and with it all that is held; puts under it what has been here for a third of a lease. */
  async beat(): Promise<void> {
    await this.publish().catch((error: unknown) => this.#parts.health.failed("Publishing jobs", error));
    const lapsed = !this.alive;
    const alive = await this.#beat();
    if (!alive) await this.#check();
    await this.#hold();
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

  async #beat(): Promise<boolean> {
    const { store, clock, storeClock, health, registry, leaseMs, goodMs, drain } = this.#parts;
    const { slots, busy, ready, future } = this.#parts.scheduler().load();
    const counts = registry.takeCounts();
    const state = { slots, busy, heap: ready + future, draining: drain.aborted, jobs: registry.ids() };
    const sentAt = clock.ticks();
    try {
      const { alive, cancel, nowMs } = await store.nodes.beat(this.#id, leaseMs, state, counts);
      health.ok();
      storeClock.observe(nowMs, sentAt, clock.ticks());
      this.#heldUntil = sentAt + goodMs;
      this.#cancel(cancel);
      return alive;
    } catch (error) {
      registry.returnCounts(counts);
      throw error;
    }
  }

  /** The node's lease had ended: some of what it held may be another's by now. */
  async #check(): Promise<void> {
    const { store } = this.#parts;
    const held = [...this.#parts.scheduler().held()].filter((leased) => leased.held);
    if (held.length === 0) return;
    const ours = new Map((await store.runs.check(held.map(fence))).map(({ id, token }) => [id, token]));
    for (const leased of held)
      if (ours.get(leased.lease.id) !== leased.lease.token) this.#parts.executor().lost(leased);
  }

  async #hold(): Promise<void> {
    const { store, clock, leaseMs } = this.#parts;
    const before = clock.ticks() - leaseMs / 3;
    const held = [...this.#parts.scheduler().held()].filter(
      ({ held, claimedAt, phase }) => !held && claimedAt <= before && phase !== "recording",
    );
    if (held.length === 0) return;
    const starts = held.map((leased) => ({ ...fence(leased), startedMs: leased.startedMs }));
    const lost = new Set((await store.runs.hold(this.#id, starts)).map(({ id }) => id));
    for (const leased of held) {
      if (!lost.has(leased.lease.id)) leased.held = true;
      else if (this.#parts.scheduler().find(leased.lease.id, leased.lease.token)) this.#parts.executor().lost(leased);
    }
  }

  #cancel(runs: readonly Held[]): void {
    for (const run of runs) this.#parts.executor().cancel(run);
  }
}

function fence({ lease: { id, token } }: Leased): Held {
  return { id, token };
}
