/** Whether runs and schedules are served. */
import { humanMs } from "../../sdk/port/duration.ts";
import { scheduleId } from "../../sdk/port/id.ts";
import { mostCounted, type Facts } from "../../runtime/store/admin.ts";
import { many } from "../view/finding.ts";
import { fine, type Finding, warning, note } from "./finding.ts";

/** A node beats every third of its lease, which is 15 s by default. */
const lateBeatMs = 10_000;
const lateStartMs = 60_000;
const manyWaiting = 1000;

/** Live nodes, and those that do not beat as they should. */
export function nodes(rows: readonly Facts["nodes"][]): readonly Finding[] {
  const alive = rows.filter((row) => row.alive && !row.draining);
  if (alive.length === 0) return [note("nodes", "no node is live", 'start one with "tasker start" or "tasker dev"')];
  const late = alive.filter(({ asleep, seenMs }) => !asleep && seenMs > lateBeatMs);
  return [
    fine("nodes", `${many(alive.length, "live node")}: ${alive.map(({ name }) => name).join(", ")}`),
    ...late.map(({ name, seenMs }) =>
      warning(
        "nodes",
        `node "${name}" was last heard of ${humanMs(seenMs)} ago`,
        "see whether a handler blocks its event loop, or its machine is paused or out of memory; its runs go to others when its lease ends",
      ),
    ),
  ];
}

/** Runs that gone nodes still hold. */
export function leases(held: readonly Facts["held"][], lapsed: readonly Facts["lapsed"][]): readonly Finding[] {
  const todo = "start a node: it takes them back within seconds";
  const found = [
    ...held.map(({ node, runs }) =>
      warning("leases", `node "${node}" is gone and holds ${many(runs, "run")} that nobody has taken back`, todo),
    ),
    ...lapsed.map(({ count, oldestMs }) =>
      warning(
        "leases",
        `the leases of ${atLeast(count, "run")} lapsed up to ${humanMs(oldestMs)} ago, and no node has taken them since`,
        todo,
      ),
    ),
  ];
  return found.length > 0 ? found : [fine("leases", "no run is held by a node that is gone")];
}

/** Runs that are due. */
export function due(rows: readonly Facts["due"][]): readonly Finding[] {
  const found = rows.flatMap(lane);
  const all = rows.reduce((sum, { count }) => sum + count, 0);
  return found.length > 0 ? found : [fine("runs", `${many(all, "run")} due, none of which waits in vain`)];
}

function lane({ queue, job, count, oldestMs, paused, served }: Facts["due"]): readonly Finding[] {
  const runs = `${atLeast(count, "due run")} of "${job}", the oldest waiting for ${humanMs(Math.max(0, oldestMs))}`;
  if (paused) {
    const todo = `when the reason is over: tasker queues resume ${shell(queue)}`;
    return [(count >= manyWaiting ? warning : note)("queues", `queue "${queue}" is paused, with ${runs}`, todo)];
  }
  const told = (why: string, todo: string): readonly Finding[] => [
    warning("runs", `${why}: in queue "${queue}" are ${runs}`, todo),
  ];
  if (!served)
    return told(
      `no live node has job "${job}"`,
      `start a process that has it; or cancel them: tasker cancel --job ${job} --yes`,
    );
  if (oldestMs < lateStartMs) return [];
  return told(
    "nodes can't keep up, or give the queue no slots",
    "start more nodes, or give them more --slots and the queue more --queues",
  );
}

function shell(text: string): string {
  return /^[\w.:/-]+$/.test(text) ? text : `'${text}'`;
}

/** Schedules that make no runs, make them in vain, or make them late. */
export function schedules(rows: readonly Facts["schedules"][]): readonly Finding[] {
  const idle = rows.filter((row) => !row.served && row.declared);
  const vain = rows.filter((row) => !row.served && !row.declared);
  const late = rows.filter((row) => row.served);
  const latestMs = Math.max(...late.map((row) => row.overdueMs));
  const found = [
    ...lot(
      idle,
      "no live node has the job, so no runs are made for",
      "start a process that has the job, or pause them: tasker schedules pause <id>",
    ),
    ...lot(
      vain,
      "no live node has the job, so runs wait that are made for",
      "start a process that has the job, or remove them: tasker schedules remove <id>",
    ),
    ...lot(late, `overdue by up to ${humanMs(latestMs)}:`, "see the log of the nodes; restart one if it says nothing"),
  ];
  return found.length > 0 ? found : [fine("schedules", "none is overdue or without a node")];
}

/** One finding for schedules that share a fate; none if there are none. */
function lot(rows: readonly Facts["schedules"][], what: string, todo: string): readonly Finding[] {
  if (rows.length === 0) return [];
  const names = rows.slice(0, 3).map((row) => `"${scheduleId(row)}"`);
  const list = names.join(", ") + (rows.length > names.length ? " …" : "");
  const found = `${what} ${atLeast(rows.length, "schedule")} (${list})`;
  return [warning("schedules", found, todo)];
}

/** The partitions of history. */
export function partitions(rows: readonly Facts["partitions"][], schema: string): readonly Finding[] {
  const found: Finding[] = [];
  for (const { kind, tomorrow, strays } of rows) {
    const table = `${schema}.history_${kind}`;
    const kept = "keep a node running whose role owns the schema; it makes partitions a week ahead";
    const gone = "nothing, if a node keeps running: they go when their time is over";
    const some = `${table}_default holds ${atLeast(strays, "run")} that found no partition of their day, and is cleared row by row`;
    if (!tomorrow)
      found.push(
        warning("history", `${table} has no partition for tomorrow: nobody keeps house, or the role may not`, kept),
      );
    if (strays > 0) found.push(warning("history", some, gone));
  }
  return found.length > 0 ? found : [fine("history", "tomorrow has its partitions")];
}

function atLeast(count: number, what: string): string {
  return `${count >= mostCounted ? "at least " : ""}${many(count, what)}`;
}
