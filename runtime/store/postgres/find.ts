import { isFinal } from "../../../sdk/port/status.ts";
import type { Find, RunRecord } from "../../../sdk/port/target.ts";
import type { Bounds } from "../port.ts";
import { rateWindowMs, windowFrom } from "../series.ts";
import type { Listener } from "./listen.ts";
import { looker } from "./look.ts";
import type { Pool } from "./pool.ts";
import { series } from "./rate.ts";
import { clocked, find as statements, queue } from "./sql/find.ts";
import * as record from "./sql/record.ts";
import type { Statements } from "./sql.ts";
import { facts } from "./why.ts";

/** Counts of a lane are capped. */
const depthCap = 10_000;

/** The reads of the Postgres store. */
export function find(pool: Pool, sql: Statements, listener: Listener): Find {
  const text = statements(sql);
  const look = looker(pool, sql);
  const lookAt = ({ id, node, status }: RunRecord): void => {
    if (status === "leased") look({ node: node ?? "", run: id });
  };
  const get: Get = async (id) => {
    const rows = await pool.rows("tasker_get", text.get, [id]);
    return rows[0] ? record.run.read(rows[0]) : null;
  };
  return {
    async get(id) {
      const run = await get(id);
      if (run) lookAt(run);
      return run;
    },
    async list(filter, page: Bounds) {
      const { job = [], key = "", holds, status = [] } = filter;
      if (!holds) {
        const found = await (await search()).list(pool, sql, filter, page);
        if (status.includes("running") || found.items.some((run) => run.status === "leased")) look(null);
        return found;
      }
      const rows = await pool.rows("tasker_holding", text.holding, [job[0] ?? "", key]);
      return { items: record.run.all(rows), next: null, complete: true };
    },
    attempts: async (filter, page: Bounds) => (await search()).attempts(pool, sql, filter, page),
    logs: async (run, page: Bounds) => (await search()).logs(pool, sql, run, page),
    async stats(options) {
      if (options?.look ?? true) look(null);
      const [lanes, queues, rates, nodes] = await Promise.all([
        (options?.lanes ?? true) ? pool.rows("tasker_depth", text.depth, [depthCap]) : [],
        pool.rows("tasker_queues", text.queues, []),
        pool.rows("tasker_rates", text.rates, [rateWindowMs]),
        pool.rows("tasker_nodes", text.nodes, []),
      ]);
      const { at } = clocked.read(queues[0]!);
      return {
        at,
        queues: queue.all(queues, clocked.width),
        lanes: record.lane.all(lanes),
        rates: record.rate.all(rates),
        windowMs: at.getTime() - windowFrom(at.getTime()),
        nodes: record.node.all(nodes),
      };
    },
    async jobs() {
      return record.job.all(await pool.rows("tasker_jobs", text.jobs, []));
    },
    series: series(pool, sql),
    facts: facts(pool, sql, lookAt),
    awaited: (...wait) => awaited({ pool, watch: text.watch, listener, get }, ...wait),
  };
}

const search = () => import("./search.ts");

type Get = (id: number) => Promise<RunRecord | null>;

/** Marks the run as watched, so that its end is notified, and polls every second besides. Without notifications the pause is a tenth of the
 *  time waited so far. */
async function awaited(
  { pool, watch, listener, get }: { pool: Pool; watch: string; listener: Listener; get: Get },
  ...[id, waitMs, signal]: Parameters<Find["awaited"]>
): Promise<RunRecord | null> {
  const since = performance.now();
  const deadline = since + waitMs;
  let told = false;
  let wake = (): void => undefined;
  const rouse = (): void => {
    told = true;
    wake();
  };
  const stop = listener.ended((ids) => (ids.length === 0 || ids.includes(id) ? rouse() : undefined));
  signal?.addEventListener("abort", rouse, { once: true });
  try {
    for (let marked = false; ;) {
      told = false;
      marked ||= (await pool.rows("tasker_watch", watch, [id])).length > 0;
      const run = await get(id);
      if (!run || isFinal(run.status)) return run;
      const soon = listener.isDeaf ? Math.max(50, (performance.now() - since) / 10) : 1000;
      const left = Math.min(marked ? soon : 50, 1000, deadline - performance.now()); // not marked: a claim has locked the row
      if (left <= 0 || signal?.aborted) return null;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, told ? 0 : left);
        wake = () => (clearTimeout(timer), resolve());
      });
    }
  } finally {
    stop();
    signal?.removeEventListener("abort", rouse);
  }
}
