import { humanMs } from "../../sdk/port/duration.ts";
import type { QueueStat, RateStat, Stats } from "../../sdk/port/target.ts";
import type { Colors } from "../view/color.ts";
import type { Command } from "../command.ts";
import { withStore } from "../database.ts";
import { nodeTable } from "./nodes.ts";
import { pairs, table } from "../view/table.ts";

/** `tasker stats`: how much waits and runs, what ended lately and how fast, and who works. */
export const stats: Command = {
  usage: "stats",
  about: "Show counts by status, queue and job, throughput, waits and nodes",
  examples: ["tasker stats", "tasker stats --json"],
  run: async ({ out, settings }) => {
    const found = await withStore(await settings(), ({ find }) => find.stats());
    const paused = found.queues.filter((queue) => queue.paused).map(({ name }) => name);
    out.answer(document(found, paused), () => text(found, paused, out.colors));
  },
};

/** Stats for programs, each lane with whether its queue is paused: in `rates`, `waitMs` and `runMs` are sums over what ended, and `meanWaitMs` and `meanRunMs` are means. */
export function document(found: Stats, paused: readonly string[]): object {
  const lanes = found.lanes.map((lane) => ({ ...lane, paused: paused.includes(lane.queue) }));
  const rates = found.rates.map((rate) => ({ ...rate, ...means(rate) }));
  return { ...found, lanes, rates, totals: totals(found) };
}

const counted = ["completed", "failed", "canceled", "retried", "waitMs", "runMs"] as const;

/** Sums of fields over rows. */
export function sums<K extends string>(
  rows: readonly Readonly<Record<K, number>>[],
  fields: readonly K[],
): Record<K, number> {
  const sum = (field: K): number => rows.reduce((total, row) => total + row[field], 0);
  return Object.fromEntries(fields.map((field) => [field, sum(field)])) as Record<K, number>;
}

/** Sums over all lanes and rates. Means are in ms; null while nothing ended. */
function totals({ lanes, rates, windowMs }: Stats) {
  const { waitMs, runMs, ...ended } = sums(rates, counted);
  const perMs = windowMs > 0 ? (ended.completed + ended.failed) / windowMs : 0;
  return {
    ...sums(lanes, ["ready", "delayed", "leased"]),
    ...ended,
    perMinute: Math.round(perMs * 600_000) / 10,
    ...means({ ...ended, waitMs, runMs }),
  };
}

/** From due to start, and from start to end, of what completed or failed. */
function means({ completed, failed, waitMs, runMs }: Pick<RateStat, "completed" | "failed" | "waitMs" | "runMs">) {
  const ended = completed + failed;
  const mean = (sumMs: number): number | null => (ended > 0 ? Math.round(sumMs / ended) : null);
  return { meanWaitMs: mean(waitMs), meanRunMs: mean(runMs) };
}

function text(found: Stats, paused: readonly string[], paint: Colors): string {
  const sum = totals(found);
  const span = humanMs(found.windowMs);
  const head = pairs(
    [
      ["pending", `${sum.ready} due, ${sum.delayed} later`],
      ["leased", sum.leased],
      [
        `ended in ${span}`,
        `${sum.completed} completed, ${sum.failed} failed, ${sum.canceled} canceled, ${sum.retried} retried`,
      ],
      ["throughput", `${sum.perMinute} a minute`],
      ["mean wait", sum.meanWaitMs === null ? null : humanMs(sum.meanWaitMs)],
      ["mean run", sum.meanRunMs === null ? null : humanMs(sum.meanRunMs)],
    ],
    paint.dim,
  );
  const lanes =
    found.lanes.length + found.rates.length > 0
      ? laneTable(found, paused, paint)
      : "no runs yet; add one with: tasker trigger <job> [payload]";
  const nodes =
    found.nodes.length > 0
      ? nodeTable(found.nodes, paint, found.at)
      : 'no node is there; start one with "tasker start" or "tasker dev"';
  return [head, lanes, nodes].join("\n\n");
}

interface Row {
  readonly lane: QueueStat | null;
  readonly rate: RateStat | null;
}

function laneTable({ lanes, rates }: Stats, paused: readonly string[], paint: Colors): string {
  const rows: Row[] = [
    ...lanes.map((lane, at) => ({
      lane,
      // rates know no priority: they are shown with the first lane of their job
      rate:
        lanes.findIndex((each) => same(each, lane)) === at ? (rates.find((rate) => same(rate, lane)) ?? null) : null,
    })),
    ...rates.filter((rate) => !lanes.some((lane) => same(lane, rate))).map((rate) => ({ lane: null, rate })),
  ];
  const mean = ({ rate }: Row, field: "meanWaitMs" | "meanRunMs"): string => {
    const ms = rate && means(rate)[field];
    return ms === null ? "" : humanMs(ms);
  };
  const named = (queue: string): string => (paused.includes(queue) ? `${queue} (paused)` : queue);
  const right = "right" as const;
  return table(
    rows,
    [
      { title: "QUEUE", cell: ({ lane, rate }) => named((lane ?? rate)!.queue) },
      { title: "JOB", cell: ({ lane, rate }) => (lane ?? rate)!.job },
      { title: "PRIORITY", cell: ({ lane }) => lane?.priority ?? "", align: right },
      { title: "READY", cell: ({ lane }) => lane?.ready ?? 0, align: right },
      { title: "DELAYED", cell: ({ lane }) => lane?.delayed ?? 0, align: right },
      { title: "LEASED", cell: ({ lane }) => lane?.leased ?? 0, align: right },
      { title: "COMPLETED", cell: ({ rate }) => rate?.completed ?? "", align: right },
      { title: "FAILED", cell: ({ rate }) => rate?.failed ?? "", align: right },
      { title: "MEAN WAIT", cell: (row) => mean(row, "meanWaitMs"), align: right },
      { title: "MEAN RUN", cell: (row) => mean(row, "meanRunMs"), align: right },
    ],
    paint.dim,
  );
}

function same(a: Pick<RateStat, "queue" | "job">, b: Pick<RateStat, "queue" | "job">): boolean {
  return a.queue === b.queue && a.job === b.job;
}
