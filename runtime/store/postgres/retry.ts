import { setTimeout as pause } from "node:timers/promises";
import type { Numbered } from "./column.ts";
import { isAway, isBusy, isData, numbers, type Pool, unavailable } from "./pool.ts";
import type { Statements } from "./sql.ts";
import type { Send } from "./transaction.ts";

/** Adds are repeated this long while the server is away. */
export const patienceMs = 10_000;

/** Sends adds. A repeat also deletes runs that the earlier try added and that are over by now. */
export function senderFor(pool: Pool, sql: Statements, items: readonly Numbered[], again: boolean): Send {
  if (!again) return (name, statement, values) => pool.rows(name, statement, values);
  const ids = numbers(items.map(({ id }) => id));
  return (_name, statement, values) =>
    pool.within(async (send) => {
      const rows = await send("", statement, values);
      await send("", sql.undouble, [ids]); // a statement of its own, which sees what was committed meanwhile
      return rows;
    });
}

/** Exponential backoff with jitter; ms. */
export function growing(tries: number, firstMs: number, mostMs: number): number {
  return Math.min(mostMs, firstMs * 2 ** tries) * (0.75 + Math.random() / 2);
}

async function repeat<T>(
  call: (again: boolean) => Promise<T>,
  forMs: number,
  isPassing: (error: unknown) => boolean,
  pauseMs: (tries: number) => number,
): Promise<T> {
  const deadline = performance.now() + forMs;
  for (let tries = 0; ; tries++) {
    try {
      return await call(tries > 0);
    } catch (error) {
      if (!isPassing(error) || performance.now() > deadline) throw error;
      await pause(pauseMs(tries));
    }
  }
}

/** Repeats while the server is away, or while `isPassing`. `again`: an earlier try may have been written. */
export function patiently<T>(call: (again: boolean) => Promise<T>, isPassing = isAway): Promise<T> {
  return repeat(call, patienceMs, isPassing, (tries) => growing(tries, 25, 1000));
}

/** Repeats a write while another transaction holds a lock that it needs. No connection is held in between.
 *  @throws {StoreUnavailable} with the message `what`, after `forMs` */
export function outwait<T>(write: () => Promise<T>, forMs: number, what: string): Promise<T> {
  return repeat(write, forMs, isBusy, () => 20 + Math.random() * 20).catch((error: unknown) => {
    throw isBusy(error) ? unavailable(what, (error as Error).cause ?? error) : error;
  });
}

/** As `isAway`, without claimed keys, which are retried apart. */
export function isAwayOnly(error: unknown): boolean {
  return isAway(error) && !isBusy(error);
}

/** Writes a batch. If the server refuses it, each row is written alone. */
export async function isolated<T extends Numbered, A>(
  items: readonly T[],
  write: (items: readonly T[], again: boolean) => Promise<readonly (A | Error)[]>,
  isPassing = isAway,
): Promise<readonly (A | Error)[]> {
  try {
    return await patiently((again) => write(items, again), isPassing);
  } catch (error) {
    const refused = error as Error;
    if (items.length === 1 || !isData(error)) return items.map(() => refused);
    return (await Promise.all(items.map((item) => isolated([item], write, isPassing)))).flat();
  }
}
