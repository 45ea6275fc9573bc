import type { Pool } from "./pool.ts";
import type { Watching } from "./feed.ts";
import type { Statements } from "./sql.ts";

/** A block is dropped after this time, so that ids of different processes stay in the order of time. */
const freshMs = 2000;
const blockSize = 1024;

export type Ids = ReturnType<typeof idBlocks>;

/** Ids from blocks of the sequence. A call for more than a block takes several consecutive ones. */
export function idBlocks(pool: Pool, sql: Statements, watching: Watching) {
  let next = 0;
  let end = 0;
  let until = 0;
  let fetching: Promise<void> | null = null;
  async function fetch(): Promise<void> {
    const first = Number(watching.in(await pool.rows("tasker_ids", sql.ids, []))[0]![0]);
    if (first !== end) next = first;
    end = first + blockSize;
    until = performance.now() + freshMs;
  }
  return {
    /** An id from the current block, or null. */
    next: (): number | null => (next < end && performance.now() <= until ? next++ : null),
    /** The first of `count` consecutive ids. */
    async take(count: number): Promise<number> {
      if (performance.now() > until) next = end;
      while (end - next < count) await (fetching ??= fetch().finally(() => (fetching = null)));
      const first = next;
      next += count;
      return first;
    },
  };
}
