import { Heap } from "./heap.ts";
import type { Leased } from "./lease.ts";

/** What shares one limit in this process: a queue that has one, all queues that have none, or the runs that crashed too often
 *  to run beside one another. */
export class Group {
  /** Null for all queues without a limit. */
  readonly queue: string | null;
  /** Runs at once; Infinity where only the slots limit. */
  readonly concurrency: number;
  running = 0;
  /** Those that will fall due. */
  future = 0;
  /** A look at everything is due: a claim that begins at the head of its lanes. When it may be made at the earliest (ticks), and whether the
   *  last one took long. */
  owed = false;
  wholeAt = 0;
  isSlow = false;
  /** Those that are due, by rank. */
  readonly ready = new Heap<Leased>();

  constructor(queue: string | null, concurrency = Infinity) {
    this.queue = queue;
    this.concurrency = concurrency;
  }

  /** Places for runs that are neither running nor waiting here. */
  get free(): number {
    return this.concurrency - this.running - this.ready.size;
  }
}
