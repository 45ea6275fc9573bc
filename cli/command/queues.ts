import { queuesOf } from "../../sdk/client/runs.ts";
import { hookQueue } from "../../sdk/port/option.ts";
import type { QueueRecord, QueueStat, Target } from "../../sdk/port/target.ts";
import { oneLine } from "../view/color.ts";
import type { Command } from "../command.ts";
import type { Settings } from "../config.ts";
import { withStore } from "../database.ts";
import { BadUsage } from "../error.ts";
import { hint } from "../../sdk/port/near.ts";
import type { Output } from "../view/output.ts";
import { sums } from "./stats.ts";
import { table, type Column } from "../view/table.ts";

type Row = QueueRecord & Pick<QueueStat, "ready" | "delayed" | "leased">;

/** `tasker queues`: lists queues, pauses one, lets it go on. */
export const queues: Command = {
  usage: "queues [act] [queue]",
  about: "List queues; `queues pause <queue>` and `queues resume <queue>` stop and start one on all nodes",
  examples: ["tasker queues", "tasker queues pause mail", "tasker queues resume mail"],
  run: async ({ args: [act, queue], out, settings }) => {
    if (act !== undefined && act !== "pause" && act !== "resume")
      throw new BadUsage(
        `"${act}" is not an act on queues${hint(act, ["pause", "resume"]) || "; write pause or resume"}`,
      );
    if (act && !queue) throw new BadUsage(`which queue? write: tasker queues ${act} <queue>`);
    if (act) return turn(act, queue!, out, await settings());
    const rows = await withStore(await settings(), read);
    out.answer({ items: rows, next: null }, () =>
      rows.length > 0 ? table(rows, columns, out.colors.dim) : "no queues yet; one appears with its first run",
    );
  },
};

/** Pauses a queue, or lets it go on; one that no job uses too, for its runs may be still to come. */
async function turn(act: "pause" | "resume", queue: string, out: Output, settings: Settings): Promise<void> {
  const used = await withStore(settings, async (store) => {
    await queuesOf(async () => store)[act](queue);
    return usedQueues(store);
  });
  const isUsed = used.includes(queue);
  const next = act === "pause" ? `paused; let it go on with: tasker queues resume ${queue}` : "running";
  out.answer({ queue, paused: act === "pause", used: isUsed }, () => `queue "${oneLine(queue)}" is ${oneLine(next)}`);
  const known = used.filter((name) => name !== hookQueue);
  const warning = `warning: no job uses queue "${queue}" (known: ${known.join(", ") || "none"})${hint(queue, known)}`;
  if (!isUsed) out.note(oneLine(warning));
}

/** The queues of published jobs and of runs that are there, sorted. */
async function usedQueues(target: Target): Promise<readonly string[]> {
  const [jobs, { lanes }] = await Promise.all([target.find.jobs(), target.find.stats()]);
  const hooks = jobs.some((job) => job.hooks.length > 0) ? [hookQueue] : [];
  return [...new Set([...jobs.map(({ queue }) => queue), ...lanes.map(({ queue }) => queue), ...hooks])].sort();
}

const columns: readonly Column<Row>[] = [
  { title: "QUEUE", cell: (row) => row.name },
  { title: "STATE", cell: (row) => (row.paused ? "paused" : "running") },
  { title: "READY", cell: (row) => row.ready, align: "right" },
  { title: "DELAYED", cell: (row) => row.delayed, align: "right" },
  { title: "LEASED", cell: (row) => row.leased, align: "right" },
];

async function read(target: Target): Promise<readonly Row[]> {
  const { queues: known, lanes } = await target.find.stats();
  const names = new Set([...known.map(({ name }) => name), ...lanes.map(({ queue }) => queue)]);
  return [...names].sort().map((name) => {
    const own = lanes.filter((lane) => lane.queue === name);
    const paused = known.find((queue) => queue.name === name)?.paused ?? false;
    return { name, paused, ...sums(own, ["ready", "delayed", "leased"]) };
  });
}
