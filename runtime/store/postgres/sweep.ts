import type { Runs } from "../port.ts";
import { pruner } from "./keep.ts";
import type { Pool } from "./pool.ts";
import type { Post } from "./post.ts";
import { sweep as statements } from "./sql/sweep.ts";
import type { Statements } from "./sql.ts";

/** Rows a statement, and statements a sweep, at most. */
const bound = 500;
const mostRounds = 20;

/** Recovers runs of dead nodes, expires runs, and deletes dead nodes. Locked rows are skipped. */
export function sweeper(pool: Pool, sql: Statements, post: Post): Runs["sweep"] {
  const { dead, asked, expired, forget } = statements(sql);
  const prune = pruner(pool.guest, sql);

  /** Repeats a statement until it finds less than its limit. Returns ids by column, and whether there may be more. */
  async function all(name: string, statement: string, values: readonly unknown[], kinds: number) {
    const found = Array.from({ length: kinds }, (): number[] => []);
    for (let round = 0; round < mostRounds; round++) {
      const [row] = await pool.rows(name, statement, [bound, ...values]);
      const ids = found.map((_, kind) => JSON.parse(row![kind] ?? "[]") as number[]);
      found.forEach((kind, i) => kind.push(...ids[i]!));
      if (ids.flat().length < bound) return { found, more: false };
    }
    return { found, more: true };
  }

  return async ({ maxCrashes, node = 0, keep }) => {
    const lost = await all("tasker_sweep_dead", dead, [maxCrashes, node], 3);
    const left = await all("tasker_sweep_asked", asked, [], 1);
    const late = await all("tasker_sweep_expired", expired, [], 1);
    const canceled = [...lost.found[2]!, ...left.found[0]!];
    await post.cancelBelow(canceled);
    await post.sweep();
    const [gone] = await pool.rows("tasker_sweep_nodes", forget, []);
    return {
      recovered: lost.found[0]!,
      crashed: lost.found[1]!,
      canceled,
      expired: late.found[0]!,
      nodes: Number(gone![0]),
      pruned: keep ? await prune(keep) : 0,
      more: lost.more || left.more || late.more,
    };
  };
}
