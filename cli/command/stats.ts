import { statsOf } from "../../sdk/client/runs.ts";
import type { SeriesQuery } from "../../sdk/client/series.ts";
import { humanMs, toMs, type DurationText } from "../../sdk/port/duration.ts";
import { present } from "../../sdk/port/option.ts";
import type { QueueStat, RateStat, Stats } from "../../sdk/port/target.ts";
import type { Colors } from "../view/color.ts";
import type { Command } from "../command.ts";
import { withStore } from "../database.ts";
import { BadUsage } from "../error.ts";
import { instant } from "../filter.ts";
import type { Given } from "../given.ts";
import { nodeTable } from "./nodes.ts";
import { seriesTable } from "../view/series.ts";
import { pairs, table } from "../view/table.ts";

/** `tasker stats`: how much waits and runs, what ended lately and how fast, and who works. */
export const stats: Command = {
  usage: "stats",
  about: "Show counts by status, queue and job, throughput, waits and nodes; with --since what ended over time",
  flags: [
    { flag: "--since <time>", about: 'What ended over time, from an ISO time or an age like "1h" on' },
    { flag: "--until <time>", about: "With --since: until then; now by default" },
    { flag: "--step <duration>", about: 'With --since: whole minutes or hours, like "5m" (default: at most 25 lines)' },
    { flag: "--job <list>", about: "With --since: of these jobs" },
    { flag: "--queue <list>", about: "With --since: in these queues" },
  ],
  examples: ["tasker stats", "tasker stats --since 1h", "tasker stats --since 7d --job remind --json"],
  run: async ({ given, out, settings }) => {
    const query = queryOf(given);
    if (query) {
      const series = await withStore(await settings(), (store) => statsOf(async () => store).series(query));
      return out.answer(series, () => seriesTable(series, out.colors));
    }
    const found = await withStore(await settings(), ({ find }) => find.stats());
    const paused = found.queues.filter((queue) => queue.paused).map(({ name }) => name);
    out.answer(document(found, paused), () => text(found, paused, out.colors));
  },
};

/** What is asked for of figures over time; null: what there is now.
 *  @throws {BadUsage} */
export function queryOf(given: Given, now: Date = new Date()): SeriesQuery | null {
  const from = instant("--since", given.text("since"), now);
  const [to, step] = [instant("--until", given.text("until"), now) ?? now, given.text("step")];
  const [job, queue] = [given.list("job"), given.list("queue")];
  const lone = ["until", "step", "job", "queue"].find((flag) => given.on(flag));
  if (!from && lone) throw new BadUsage(`--${lone} goes with --since, such as --since 1h`);
  if (!from) return null;
  return {
    ...{ from, to, step: (step ?? stepFor(to.getTime() - from.getTime())) as DurationText },
    ...present({ job: job.length > 0 ? job : undefined, queue: queue.length > 0 ? queue : undefined }),
  };
}

/** The shortest step by which a time has few lines. */
function stepFor(ms: number): DurationText {
  const steps = ["1m", "5m", "15m", "1h", "6h", "1d"] as const satisfies readonly DurationText[];
  return steps.find((step) => ms <= toMs(step) * 24) ?? "7d";
}

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
