import { scheduleId, tickKey } from "../../../sdk/port/id.ts";
import { tickKeepMs } from "../../../sdk/define/rule.ts";
import type { Tick, TickRun, Ticks } from "../port.ts";
import { tagsOf } from "./column.ts";
import type { Lanes } from "./lane.ts";
import { fields, numbers, type Pool, texts } from "./pool.ts";
import { around, due as found, moved, tick as statements } from "./sql/tick.ts";
import type { Statements } from "./sql.ts";

/** The ticks of the Postgres store. */
export function ticks(pool: Pool, sql: Statements, lanes: Lanes): Ticks {
  const text = statements(sql);
  return {
    async due({ node, aheadMs, limit, except = [] }) {
      const rows = await pool.rows("tasker_schedules_due", text.due, [
        node,
        aheadMs,
        limit + 1,
        ...fields(except, "job", "key"),
      ]);
      const { nowMs, others, laterMs, laterDot, dotMs } = around.read(rows[0]!);
      const list = found.all(rows, around.width);
      const next = [
        ...(laterMs === null ? [] : [{ atMs: laterMs, dot: laterDot }]),
        ...(dotMs === null ? [] : [{ atMs: dotMs, dot: true }]),
        ...list.slice(limit).map(({ nextMs, rule }) => ({ atMs: nextMs, dot: rule.overlap !== "allow" })),
      ].sort((a, b) => a.atMs - b.atMs);
      return { due: list.slice(0, limit), nowMs, next: next[0] ?? null, others };
    },
    async tick(batch) {
      const first = firsts(batch);
      const runs = first.flatMap((tick) => tick.runs.map((run) => ({ run, tick })));
      const laneNumbers = await lanes.ensure(runs.map(({ run, tick }) => ({ ...run, job: tick.job })));
      const values = [
        ...fields(first, "job", "key", "rev", "nextMs", "lastMs"),
        ...runColumns(first, runs, laneNumbers),
      ];
      const rows = await pool.rows("tasker_tick", text.tick, values);
      const made = new Map(moved.all(rows).map(({ place, runs }) => [first[place - 1], runs]));
      return batch.map((tick) => made.get(tick) ?? null);
    },
  };
}

/** Drops repeats of a schedule, whose revision would be too old. */
function firsts(batch: readonly Tick[]): readonly Tick[] {
  const seen = new Set<string>();
  return batch.filter((tick) => {
    const id = scheduleId(tick);
    return !seen.has(id) && seen.add(id);
  });
}

function runColumns(
  batch: readonly Tick[],
  runs: readonly { readonly run: TickRun; readonly tick: Tick }[],
  laneNumbers: readonly number[],
): readonly unknown[] {
  const places = new Map(batch.map((tick, i) => [tick, i + 1]));
  return [
    numbers(runs.map(({ tick }) => places.get(tick)!)),
    numbers(laneNumbers),
    numbers(runs.map(({ run }) => Math.max(0, run.dueMs))),
    texts(runs.map(({ run, tick }) => tickKey(tick.key, run.tickMs))),
    texts(runs.map(({ run }) => tagsOf(run))),
    texts(runs.map(({ run }) => JSON.stringify(run.options))),
    numbers(runs.map(({ run }) => run.ttlMs)),
    tickKeepMs,
  ];
}
