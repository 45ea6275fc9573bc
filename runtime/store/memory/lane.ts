/** Indexes of runs by state and instant, derived from the rows. */
import { Order } from "./order.ts";
import type { Row } from "./row.ts";

/** Live runs of one queue, job and priority. */
export interface Lane {
  readonly name: string;
  readonly queue: string;
  readonly job: string;
  readonly priority: number;
  /** Runs without a lease, or whose lease has lapsed, in the order in which they become claimable. */
  readonly free: Order<Row>;
  leased: number;
}

/** Fields that the indexes depend on. */
export const places: ReadonlySet<string> = new Set<keyof Row>([
  ...(["queue", "priority", "readyMs", "expiresMs", "node", "leaseUntil", "held", "ask", "back", "end"] as const),
]);

export class Lanes {
  #latest: Lane | null = null;
  readonly all = new Map<string, Lane>();
  /** Runs under a lease of their own, by its end. */
  readonly leases = new Order<Row>((row) => row.leaseUntil!);
  /** Node → runs under its lease. */
  readonly held = new Map<number, Set<Row>>();
  /** Runs that a cancel or another act waits for. */
  readonly asked = new Set<Row>();
  /** Runs that may expire, by when. */
  readonly expiring = new Order<Row>((row) => row.expiresMs!);
  /** Finished runs, by when they ended. */
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

  /** Moves runs whose lease has lapsed to the free ones. */
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
    const latest = this.#latest; // consecutive runs are mostly of one lane, so its name is seldom built
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

export function laneOf({ queue, job, priority }: Row): string {
  return `${queue}\0${job}\0${priority}`; // no queue or job has a NUL
}
