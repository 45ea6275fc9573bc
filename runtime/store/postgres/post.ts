import type { Act } from "../../../sdk/port/target.ts";
import { batch } from "./batch.ts";
import type { Watching } from "./feed.ts";
import { numbers, type Pool } from "./pool.ts";
import { act, desk, hearers } from "./sql/desk.ts";
import { flow } from "./sql/flow.ts";
import { posted } from "./sql/journal.ts";
import type { Statements } from "./sql.ts";

/** A statement delivers, or cancels, at most so many. */
const bound = 500;
/** A sweep checks so many runs of each table for what was left. */
const window = 2000;

/** What reaches runs from others: mail, ends of what they made, and cancels. */
export interface Post {
  /** Delivers mail, and wakes its receivers. Never fails: sweeps deliver what is left. */
  deliver(): Promise<void>;
  /** Cancels runs, or asks their nodes to, and then their descendants. Returns the acts on the given runs. */
  cancel(ids: readonly number[], reason: string): Promise<readonly Act[]>;
  /** Cancels the descendants of runs. Never fails. */
  cancelBelow(ids: readonly number[]): Promise<void>;
  /** Sends revived runs the ends of children that they missed. */
  adopt(ids: readonly number[]): Promise<void>;
  /** Delivers what is left, and clears up after runs that a version without workflows has ended. */
  sweep(): Promise<void>;
}

/** Notifies those who wait for these runs (`w`), or nodes that have commands (`c`). */
export async function tell(pool: Pool, sql: Statements, kind: "w" | "c", ids: readonly number[]): Promise<void> {
  if (ids.length > 0) await pool.rows("tasker_tell", sql.tell, [`${kind}${ids.slice(0, 400).join(",")}`]);
}

const nothing = (): void => undefined;

export function post(pool: Pool, sql: Statements, watching: Watching): Post {
  const text = flow(sql);
  const { cancel: end } = desk(sql);
  const walks = { orphans: 0, unread: 0, adopt: 0 };
  const delivered = batch(
    async (asked: readonly null[]) => {
      while (Number((await pool.rows("tasker_deliver", text.deliver, [bound]))[0]![0]) === bound);
      return asked;
    },
    { size: Infinity },
  );
  const deliver = () => delivered([null]).then(nothing, nothing);

  async function cancel(ids: readonly number[], reason: string) {
    const rows = watching.in(await pool.guest.rows("tasker_cancel", end, [numbers(ids), reason]));
    const all = rows.map((row) => ({ ...act.read(row), ...hearers.read(row, act.width) }));
    const watched = all.filter((one) => one.watched).map(({ id }) => id);
    await tell(pool, sql, "w", watched);
    const nodes = [...new Set(all.map(({ node }) => node).filter((node) => node !== null))];
    await tell(pool, sql, "c", nodes);
    if (rows.some((row) => posted.read(row, act.width + hearers.width).count > 0)) await deliver();
    return all.map(({ id, done, status }) => ({ id, done, status }));
  }

  async function cancelBelow(ids: readonly number[]): Promise<void> {
    const below = (await pool.rows("tasker_down", text.down, [numbers(ids)])).map((row) => Number(row[0]));
    for (let from = 0; from < below.length; from += bound) await cancel(below.slice(from, from + bound), "parent");
  }

  return {
    deliver,
    async cancel(ids, reason) {
      const rows = await cancel(ids, reason);
      await cancelBelow(ids);
      return rows;
    },
    async cancelBelow(ids) {
      if (ids.length > 0) await cancelBelow(ids).catch(() => undefined);
    },
    async adopt(ids) {
      await pool.rows("tasker_adopt", text.adoptOf, [numbers(ids)]);
      await deliver();
    },
    async sweep() {
      for (const kind of ["orphans", "unread", "adopt"] as const) {
        const [row] = await pool.rows(`tasker_sweep_${kind}`, text[kind], [walks[kind], window]);
        walks[kind] = Number(row![0] ?? 0); // at the end it begins anew
      }
      await deliver();
    },
  };
}
