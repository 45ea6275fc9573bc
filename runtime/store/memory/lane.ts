/** Where runs stand by state and instant, so that nothing has to look at all of them. Derived from their rows alone. */
import { Order } from "./order.ts";
import type { Row } from "./row.ts";

/** Runs of one queue, job and priority that have not ended. */
export interface Lane {
  readonly name: string;
  readonly queue: string;
  readonly job: string;
  readonly priority: number;
  /** Those that nobody has, or whose lease lapsed, by when they become claimable. */
  readonly free: Order<Row>;
  leased: number;
}

/** Fields of a row that decide where it stands. */
export const places: ReadonlySet<string> = new Set<keyof Row>([
  ...(["queue", "priority", "readyMs", "expiresMs", "node", "leaseUntil", "held", "ask", "back", "end"] as const),
]);

export class Lanes {
  #latest: Lane | null = null;
  readonly all = new Map<string, Lane>();
  /** Runs with a lease of their own that stands, by its end. */
  readonly leases = new Order<Row>((row) => row.leaseUntil!);
  /** Node → runs that live by its lease. */
  readonly held = new Map<number, Set<Row>>();
  /** Runs with a cancel under way, or that an act waits for. */
  readonly asked = new Set<Row>();
  /** Runs that expire unless they are leased before. */
  readonly expiring = new Order<Row>((row) => row.expiresMs!);
  /** Runs that have ended, by when. */
  readonly ended = new Order<Row>((row) => row.end!.finishedMs);

  enter(row: Row): void {
    if (row.end) return this.ended.add(row);
    const lane = this.#laneOf(row);
    if (row.held) this.#heldBy(row.node!).add(row);
    else if (row.leaseUntil !== null) this.leases.add(row);
    else {
      lane.free.add(row);
      if (row.expiresMs !== null) this.expiring.add(row);
      return;
    }
    lane.leased++;
    if (row.ask !== null || row.back) this.asked.add(row);
  }

  leave(row: Row): void {
    if (row.end) return void this.ended.remove(row);
    const lane = this.#laneOf(row);
    this.asked.delete(row);
    if (row.expiresMs !== null) this.expiring.remove(row);
    if (row.held) {
      const held = this.#heldBy(row.node!);
      held.delete(row);
      if (held.size === 0) this.held.delete(row.node!);
    } else if (row.leaseUntil === null || !this.leases.remove(row)) return void lane.free.remove(row);
    lane.leased--;
  }

  /** Makes claimable what has a lease that ended before now. */
  lapse(nowMs: number): void {
    for (let row = this.leases.first(); row && row.leaseUntil! < nowMs; row = this.leases.first()) {
      this.leases.remove(row);
      const lane = this.#laneOf(row);
      lane.leased--;
      lane.free.add(row);
    }
  }

  #laneOf(row: Row): Lane {
    const { queue, job, priority } = row;
    const latest = this.#latest; // neighbours are mostly of one lane, so its name is seldom made
    if (latest?.queue === queue && latest.job === job && latest.priority === priority) return latest;
    const name = laneOf(row);
    const known = this.all.get(name);
    const lane = known ?? { name, queue, job, priority, free: new Order<Row>((row) => row.readyMs), leased: 0 };
    if (!known) this.all.set(name, lane);
    return (this.#latest = lane);
  }

  #heldBy(node: number): Set<Row> {
    const held = this.held.get(node) ?? new Set();
    this.held.set(node, held);
    return held;
  }
}

/** The name of a run's lane. */
export function laneOf({ queue, job, priority }: Row): string {
  return `${queue}\0${job}\0${priority}`; // no queue or job has a NUL
}
