import type { Feed, FeedPage } from "../../../sdk/port/feed.ts";
import { formatPlace, pageOf, type Place, parsePlace, type Row } from "../place.ts";
import { tail } from "../tail.ts";
import type { Listener } from "./listen.ts";
import type { Pool, Row as Answer } from "./pool.ts";
import { feed as statements, head, mostGone, row } from "./sql/feed.ts";
import type { Statements } from "./sql.ts";

/** How often to look for more: where notifications come anyway, and where none do; ms. */
const floorMs = 1000;
const deafMs = 100;

/** Whether somebody reads the feed, as answers and notifications have told. */
export class Watching {
  watched = false;
  #timer: NodeJS.Timeout | null = null;

  /** Takes in for how much longer somebody does, ms; null: nobody does. */
  hear(leftMs: string | number | null | undefined): void {
    if (leftMs === undefined) return;
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    this.watched = leftMs !== null && Number(leftMs) > 0;
    if (this.watched) this.#timer = setTimeout(() => this.hear(null), Math.min(Number(leftMs), 2 ** 31 - 1)).unref();
  }

  /** Answers rows as they are, after it took in their last column. */
  in(rows: readonly Answer[]): readonly Answer[] {
    this.hear(rows[0]?.at(-1));
    return rows;
  }
}

/** The feed of the Postgres store. */
export function feed(pool: Pool, sql: Statements, listener: Listener, watching: Watching): Feed {
  const text = statements(sql);

  async function look(at: Place): Promise<FeedPage> {
    const rows = await pool.guest.rows("tasker_feed_read", text.read, [at.epoch, at.n]);
    const { epoch } = head.read(rows[0]!);
    if (epoch === null) return { lines: [], cursor: formatPlace(at) };
    return pageOf(epoch, at, row.all(rows, head.width).map(rowOf));
  }

  return {
    get watched() {
      return watching.watched;
    },
    async watch(forMs, sinceMs) {
      await listener.ready();
      for (;;) {
        const [answer] = await pool.guest.rows("tasker_feed_watch", text.watch, [forMs, sinceMs ?? null]);
        const { epoch, n, leftMs } = head.read(answer!);
        const [gone, nowMs, dead] = answer!.slice(head.width);
        watching.hear(leftMs);
        if (Number(gone) === mostGone) continue;
        const names = JSON.parse(dead ?? "[]") as string[];
        return { cursor: formatPlace({ epoch: epoch!, n: n! }), nowMs: Number(nowMs), dead: names };
      }
    },
    async write(texts) {
      if (texts.length === 0) return;
      const [left] = await pool.rows("tasker_feed_write", text.write, [texts.join("\n"), texts.length]);
      watching.hear(left ? left[0]! : null);
    },
    async read(cursor, waitMs, signal) {
      const at = parsePlace(cursor);
      const source = {
        look: () => look(at),
        hear: (wake: () => void) => listener.written(wake),
        floorMs: () => (listener.isDeaf ? deafMs : floorMs),
      };
      return tail(source, waitMs, signal);
    },
  };
}

function rowOf({ last, atMs, texts }: ReturnType<typeof row.read>): Row {
  return { last: last!, atMs, texts: texts!.split("\n") };
}
