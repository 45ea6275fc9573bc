import { homeOf, pinOf } from "../../../sdk/port/pin.ts";
import { isFinal } from "../../../sdk/port/status.ts";
import type { Facts, Find, RunRecord } from "../../../sdk/port/target.ts";
import type { Pool } from "./pool.ts";
import { run } from "./sql/record.ts";
import { fact, node, why as statements } from "./sql/why.ts";
import type { Statements } from "./sql.ts";

/** Runs that are counted before one: more are "more than 10,000". */
const mostAhead = 10_001;

/** What decides where a run stands. `look`: asks the node of a run whether it has started. */
export function facts(pool: Pool, sql: Statements, look: (run: RunRecord) => void): Find["facts"] {
  const text = statements(sql);
  return async (id): Promise<Facts | null> => {
    const [row] = await pool.rows("tasker_facts", text.facts, [id]);
    if (!row) return null;
    const record = run.read(row);
    const { holder, seenAt, seenNode, seenVersion, ...own } = fact.read(row, run.width);
    const seen = seenAt && { node: seenNode, version: seenVersion, at: seenAt };
    if (isFinal(record.status)) return { ...own, run: record, seen, nodes: [], ahead: 0 };
    look(record);
    const [home, pin] = [homeOf(record.queue), pinOf(record.queue)];
    const waits = record.status === "pending" && record.dueAt <= own.at && own.pausedAt === null;
    const [nodes, ahead] = await Promise.all([
      pool.rows("tasker_facts_nodes", text.nodes, [record.job, home, pin, holder]),
      waits ? pool.rows("tasker_facts_ahead", text.ahead, [id, mostAhead, home, pin]) : null,
    ]);
    return { ...own, run: record, seen, nodes: node.all(nodes), ahead: ahead ? Number(ahead[0]![0]) : 0 };
  };
}
