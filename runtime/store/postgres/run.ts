import type { Line, Note, Runs } from "../port.ts";
import { batch } from "./batch.ts";
import { claims, type Parts } from "./claim.ts";
import type { Listener } from "./listen.ts";
import { numbers, texts } from "./pool.ts";
import type { Post } from "./post.ts";
import { fencesOf, settler } from "./settle.ts";
import { fence } from "./sql/end.ts";
import { sweeper } from "./sweep.ts";

/** The runs of the Postgres store. */
export function runs(parts: Parts, listener: Listener, post: Post): Omit<Runs, "add"> {
  const { pool, sql } = parts;
  const settle = batch(settler(parts, post), {
    ...{ size: 1000, bytes: 4 * 1024 * 1024 },
    weigh: ({ outcome }) => (outcome.to === "completed" ? (outcome.result?.json.length ?? 0) : 0),
  });
  const note = batch((items: readonly Note[]) => noteAll(parts, items), { size: 1000 });
  return {
    ...claims(parts, listener),
    settle,
    async hold(node, started) {
      if (started.length === 0) return [];
      const values = [node, ...fencesOf(started), numbers(started.map((run) => run.startedMs))];
      const ours = fence.all(await pool.rows("tasker_hold", sql.hold, values));
      const kept = new Set(ours.map(({ id, token }) => `${id} ${token}`));
      return started.filter(({ id, token }) => !kept.has(`${id} ${token}`));
    },
    sweep: sweeper(pool, sql, post),
    async note(notes) {
      if (notes.length === 0) return [];
      const kept = await note(notes);
      return notes.filter((_, i) => !kept[i]).map(({ id, token }) => ({ id, token }));
    },
  };
}

/** Returns whether each note was stored. */
async function noteAll({ pool, sql }: Parts, notes: readonly Note[]): Promise<readonly boolean[]> {
  const progress = notes.map(({ progress }) => (progress ? JSON.stringify(progress) : null));
  const lines = notes.map(({ lines }) => (lines && lines.length > 0 ? JSON.stringify(lines.map(lineOf)) : null));
  const rows = await pool.rows("tasker_note", sql.note, [...fencesOf(notes), texts(progress), texts(lines)]);
  const kept = new Set(rows.map((row) => Number(row[0])));
  return notes.map((_, i) => kept.has(i + 1));
}

function lineOf({ attempt, at, level, message, data }: Line): object {
  return { attempt, at: at.getTime(), level, message, data };
}
