import type { Act, Desk, Edit, PurgeFilter } from "../../../sdk/port/target.ts";
import { finals } from "../../../sdk/port/status.ts";
import type { Watching } from "./feed.ts";
import type { Lanes } from "./lane.ts";
import { at } from "./column.ts";
import { outwait } from "./retry.ts";
import { numbers, type Pool, type Row, texts } from "./pool.ts";
import type { Post } from "./post.ts";
import { act, desk as statements } from "./sql/desk.ts";
import { posted } from "./sql/journal.ts";
import { statusNumber } from "./sql/status.ts";
import type { Statements } from "./sql.ts";

/** An act is repeated this long while another transaction holds the key of a run. */
const patienceMs = 2000;

interface Parts {
  readonly lanes: Lanes;
  readonly post: Post;
  readonly watching: Watching;
}

/** The desk of the Postgres store. */
export function desk(pool: Pool, sql: Statements, { lanes, post, watching }: Parts): Desk {
  const text = statements(sql);

  /** Returns the acts in `done`, and the status of the other runs, in the order of `ids`. */
  async function answer(ids: readonly number[], done: readonly Act[]): Promise<readonly Act[]> {
    const acts = new Map<number | null, Act>(done.map((one) => [one.id, one]));
    const left = ids.filter((id) => !acts.has(id));
    if (left.length > 0)
      for (const one of act.all(await pool.rows("tasker_status", text.status, [numbers(left)]))) acts.set(one.id, one);
    return ids.map((id) => acts.get(id) ?? { id, done: "missing", status: null });
  }

  function patiently(name: string, statement: string, values: readonly unknown[]): Promise<readonly Row[]> {
    return outwait(() => pool.rows(name, statement, values), patienceMs, claimed);
  }

  /** The lane of another priority. It is created before the edit, which only writes the run's row. */
  async function laneFor(id: number, priority: number): Promise<number | null> {
    const [row] = await pool.rows("tasker_lane_of", text.laneOf, [id]);
    if (!row) return null;
    const lane = await lanes.get(Number(row[0]));
    return (await lanes.ensure([{ ...lane, priority }]))[0]!;
  }

  return {
    cancel: async (ids, reason = "user") => answer(ids, await post.cancel(ids, reason)),
    async revive(ids, from) {
      const [name, statement] =
        from === "canceled" ? ["tasker_resume", text.resume] : ["tasker_retry_again", text.retryFailed];
      const rows = watching.in(await patiently(name, statement, [numbers(ids)]));
      if (rows.some((row) => posted.read(row, act.width).count > 0)) await post.adopt(ids);
      return answer(ids, act.all(rows));
    },
    async edit(id, edit) {
      const lane = edit.priority === undefined ? null : await laneFor(id, edit.priority);
      const rows = watching.in(await pool.rows("tasker_edit", text.edit, editValues(id, edit, lane)));
      if (rows.length === 0 && (await pool.rows("tasker_back", sql.back, [numbers([id])])).length > 0)
        return { id, done: "asked", status: "leased" };
      return (await answer([id], act.all(rows)))[0]!;
    },
    async pause(queue, paused) {
      watching.in(await pool.rows("tasker_pause", text.pause, [queue, paused]));
      if (!paused) return 0;
      const [row] = await pool.rows("tasker_recall", text.recall, [queue]); // a separate statement, which sees later claims
      return Number(row![0]);
    },
    async purge(filter, limit) {
      const { attempt } = filter;
      if (attempt) return (await pool.rows("tasker_forget", text.forget, [attempt.run, attempt.token])).length;
      const [row] = watching.in(await patiently("tasker_purge", text.purge, purgeValues(filter, limit)));
      return Number(row![0]);
    },
  };
}

const claimed =
  "another open transaction claims the idempotency key of one of these runs, so none of them was touched; repeat the call once that has ended";

function purgeValues(filter: PurgeFilter, limit: number): readonly unknown[] {
  return [
    filter.ids ? numbers(filter.ids) : null,
    numbers((filter.status ?? finals).map((status) => statusNumber[status])),
    filter.job ? texts(filter.job) : null,
    filter.before?.getTime() ?? null,
    limit,
  ];
}

function editValues(id: number, { input, delayMs, dueAt, attempts }: Edit, lane: number | null): readonly unknown[] {
  return [id, lane, delayMs ?? null, at(dueAt ?? null), input?.json ?? null, input?.meta ?? null, attempts ?? null];
}
