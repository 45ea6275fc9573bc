import type { Nodes, NodeState } from "../port.ts";
import type { Parts } from "./claim.ts";
import type { Watching } from "./feed.ts";
import { publisher } from "./publish.ts";
import { fields, numbers, texts } from "./pool.ts";
import { asked, beaten, node as statements } from "./sql/node.ts";

/** A node with more lanes finds out what comes by claims alone: each lane costs a beat two steps in an index. */
const mostLanes = 1000;

/** The nodes of the Postgres store. */
export function nodes({ pool, sql, lanes, marks, versions, watching }: Parts & { readonly watching: Watching }): Nodes {
  const text = statements(sql);
  return {
    async join({ name, app, version, limits = {} }, ttlMs) {
      const some = Object.keys(limits).length > 0 ? JSON.stringify(limits) : null;
      const joined = pool.rows("tasker_join", text.join, [name, app, version, ttlMs, some]);
      lanes.warm(); // meanwhile, because publishing follows
      const [row] = watching.in(await joined);
      const node = Number(row![0]);
      versions.set(node, version);
      return node;
    },
    async beat(node, ttlMs, state, tallies) {
      const values = [node, ttlMs, state.draining, state.slots, state.busy, state.heap, texts(state.jobs)];
      const counts = ["completed", "failed", "canceled", "retried", "waitMs", "runMs"] as const;
      const histograms = (["waits", "runs"] as const).map((each) =>
        texts(tallies.map((tally) => numbers(tally[each]))),
      );
      const rates = [...fields(tallies, "queue", "job", ...counts), ...histograms];
      const mine = lanes.of(state.jobs, versions.get(node));
      const slow = marks.isTooSlowForBeats(mine);
      const looked = slow || !looksOut(mine, state) ? null : mine;
      const look = [state.asleep ?? false, looked && numbers(looked), lanes.rev, slow];
      const rows = await pool.rows("tasker_beat", text.beat, [...values, ...rates, ...look]).catch((error: unknown) => {
        marks.beat(mine, Infinity);
        throw error;
      });
      watching.in(rows);
      const { dueMs, expiresMs, tookMs, ...answer } = beaten.read(rows[0]!);
      marks.beat(mine, tookMs);
      return { ...answer, coming: looked && { dueMs, expiresMs }, asks: asked.all(rows, beaten.width) };
    },
    async leave(node) {
      await pool.rows("tasker_leave", text.leave, [node]);
      versions.delete(node);
    },
    publish: publisher(pool, sql, lanes),
  };
}

/** Whether a beat looks for what comes in these lanes. */
function looksOut(lanes: readonly number[], { busy, heap }: NodeState): boolean {
  return busy + heap === 0 && lanes.length <= mostLanes;
}
